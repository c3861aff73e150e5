"""sN2N pairs of magnitude volumes that are scanned in 3D in simulation.

Half of the time a volume is scanned whole, coarsely, its partitions means of slices; else a block of it in its own
resolution: partitions of 0.7 mm of a volume of 0.7 mm.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrstream.recon.fft import centred_slice, to_kspace
from snrstream.recon.lattice import Lattice
from snrstream.recon.unmixing import power
from snrtrain.archive import volumes
from snrtrain.archive.archive import AXES, SPLITS, Pair
from snrtrain.methods import pairs
from snrtrain.metrics import tissue_level
from snrtrain.simulation import objects, scanner
from snrtrain.simulation.coils import stack_sensitivities
from snrtrain.simulation.phantom import white_noise
from snrtrain.simulation.simulated import Source, sized

LATTICE = Lattice((2, 1))  # the paper's acceleration
N_ACS = 24
FEWEST_PARTITIONS, MOST_PARTITIONS = 28, 44
THINNEST = 0.4  # extent along e2 over that of the plane: halves of a thinner slab look alike to all channels
THICKEST = 2.0  # the same: a longer one is a list of images
LARGEST_PLANE = 128  # pixels
MOST_OF_BLOCK = 72  # partitions
BORDER = 6  # pixels over which a block fades into air


@dataclass(frozen=True)
class PairTask:
    """One pair to be made, in the folder `place`. to_judge: whether it has the truth, and an image of drawn noise."""

    place: Path
    source: Source
    seed: tuple[int, ...]
    to_judge: bool


def make(task: PairTask) -> Pair:
    """Scan the volume at R = 2 x 1 and split it.

    SNR 6 to 25 of bright tissue at R=1: beyond, halves differ by aliasing more than by noise.
    """
    rng = np.random.default_rng(task.seed)
    coils = draw_coil_images(task.source.volume(), rng)
    snr = float(np.exp(rng.uniform(np.log(6), np.log(25))))
    clean = to_kspace(coils * (snr / tissue_level(power(coils).sqrt())), dims=(1, 2, 3))
    volume = scanned(clean, rng)
    if not task.to_judge:
        return pairs.split(volume).pair(task.source.subject, str(task.source))
    drawn = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return pairs.split(volume, clean, drawn).pair(task.source.subject, str(task.source))


def plan(
    archive: Path, sources: Mapping[str, Sequence[Source]], counts: Mapping[str, int], seed: int
) -> list[PairTask]:
    """`counts[split]` pairs, of the volumes `sources[split]` in turn, those that are too thin left out."""
    tasks = []
    for split, of_split in sources.items():
        able = [source for source in of_split if source.has_neighbours() and _axes(source.volume())]
        for index in range(counts[split] if able else 0):
            source = able[index % len(able)]
            place = archive / split / source.subject / f"pair-{index:04}"
            number = (seed, SPLITS.index(split), len(AXES), index)
            tasks.append(PairTask(place, source, number, split != "train"))
    return tasks


def draw_coil_images(volume: volumes.Volume, rng: Generator) -> Tensor:
    """Coil images `(channel, e2, e1, ro)` complex64 of the whole volume, free of noise.

    Raises ConfigurationError where the volume is too thin.
    """
    axis = int(rng.choice(able_axes(volume)))
    fine = _of_block(volume, axis)
    slices, heights = _block(volume, axis, fine, rng) if fine and rng.random() < 0.5 else _whole(volume, axis, rng)
    magnitude = np.ascontiguousarray(objects.remap(slices, rng), dtype=np.float32)
    image, content = sized(scanner.complex_object(magnitude, rng, heights), rng, LARGEST_PLANE)
    shape = tuple(image.shape[1:])
    shrink = max(content) / max(shape)
    n_channels = int(rng.integers(16, 25))
    return image * stack_sensitivities(n_channels, shape, [shrink * z for z in heights], rng, fewest_rings=2)


def scanned(clean: Tensor, rng: Generator, lattice: Lattice = LATTICE) -> pairs.VolumeScan:
    """Fully sampled noise-free k-space `(channel, e2, e1, ro)` as a scan brings it.

    With unit noise, the lines of the lattice, and a block of calibration lines in the centre.
    """
    size = clean.shape[1], clean.shape[2]
    noisy = clean + white_noise(tuple(clean.shape), rng)
    partitions, lines = (centred_slice(min(N_ACS, n), n) for n in size)
    first = size[0] // 2 % lattice.acceleration[1], size[1] // 2 % lattice.acceleration[0]
    volume = pairs.VolumeScan(
        noisy, lattice, first, noisy[:, partitions, lines].clone(), (partitions.start, lines.start)
    )
    _, (one, other) = pairs.halves(volume)
    noisy *= (one | other)[..., None]
    return volume


def whole(volume: volumes.Volume, rng: Generator) -> tuple[np.ndarray, list[float]]:
    """Slices `(e2, e1, ro)` float32 over all of an axis, coarse ones, and their heights, at its own contrast.

    Raises ConfigurationError where the volume is too thin.
    """
    slices, heights = _whole(volume, int(rng.choice(able_axes(volume))), rng)
    coarse = min(1.0, LARGEST_PLANE / max(slices.shape[1:]))
    size = [max(2, round(coarse * n)) for n in slices.shape[1:]]
    made = torch.nn.functional.interpolate(torch.from_numpy(slices)[None], size=size, mode="area")[0]
    return made.numpy(), heights


def able_axes(volume: volumes.Volume) -> list[int]:
    """Along which the volume may be scanned in 3D. Raises ConfigurationError where it is too thin."""
    axes = _axes(volume)
    if not axes:
        raise ConfigurationError(
            f"volume {volume.name} has {volume.data.shape} voxels of {volume.voxel_mm} mm; expected "
            f"{FEWEST_PARTITIONS} slices that are {THINNEST:g} to {THICKEST:g} of their plane's edge thick together"
        )
    return axes


def _whole(volume: volumes.Volume, axis: int, rng: Generator) -> tuple[np.ndarray, list[float]]:
    """Slices `(e2, e1, ro)` over all of the axis, and their heights as `volumes.Stack` counts them."""
    n_all = volume.data.shape[axis]
    thickness = max(1, n_all // int(rng.integers(FEWEST_PARTITIONS, MOST_PARTITIONS + 1)))
    starts = range(0, n_all - thickness + 1, thickness)
    slices = np.stack([volumes.plane(volume, axis, start, thickness) for start in starts])
    return slices, list(volumes.heights_of(volume, axis, np.array(starts) + thickness / 2))


def _of_block(volume: volumes.Volume, axis: int) -> range:
    """How many partitions a block may have, to be neither too thin nor too thick for its plane."""
    planes = [(n, edge) for other, (n, edge) in enumerate(zip(volume.data.shape, volume.voxel_mm, strict=True))
              if other != axis]  # fmt: skip
    pixel = min(edge for _, edge in planes)  # see `volumes.plane`
    extent = max(min(LARGEST_PLANE * pixel, n * edge) for n, edge in planes)
    least, most = (share * extent / volume.voxel_mm[axis] for share in (THINNEST, THICKEST))
    return range(
        max(FEWEST_PARTITIONS, math.ceil(least)), min(MOST_OF_BLOCK, volume.data.shape[axis], math.floor(most)) + 1
    )  # fmt: skip


def _block(
    volume: volumes.Volume, axis: int, n_partitions: range, rng: Generator
) -> tuple[np.ndarray, list[float]]:  # fmt: skip
    """As `_whole` of a part of the volume, as fine as it is, most often with an object in it."""
    n_slices = int(rng.choice(n_partitions))
    for _ in range(20):
        start = int(rng.integers(0, volume.data.shape[axis] - n_slices + 1))
        slices = np.stack([volumes.plane(volume, axis, start + n) for n in range(n_slices)])
        rows, columns = (_part(n, rng) for n in slices.shape[1:])
        slices = slices[:, rows, columns]
        if (slices > 0.2).mean() > 0.3:
            break
    for along, n in enumerate(slices.shape):
        edge = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
        fading = np.sin(np.pi / 2 * np.minimum(1, edge / BORDER)) ** 2
        slices = slices * fading.astype(np.float32).reshape([-1 if dim == along else 1 for dim in range(3)])
    in_plane = min(volume.voxel_mm[other] for other in range(3) if other != axis)
    spacing = 2 * volume.voxel_mm[axis] / (in_plane * max(slices.shape[1:]))
    return slices, [spacing * (n + 0.5 - n_slices / 2) for n in range(n_slices)]


def _part(n: int, rng: Generator) -> slice:
    size = min(n, LARGEST_PLANE)
    start = int(rng.integers(0, n - size + 1))
    return slice(start, start + size)


def _axes(volume: volumes.Volume) -> list[int]:
    extents = np.multiply(volume.data.shape, volume.voxel_mm)
    return [
        axis
        for axis in volumes.stack_axes(volume)
        if volume.data.shape[axis] >= FEWEST_PARTITIONS
        and THINNEST <= extents[axis] / max(extents[other] for other in range(3) if other != axis) <= THICKEST
    ]
