"""Two images of one scan whose noise is independent: sN2N's input and label.

Source: Jung et al., "MR-self Noise2Noise", European Radiology (2022), doi 10.1007/s00330-022-09243-y. The acquired
k-space is split along kz (e2) into alternate lines; a 3 (ro) x 2 x 2 GRAPPA kernel, fitted on the calibration lines of
the original, fills both halves, and the same coil maps combine them. An image of drawn noise, reconstructed as the
whole scan is, serves `noisy_labels`.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError, ScanError
from snrstream.items import Bucket
from snrstream.recon.acquired import Acquired
from snrstream.recon.combine import Grid
from snrstream.recon.grappa import Kernel
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import KernelOptions, MapOptions, fit_kernel
from snrstream.recon.sampling import on_lattice
from snrstream.recon.volume import combine_in_slabs
from snrtrain.archive import raw
from snrtrain.archive.archive import Pair
from snrtrain.archive.production import write

MAPS = MapOptions("walsh")
KERNEL_OF_HALVES = KernelOptions(n_lines=2, n_partitions=2, n_samples=3)


@dataclass(frozen=True)
class VolumeScan:
    """A prewhitened scan in 3D.

    kspace: `(channel, e2, e1, ro)` complex64, zero where nothing was acquired. first: one line (e2, e1) of the
    `lattice` that the others follow. acs: contiguous calibration lines, their first line at index `start` (e2, e1).
    noise_sd: of its samples, a scalar or what broadcasts over (e2, e1, ro): averaged lines have less.
    """

    kspace: Tensor
    lattice: Lattice
    first: tuple[int, int]
    acs: Tensor
    start: tuple[int, int]
    noise_sd: Tensor | float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Of k-space: lines along e2 and e1."""
        return self.kspace.shape[1], self.kspace.shape[2]


@dataclass(frozen=True)
class Images:
    """`(e2, e1, ro)`: magnitudes float32 of the two halves, and complex64 of the whole scan.

    In SNR units of the image of all lines: its noise SD is g, that of the halves sqrt(2) times their own g. reference:
    magnitude of the fully sampled k-space. noise: complex64, of drawn noise alone, of which it has as much as `whole`.
    """

    first: np.ndarray
    second: np.ndarray
    whole: np.ndarray
    reference: np.ndarray | None = None
    noise: np.ndarray | None = None

    def pair(self, subject: str, source: str) -> Pair:
        """For the archive."""
        plain = np.abs(self.whole)
        kept = (None, None) if self.noise is None else (self.whole, self.noise)
        return Pair(subject, source, self.first, self.second, plain, self.reference, *kept)


def split(volume: VolumeScan, full: Tensor | None = None, noise: torch.Generator | None = None) -> Images:
    """The images of the two halves and of all lines, all by the kernels and the maps of one scan.

    full: fully sampled k-space, for the reference. noise: draws noise, for its image.
    Raises ScanError where the calibration lines are too few for the kernels.
    """
    sparse, masks = halves(volume)
    calibration = volume.acs, volume.start, volume.size
    half = fit_kernel(*calibration, sparse, KERNEL_OF_HALVES)
    whole = fit_kernel(*calibration, volume.lattice) if volume.lattice.acceleration != (1, 1) else None
    on = masks[0] | masks[1]  # calibration lines between those of the lattice do not count
    acquired = on & (volume.kspace[0].abs().amax(dim=-1) > 0)
    # The scale of the whole also for its halves, so that they show its intensities.
    scale = Acquired.of(acquired, volume.lattice, volume.kspace.shape[-1]).scale
    maps = _SameMaps(volume.acs)

    def image(kspace: Tensor, kernel: Kernel | None) -> np.ndarray:
        maps.begin()
        acs = volume.acs, volume.start
        found, _ = combine_in_slabs(kspace, Grid(volume.size), kernel, acs, scale, maps, MAPS.margin, MAPS.step)
        made: np.ndarray = found.numpy()
        return made

    first, second = (np.abs(image(volume.kspace * mask[..., None], half)) for mask in masks)
    plain = image(volume.kspace * on[..., None], whole)
    reference = np.abs(image(full, None)) if full is not None else None
    if noise is None:
        return Images(first, second, plain, reference)
    drawn = 2**0.5 * torch.randn(volume.kspace.shape, dtype=volume.kspace.dtype, generator=noise)
    return Images(
        first, second, plain, reference, image(drawn * volume.noise_sd * acquired[..., None], whole)
    )  # fmt: skip


