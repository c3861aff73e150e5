"""Test images: volumes that no model was trained on, scanned in simulation, and the noise that is added to them."""

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from scipy import ndimage
from torch import Tensor

from snrstream.errors import ConfigurationError
from tools.simulate import white_noise
from tools.training import chain, volumes
from tools.training.metrics import object_mask, reference_level
from tools.training.noise_process import NoiseRange, draw_window, unit_noise

N_CHANNELS = 12
MAP_SNR = 20.0  # of the data that coil maps and g-maps are estimated from
THIN_MM = 2.0  # slices up to this are thin: their neighbours tell much about each other
FILTERED = NoiseRange(p_white=0.0)


@dataclass(frozen=True)
class Scene:
    """A stack of neighbouring images without noise, reference tissue at 1.

    truth: `(S, H, W)` complex64. gmaps: `(H, W)` float32 by acceleration. mask: bool `(S, H, W)`, the object.
    """

    name: str
    slices: str
    truth: Tensor
    gmaps: dict[int, Tensor]
    mask: Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", object_mask(self.truth.abs()))

    def noisy(self, snr: float, acceleration: int, rng: Generator) -> tuple[Tensor, Tensor]:
        """Clean and noisy images in SNR units: white noise of SD g per part."""
        clean = self.truth * snr
        return clean, clean + self.gmaps[acceleration] * white_noise(tuple(clean.shape), rng)

    def noisy_filtered(self, snr: float, acceleration: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The same under noise that went through k-space filters, drawn for each slice, as training draws them."""
        clean, gmap = self.truth * snr, self.gmaps[acceleration]
        shape = (gmap.shape[0], gmap.shape[1])
        noise = [unit_noise(shape, draw_window(shape, FILTERED, generator), generator) for _ in clean]
        return clean, clean + gmap * torch.stack(noise)


def static_scenes(
    folder: Path, names: list[str], kinds: list[str], n_slices: dict[str, int], accelerations: list[int], seed: int
) -> list[Scene]:
    """The middle slices of each volume.

    kinds: `thick`, all volumes, those with thin slices averaged to `volumes.SLAB_MM`; `thin`, neighbouring native
    slices of the volumes that have such. Coils, phase and maps are those of the chain that training images pass, but
    without shading; drawn for each volume, the same for all of its slices. Raises ConfigurationError where a volume is
    missing or nothing is left.
    """
    scenes = []
    for name in names:
        volume, own_seed = volumes.load(folder, name), [seed, zlib.crc32(name.encode())]
        for kind in kinds:
            if kind == "thick" or max(volume.voxel_mm) <= THIN_MM:
                slab_mm = volumes.SLAB_MM if kind == "thick" else 0.0
                planes = volumes.test_planes(volume, n_slices[kind], slab_mm)
                gmaps = {
                    r: gmap_of(planes[len(planes) // 2], r, np.random.default_rng(own_seed)) for r in accelerations
                }
                scenes.append(Scene(name, kind, scanned(planes, own_seed), gmaps))
    if not scenes:
        raise ConfigurationError(f"none of {', '.join(names)} has slices of {THIN_MM:g} mm or less; expected thin ones")
    return scenes


def scanned(planes: list[np.ndarray], seed: list[int]) -> Tensor:
    """Magnitudes `(H, W)` as clean combined images `(S, H, W)` complex64, reference tissue at 1."""
    scans = []
    for image in planes:
        rng = np.random.default_rng(seed)  # the same coils for all
        scans.append(
            chain.fully_sampled(chain.complex_object(image, rng), rng, MAP_SNR, None, N_CHANNELS, 0.0, flat=True)
        )
    clean = torch.stack([scan.clean for scan in scans])
    return clean / reference_level(clean.abs())


def gmap_of(plane: np.ndarray, acceleration: int, rng: Generator) -> Tensor:
    """The g-map `(H, W)` of a magnitude; ones at R=1."""
    if acceleration == 1:
        return torch.ones(plane.shape)
    return chain.gmaps(chain.complex_object(plane, rng), (acceleration,), rng, MAP_SNR, N_CHANNELS)[0]


def moving_planes(plane: np.ndarray, n_frames: int, rng: Generator) -> list[np.ndarray]:
    """A time series of a magnitude `(H, W)`: it breathes, and its brighter tissue takes up contrast agent.

    The object goes up and down by 3 % of the field of view and turns by 2 degrees, three times in the series; tissue
    near the reference level, in three blobs at random places, brightens by 40 to 100 % along a gamma variate.
    """
    height, width = plane.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    tissue = np.clip((plane - 0.3) / 0.4, 0, 1)
    blobs = []
    for _ in range(3):
        centre, size = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.1, 0.25)
        inside = np.exp(-0.5 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / size**2)
        blobs.append((rng.uniform(0.4, 1.0) * inside * tissue, rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.3)))
    frames = []
    for time in np.arange(n_frames) / n_frames:
        bright = plane
        for gain, arrival, peak in blobs:
            t = max(0.0, time - arrival) / peak
            bright = bright + plane * gain * (t * np.exp(1 - t)) ** 3
        breath = np.sin(2 * np.pi * 3 * time)
        turned = ndimage.rotate(bright, 2 * breath, reshape=False, order=1)
        moved = ndimage.shift(turned, (0.03 * height * breath, 0), order=1)
        frames.append(np.clip(moved, 0, None).astype(np.float32))
    return frames
