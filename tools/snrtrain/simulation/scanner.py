"""What the scanner's chain makes of a simulated object: coils, phase, coil maps, g-maps.

The denoiser sees images combined with maps that were estimated from noisy data; these take the
object's smooth phase away and leave random phase in air. Training images must look the same, so they
pass the reconstruction that the scanner runs (`snrstream.recon`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from snrstream.recon.fft import centred_slice, to_image, to_kspace
from snrstream.recon.gmaps import unscanned_gmaps
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import MAPS, MapOptions
from snrstream.recon.unmixing import power
from snrtrain.archive.gmaps import possible_gmaps
from snrtrain.methods.noise_process import resolution_filter
from snrtrain.metrics import tissue_level
from snrtrain.simulation.coils import loop_sensitivities
from snrtrain.simulation.objects import remap
from snrtrain.simulation.phantom import object_phase, white_noise

BESIDE = MAPS.window // 2  # pixels beside a crop that its maps see


@dataclass(frozen=True)
class SimulatedScan:
    """A scan without acceleration, combined. g is 1.

    clean: `(e1, ro)`, or `(frame, e1, ro)` of a stack, complex64, its bright tissue near `snr`. noise: the same shape,
    SD 1 per part in tissue; in air it is what is left of the noise that the maps were estimated from.
    resolution: kept share of k-space along e1 and ro (1.0: not zero-filled). place: rows and columns of the object
    that were combined.
    """

    clean: Tensor
    noise: Tensor
    snr: float
    resolution: tuple[float, float]
    place: tuple[slice, slice]


def complex_object(magnitude: np.ndarray, rng: Generator, heights: Sequence[float] = ()) -> Tensor:
    """Magnitude `(e1, ro)` to complex64: a smooth random phase, and in most objects fine phase structure.

    Coil maps take the smooth phase away; what is left in a gradient echo follows the anatomy (veins,
    iron, myelin: tenths of a radian). Without it a denoiser learns that images are real, and wipes it out.
    heights: of the slices of a stack `(slice, e1, ro)`, where half a field of view is 1: its phase is smooth in 3D.
    """
    strength = rng.uniform(0.2, 1.5)
    phase = object_phase(magnitude.shape[-2:], rng, strength)
    if len(heights):
        along = torch.tensor(heights, dtype=torch.float32)[:, None, None]
        phase = phase + along * object_phase(magnitude.shape[-2:], rng, strength)
    image = torch.from_numpy(magnitude)
    if rng.random() < 0.6:  # susceptibility: follows the tissue, by another curve than its brightness does
        phase = phase + float(rng.exponential(0.25) * rng.choice([-1, 1])) * torch.from_numpy(
            remap(magnitude, rng).astype(np.float32)
        )
    if rng.random() < 0.3:  # fat: bright, at any phase to water
        bright = torch.sigmoid((image - float(rng.uniform(0.6, 1.2))) / 0.05)
        phase = phase + float(rng.uniform(-np.pi, np.pi)) * bright
    return torch.polar(image, phase)


def resample(image: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Complex images `(..., e1, ro)` at fewer pixels, by cropping k-space as a coarser scan would: they ring too."""
    have = image.shape[-2:]
    rows, columns = (centred_slice(min(n, whole), whole) for n, whole in zip(shape, have, strict=True))
    scale = (shape[0] * shape[1] / (have[0] * have[1])) ** 0.5
    cropped: Tensor = to_kspace(image)[..., rows, columns]
    return to_image(cropped) * float(scale)


