"""Test images: volumes that no model was trained on, scanned in simulation, and the noise that is added to them."""

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from snrstream.errors import ConfigurationError, ScanError
from snrtrain.archive import volumes
from snrtrain.archive.archive import Archive, file_in
from snrtrain.methods.noise_process import NoiseRange, draw_kspace_filter, unit_noise
from snrtrain.metrics import object_mask, reference_level
from snrtrain.simulation import dynamic, scanner
from snrtrain.simulation.coils import loop_sensitivities, stack_sensitivities
from snrtrain.simulation.phantom import white_noise

from .selection import middle_slices

N_CHANNELS = 12
MAP_SNR = 20.0  # of the data that coil maps and g-maps are estimated from
THIN_MM = 2.0  # slices up to this are thin: their neighbours tell much about each other
FILTERED = NoiseRange(p_white=0.0)


@dataclass(frozen=True)
class Scene:
    """A stack of neighbouring images without noise, reference tissue at 1.

    file: that it was made of. truth: `(S, H, W)` complex64. gmaps: `(H, W)` float32 by acceleration. mask: bool
    `(S, H, W)`, the object.
    """

    name: str
    file: str
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
        noise = [unit_noise(shape, draw_kspace_filter(shape, FILTERED, generator), generator) for _ in clean]
        return clean, clean + gmap * torch.stack(noise)


def static_scenes(
    folder: Path, names: list[str], kinds: list[str], n_slices: dict[str, int], accelerations: list[int], seed: int
) -> list[Scene]:
    """The middle slices of each volume.

    kinds: `thick`, all volumes, those with thin slices averaged to `volumes.SLAB_MM`; `thin`, neighbouring native
    slices of the volumes that have such. Coils, phase and maps are those of the chain that training images pass, but
    without shading; drawn for each volume, the same for all of its slices. Raises ConfigurationError where a volume is
    missing or too small, or nothing is left.
    """
    scenes = []
    for name in names:
        volume, own_seed = volumes.load(folder, name), [seed, zlib.crc32(name.encode())]
        for kind in kinds:
            if kind == "thick" or max(volume.voxel_mm) <= THIN_MM:
                stack = middle_slices(volume, n_slices[kind], volumes.SLAB_MM if kind == "thick" else 0.0)
                gmaps = {r: gmap_of(stack, r, np.random.default_rng(own_seed)) for r in accelerations}
                clean = scanned(stack, np.random.default_rng(own_seed))
                scenes.append(Scene(name, f"{name}{volumes.ENDING}", kind, clean, gmaps))
    if not scenes:
        raise ConfigurationError(f"none of {', '.join(names)} has slices of {THIN_MM:g} mm or less; expected thin ones")
    return scenes


def scanned(stack: volumes.Stack, rng: Generator) -> Tensor:
    """Clean combined images `(S, H, W)` complex64 of magnitude slices, reference tissue at 1."""
    sensitivities = stack_sensitivities(N_CHANNELS, stack.slices.shape[1:], stack.heights, rng)
    image = scanner.complex_object(stack.slices, rng, stack.heights)
    clean = scanner.scan_frames(image, sensitivities, rng, MAP_SNR, None, 0.0, flat=True).clean
    return clean / reference_level(clean.abs())


def gmap_of(stack: volumes.Stack, acceleration: int, rng: Generator) -> Tensor:
    """The g-map `(H, W)` of the middle slice; ones at R=1. Raises ConfigurationError where there can be none."""
    plane = stack.slices[len(stack.slices) // 2]
    if acceleration == 1:
        return torch.ones(plane.shape)
    try:
        if acceleration > N_CHANNELS:
            raise ScanError("fewer channels than aliases")
        return scanner.gmaps(scanner.complex_object(plane, rng), (acceleration,), rng, MAP_SNR, N_CHANNELS)[0]
    except ScanError:
        raise ConfigurationError(
            f"--acceleration is {acceleration}, too much for {N_CHANNELS} channels "
            f"and {plane.shape[0]} lines; expected less"
        ) from None


def moving_scenes(folder: Path, names: list[str], accelerations: list[int], seed: int) -> list[Scene]:
    """A series of each volume's middle slice, at least 4 mm thick: it moves, or changes its contrast, or both."""
    scenes = []
    for name in names:
        stack, own_seed = middle_slices(volumes.load(folder, name), 1), [seed, zlib.crc32(name.encode())]
        rng = np.random.default_rng(own_seed)
        frames = dynamic.draw_series(scanner.complex_object(stack.slices[0], rng), rng)
        sensitivities = loop_sensitivities(N_CHANNELS, stack.slices.shape[1:], rng)
        clean = scanner.scan_frames(frames, sensitivities[:, None], rng, MAP_SNR, None, 0.0, flat=True).clean
        gmaps = {r: gmap_of(stack, r, np.random.default_rng(own_seed)) for r in accelerations}
        truth = clean / reference_level(clean.abs())
        scenes.append(Scene(name, f"{name}{volumes.ENDING}", f"{len(frames)} frames", truth, gmaps))
    return scenes


def archived_series(folder: Path, accelerations: list[int]) -> list[Scene]:
    """The simulated series of an archive's test split. Raises ConfigurationError where it has none that will do."""
    scenes: list[Scene] = []
    for entry in Archive(folder, "test").entries:
        known = {r1: gmap for gmap, (r1, r2) in zip(entry.gmaps, entry.accelerations, strict=True) if r2 == 1}
        if entry.axis == "time" and not entry.own_noise and set(accelerations) <= set(known):
            truth = torch.from_numpy(np.array(entry.clean)) / entry.snr
            gmaps = {r: torch.from_numpy(np.array(known[r])) for r in accelerations}
            name, file = f"{entry.subject} {len(scenes)}", file_in(entry.source)
            scenes.append(Scene(name, file, f"{len(truth)} frames", truth, gmaps))
    if not scenes:
        raise ConfigurationError(
            f"archive {folder} has no simulated series with g-maps of R = {', '.join(map(str, accelerations))} in test/"
        )
    return scenes
