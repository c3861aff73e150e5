"""sN2N pairs of magnitude volumes that are scanned in 3D in simulation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
LARGEST_PLANE = 128  # pixels


@dataclass(frozen=True)
class PairTask:
    """One pair to be made, in the folder `place`. with_reference: whether it tells the truth, noise-free."""

    place: Path
    source: Source
    seed: tuple[int, ...]
    with_reference: bool


def make(task: PairTask) -> Pair:
    """Scan the volume at R = 2 x 1 and split it.

    SNR 6 to 25 of bright tissue at R=1: beyond, halves differ by aliasing more than by noise.
    """
    rng = np.random.default_rng(task.seed)
    coils = draw_coil_images(task.source.volume(), rng)
    snr = float(np.exp(rng.uniform(np.log(6), np.log(25))))
    clean = to_kspace(coils * (snr / tissue_level(power(coils).sqrt())), dims=(1, 2, 3))
    volume = scanned(clean, rng)
    first, second, plain, *reference = pairs.split(volume, clean if task.with_reference else None)
    return Pair(task.source.subject, str(task.source), first, second, plain, reference[0] if reference else None)


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
    axes = _axes(volume)
    if not axes:
        raise ConfigurationError(
            f"volume {volume.name} has {volume.data.shape} voxels of {volume.voxel_mm} mm; expected "
            f"{FEWEST_PARTITIONS} slices that are {THINNEST:g} of their plane's edge thick together"
        )
    axis = int(rng.choice(axes))
    n_all = volume.data.shape[axis]
    thickness = math.ceil(n_all / rng.integers(FEWEST_PARTITIONS, MOST_PARTITIONS + 1))
    starts = range(0, n_all - thickness + 1, thickness)
    slices = np.stack([volumes.plane(volume, axis, start, thickness) for start in starts])
    heights = volumes.heights_of(volume, axis, np.array(starts) + thickness / 2)
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


def _axes(volume: volumes.Volume) -> list[int]:
    extents = np.multiply(volume.data.shape, volume.voxel_mm)
    return [
        axis
        for axis in volumes.stack_axes(volume)
        if volume.data.shape[axis] >= FEWEST_PARTITIONS
        and extents[axis] >= THINNEST * max(extents[other] for other in range(3) if other != axis)
    ]