def halves(volume: VolumeScan) -> tuple[Lattice, tuple[Tensor, Tensor]]:
    """The lattice of every other acquired partition, and which lines belong to each half: two bool `(e2, e1)`."""
    (r1, r2), shift = volume.lattice.acceleration, volume.lattice.shift
    sparse = Lattice((r1, 2 * r2), 2 * shift % r1)
    every = np.indices(volume.size).reshape(2, -1).T
    z, y = volume.first
    masks = (on_lattice(every, sparse, first).reshape(volume.size) for first in ((z, y), (z + r2, y + shift)))
    one, other = (torch.from_numpy(mask) for mask in masks)
    return sparse, (one, other)


def store(task: raw.FileTask) -> None:
    """Write the pairs of one raw scan."""
    names = []
    for number, pair in enumerate(from_raw(task.path, task.subject, task.licence, task.n_channels)):
        names.append(f"{task.path.stem}-pair-{number:04}")
        write(task.place / names[-1], pair)
    task.done("pairs", names)


def from_raw(path: Path, subject: str, licence: str, n_channels: int | None = None) -> Iterator[Pair]:
    """A pair of each volume that the raw scan holds.

    Raises ConfigurationError, naming the file, where it holds a single partition, or too few calibration lines.
    """
    for bucket in raw.buckets(path, n_channels):
        if bucket.grid.size[0] == 1:
            raise ConfigurationError(f"{path} has one partition; sN2N pairs are halves of scans in 3D")
        try:
            # Of a seed that goes by the file: the same file gives the same pair.
            images = split(volume_of(bucket), noise=torch.Generator().manual_seed(zlib.crc32(path.name.encode())))
        except ScanError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        yield images.pair(subject, f"{path.name} ({licence})")


def volume_of(bucket: Bucket) -> VolumeScan:
    """All of k-space of a bucket, which may hold the acquired lines alone."""
    n_channels, _, _, n_ro = bucket.kspace.shape
    (z0, y0), (step_z, step_y) = bucket.grid.first, bucket.grid.step
    kspace = bucket.kspace.new_zeros(n_channels, *bucket.grid.size, n_ro)
    bucket.grid.of(kspace.permute(1, 2, 0, 3))[:] = bucket.kspace.permute(1, 2, 0, 3)
    z, y = (bucket.line_sd > 0).nonzero()[0].tolist()
    acs, start = raw.calibration(bucket)
    line_sd = torch.zeros(bucket.grid.size)
    bucket.grid.of(line_sd)[:] = bucket.line_sd
    noise_sd = line_sd[..., None] * bucket.sample_sd
    return VolumeScan(kspace, bucket.lattice, (z0 + z * step_z, y0 + y * step_y), acs, start, noise_sd)


class _SameMaps:
    """Coil maps by Walsh's method, slab after slab; found in the first pass, and the same in those that follow."""

    def __init__(self, acs: Tensor) -> None:
        self.find = MAPS.finder(MAPS.reference(acs))
        self.found: list[Tensor] = []
        self.slab = 0

    def begin(self) -> None:
        self.slab = 0

    def __call__(self, coils: Tensor) -> Tensor:
        if self.slab == len(self.found):
            self.found.append(self.find(coils))
        self.slab += 1
        return self.found[self.slab - 1]