def pad_air(image: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The images `(..., e1, ro)` centred in `shape`, air around them; no smaller than they are."""
    shape = tuple(max(n, have) for n, have in zip(shape, image.shape[-2:], strict=True))
    padded = torch.zeros(*image.shape[:-2], *shape, dtype=image.dtype)
    rows, columns = (centred_slice(have, n) for n, have in zip(shape, image.shape[-2:], strict=True))
    padded[..., rows, columns] = image
    return padded


def scan_frames(
    frames: Tensor, sensitivities: Tensor, rng: Generator, snr: float, crop: int | None,
    p_zero_filled: float = 0.2, flat: bool = False, step: int = MAPS.step,
) -> SimulatedScan:  # fmt: skip
    """Scan complex objects `(frame, e1, ro)` at R=1 and combine them with maps estimated from the noisy data.

    sensitivities: `(channel, frame, e1, ro)`, of slices; or `(channel, 1, e1, ro)`, of a series of one slice, whose
    maps come from its first frame. snr: of bright tissue per part. crop: edge in pixels of a random square that alone
    is combined (the maps cost most), or None for all. Half of the maps come from ACS lines, as at R > 1.
    p_zero_filled: probability that the scan measured less than all of k-space. flat: take the coils'
    shading away, so that the combined magnitude is that of the object. step: grid of the coil maps.
    """
    shape = frames.shape[-2:]
    rss = power(sensitivities).sqrt()
    if flat:
        sensitivities, rss = sensitivities / rss, torch.ones_like(rss)
    scale = snr / tissue_level(rss * frames.abs())
    kspace_filter, resolution = None, (1.0, 1.0)
    if rng.random() < p_zero_filled:
        resolution = (float(rng.uniform(0.55, 1.0)), float(rng.uniform(0.55, 1.0)))
        e1, ro = (resolution_filter(n, f) for n, f in zip(shape, resolution, strict=True))
        kspace_filter = e1[:, None] * ro
    n_acs = int(rng.integers(20, 49)) if rng.random() < 0.5 else None
    place = slice(0, shape[0]), slice(0, shape[1])
    if crop is not None:
        place = _draw_crop(frames.abs().mean(dim=0), crop, rng)
    maps = torch.empty(0)
    clean: list[Tensor] = []
    kept: list[Tensor] = []
    for number, frame in enumerate(frames):
        of_frame = sensitivities[:, min(number, sensitivities.shape[1] - 1)]
        coils = of_frame * (frame * scale)
        noise = white_noise(tuple(coils.shape), rng)
        if kspace_filter is not None:
            coils = to_image(to_kspace(coils) * kspace_filter)
            noise = to_image(to_kspace(noise) * (kspace_filter / kspace_filter.square().mean().sqrt()))
        if number < sensitivities.shape[1]:
            maps = _maps(coils + noise if n_acs is None else acs_image(coils + noise, n_acs), place, step)
        for combined, part in ((clean, coils), (kept, noise)):
            combined.append((maps.conj() * part[(slice(None), *place)]).sum(dim=0))
    return SimulatedScan(torch.stack(clean), torch.stack(kept), snr, resolution, place)


def acs_image(coils: Tensor, n_lines: int) -> Tensor:
    """Coil images from the central `n_lines` of k-space alone, Hann window along e1."""
    n_e1 = coils.shape[1]
    taper = torch.zeros(n_e1)
    kept = centred_slice(min(n_lines, n_e1), n_e1)
    n_kept = kept.stop - kept.start
    taper[kept] = torch.sin(torch.pi * (torch.arange(n_kept) + 0.5) / n_kept).square()
    return to_image(to_kspace(coils, dims=(-2,)) * taper[:, None], dims=(-2,))


def gmaps(image: Tensor, accelerations: tuple[int, ...], rng: Generator, snr: float, n_channels: int) -> list[Tensor]:
    """g-maps `(e1, ro)` float32 that the scanner's chain has of one object and coil set, from noisy ACS lines.

    Raises ScanError where these are too few.
    """
    coils = loop_sensitivities(n_channels, tuple(image.shape), rng) * image
    acs, start = _calibration(coils[:, None], rng, snr)
    lattices = [Lattice((r, 1)) for r in accelerations]
    return [gmap[0] for gmap in unscanned_gmaps(acs, start, (1, image.shape[0]), lattices, step=1)]


def coil_gmaps(
    coils: Tensor, accelerations: Sequence[tuple[int, int]], rng: Generator, snr: float
) -> dict[tuple[int, int], Tensor]:
    """`possible_gmaps` of coil images `(channel, e2, e1, ro)` free of noise, by acceleration (R1, R2).

    snr: of bright tissue per part.
    """
    acs, start = _calibration(coils, rng, snr)
    size = coils.shape[1], coils.shape[2]
    return possible_gmaps(acs, start, size, accelerations, 1 if size[0] == 1 else MAPS.step)


def _calibration(coils: Tensor, rng: Generator, snr: float) -> tuple[Tensor, tuple[int, int]]:
    """Noisy calibration lines, 24 to 40 along e1, and in volumes as many partitions; and the index of the first."""
    noisy = coils * (snr / tissue_level(power(coils).sqrt()))
    noisy = noisy + white_noise(tuple(coils.shape), rng)
    n_lines = int(rng.integers(24, 41))
    size = coils.shape[1], coils.shape[2]
    partitions, lines = (centred_slice(min(n_lines, n), n) for n in size)
    dims = (-3, -2, -1) if size[0] > 1 else (-2, -1)
    return to_kspace(noisy, dims=dims)[:, partitions, lines], (partitions.start, lines.start)


def _maps(reference: Tensor, place: tuple[slice, slice], step: int) -> Tensor:
    """Coil maps `(channel, rows, columns)` of the part `place` of coil images `(channel, e1, ro)`."""
    rows, columns = (_widen(kept, size) for kept, size in zip(place, reference.shape[1:], strict=True))
    top, left = place[0].start - rows.start, place[1].start - columns.start
    height, width = (kept.stop - kept.start for kept in place)
    around = reference[:, None, rows, columns]
    return MapOptions(step=step).finder(None)(around)[:, 0, top : top + height, left : left + width]


def _draw_crop(magnitude: Tensor, crop: int, rng: Generator) -> tuple[slice, slice]:
    """A random square, most often one with an object in at least a fifth of it."""
    anywhere = rng.random() < 0.1
    for _ in range(10):
        row, column = (int(rng.integers(0, n - crop + 1)) for n in magnitude.shape)
        rows, columns = slice(row, row + crop), slice(column, column + crop)
        if anywhere or (magnitude[rows, columns] > 0.1).float().mean() > 0.2:
            break
    return rows, columns


def _widen(kept: slice, size: int) -> slice:
    return slice(max(0, kept.start - BESIDE), min(size, kept.stop + BESIDE))
