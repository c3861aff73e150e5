"""What the scanner's chain makes of a simulated object: coils, phase, coil maps, g-maps.

The denoiser sees images combined with maps that were estimated from noisy data; these take the
object's smooth phase away and leave random phase in air. Training images must look the same, so they
pass the reconstruction that the scanner runs (`snrstream.recon`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from snrstream.recon.coil_maps import inati
from snrstream.recon.fft import centred_slice, to_image, to_kspace
from snrstream.recon.gmaps import unscanned_gmaps
from snrstream.recon.lattice import Lattice
from tools.coils import loop_sensitivities
from tools.simulate import object_phase, white_noise
from tools.training.noise_process import resolution_filter
from tools.training.objects import remap

MARGIN = 3  # half of inati's window: what a crop needs around it


@dataclass(frozen=True)
class Scan:
    """A scan without acceleration, combined. g is 1.

    clean: `(e1, ro)` complex64, its bright tissue near `snr`. noise: `(e1, ro)` complex64, SD 1 per part
    in tissue; in air it is what is left of the noise that the maps were estimated from.
    resolution: kept share of k-space along e1 and ro (1.0: not zero-filled).
    """

    clean: Tensor
    noise: Tensor
    snr: float
    resolution: tuple[float, float]


def complex_object(magnitude: np.ndarray, rng: Generator) -> Tensor:
    """Magnitude `(e1, ro)` to complex64: a smooth random phase, and in most objects fine phase structure.

    Coil maps take the smooth phase away; what is left in a gradient echo follows the anatomy (veins,
    iron, myelin: tenths of a radian). Without it a denoiser learns that images are real, and wipes it out.
    """
    phase = object_phase(magnitude.shape, rng, strength=rng.uniform(0.2, 1.5))
    image = torch.from_numpy(magnitude)
    if rng.random() < 0.6:  # susceptibility: follows the tissue, by another curve than its brightness does
        phase = phase + float(rng.exponential(0.25) * rng.choice([-1, 1])) * torch.from_numpy(
            remap(magnitude, rng).astype(np.float32)
        )
    if rng.random() < 0.3:  # fat: bright, at any phase to water
        bright = torch.sigmoid((image - float(rng.uniform(0.6, 1.2))) / 0.05)
        phase = phase + float(rng.uniform(-np.pi, np.pi)) * bright
    return torch.polar(image, phase)


def resample(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """A complex image at fewer pixels, by cropping k-space as a coarser scan would: it rings likewise."""
    rows, columns = (centred_slice(min(n, have), have) for n, have in zip(shape, image.shape, strict=True))
    scale = (shape[0] * shape[1] / image.numel()) ** 0.5
    return to_image(to_kspace(image)[rows, columns]) * scale


def pad_air(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """The image centred in `shape`, air around it; no smaller than it is."""
    shape = tuple(max(n, have) for n, have in zip(shape, image.shape, strict=True))
    padded = torch.zeros(shape, dtype=image.dtype)
    rows, columns = (centred_slice(have, n) for n, have in zip(shape, image.shape, strict=True))
    padded[rows, columns] = image
    return padded


def tissue_level(magnitude: Tensor) -> float:
    """Bright tissue: the 80th percentile of the pixels above a tenth of the 99.5th percentile."""
    values = magnitude.flatten()
    inside = values[values > 0.1 * torch.quantile(values, 0.995)]
    return float(torch.quantile(inside, 0.8)) if len(inside) else 1.0


def fully_sampled(
    image: Tensor, rng: Generator, snr: float, crop: int | None, n_channels: int,
    p_zero_filled: float = 0.2, flat: bool = False,
) -> Scan:  # fmt: skip
    """Scan a complex object `(e1, ro)` at R=1 and combine it with maps estimated from the noisy data.

    snr: of bright tissue per part. crop: edge in pixels of a random square that alone is combined (the
    maps cost most), or None for all. Half of the maps come from ACS lines, as at R > 1.
    p_zero_filled: probability that the scan measured less than all of k-space. flat: take the coils'
    shading away, so that the combined magnitude is that of the object.
    """
    sensitivities = loop_sensitivities(n_channels, tuple(image.shape), rng)
    if flat:
        sensitivities = sensitivities / torch.linalg.vector_norm(sensitivities, dim=0)
    coils = sensitivities * image
    level = tissue_level(torch.linalg.vector_norm(coils, dim=0))
    coils = coils * (snr / level)
    noise = white_noise(tuple(coils.shape), rng)
    resolution = (1.0, 1.0)
    if rng.random() < p_zero_filled:
        resolution = (float(rng.uniform(0.55, 1.0)), float(rng.uniform(0.55, 1.0)))
        e1, ro = (resolution_filter(n, f) for n, f in zip(image.shape, resolution, strict=True))
        window = e1[:, None] * ro
        coils = to_image(to_kspace(coils) * window)
        noise = to_image(to_kspace(noise) * (window / window.square().mean().sqrt()))
    reference = coils + noise
    if rng.random() < 0.5:
        reference = acs_image(reference, int(rng.integers(20, 49)))
    if crop is not None:
        rows, columns = _draw_crop(image, crop, rng)
        outer = (slice(None), _widen(rows, image.shape[0]), _widen(columns, image.shape[1]))
        top, left = rows.start - outer[1].start, columns.start - outer[2].start
        maps = inati(reference[outer][:, None])[:, 0, top : top + crop, left : left + crop]
        coils, noise = coils[:, rows, columns], noise[:, rows, columns]
    else:
        maps = inati(reference[:, None])[:, 0]
    clean, kept = ((maps.conj() * part).sum(dim=0) for part in (coils, noise))
    return Scan(clean, kept, snr, resolution)


def acs_image(coils: Tensor, n_lines: int) -> Tensor:
    """Coil images from the central `n_lines` of k-space alone, Hann window along e1."""
    n_e1 = coils.shape[1]
    window = torch.zeros(n_e1)
    kept = centred_slice(min(n_lines, n_e1), n_e1)
    n_kept = kept.stop - kept.start
    window[kept] = torch.sin(torch.pi * (torch.arange(n_kept) + 0.5) / n_kept).square()
    return to_image(to_kspace(coils, dims=(-2,)) * window[:, None], dims=(-2,))


def gmaps(image: Tensor, accelerations: tuple[int, ...], rng: Generator, snr: float, n_channels: int) -> list[Tensor]:
    """g-maps `(e1, ro)` float32 of one object and coil set at each acceleration, from noisy ACS lines."""
    coils = loop_sensitivities(n_channels, tuple(image.shape), rng) * image
    coils = coils * (snr / tissue_level(torch.linalg.vector_norm(coils, dim=0)))
    noisy = coils + white_noise(tuple(coils.shape), rng)
    n_lines = int(rng.integers(24, 41))
    lines = centred_slice(n_lines, image.shape[0])
    acs = to_kspace(noisy)[:, None, lines]
    lattices = [Lattice((r, 1)) for r in accelerations]
    return list(unscanned_gmaps(acs, (0, lines.start), (1, image.shape[0]), lattices, step=1)[:, 0])


def _draw_crop(image: Tensor, crop: int, rng: Generator) -> tuple[slice, slice]:
    """A random square, most often one with an object in at least a fifth of it."""
    anywhere = rng.random() < 0.1
    for _ in range(10):
        row, column = (int(rng.integers(0, n - crop + 1)) for n in image.shape)
        rows, columns = slice(row, row + crop), slice(column, column + crop)
        if anywhere or (image[rows, columns].abs() > 0.1).float().mean() > 0.2:
            break
    return rows, columns


def _widen(kept: slice, size: int) -> slice:
    return slice(max(0, kept.start - MARGIN), min(size, kept.stop + MARGIN))
