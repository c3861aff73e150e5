"""Pseudo-replicas of a real scan (Robson et al., MRM 60:895, 2008), by the scanner's chain."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor

from snrstream.chain.chain import Chain
from snrstream.chain.pipelines import named_chain
from snrstream.errors import ConfigurationError, ScanError
from snrstream.items import Bucket, Calibration, ReconImage
from snrstream.wire.header import parse_header
from snrstream.wire.scan_file import ScanFile
from snrtrain.simulation.phantom import white_noise

SAME_LINES = 1e-3  # of their norm: two scans' own noise differs by more
FEWEST_SAMPLES = 4  # for each channel: of fewer, any channels are a combination of any others
BEFORE = ("noise_adjust", "epi", "accumulate", "compress_channels", "grappa")
AFTER = ("taper", "coil_combine", "partial_fourier", "kspace_filter")  # up to what `denoise` gets


@dataclasses.dataclass(frozen=True)
class WhitenedScan:
    """One image's whitened k-space with its kernel, and the steps that make an image of it."""

    bucket: Bucket
    header: Any
    steps: Chain

    def images(self, n_replicas: int, rng: Generator) -> Iterator[ReconImage]:
        """The scan's image as the scanner makes it, then `n_replicas` with unit noise in k-space.

        That noise (SD 1 per part of each whitened sample) adds to the scan's own, which is in all of them. Kernel and
        coil maps stay those of the scan, so that the reconstruction is linear: what varies from one replica to the next
        has the SD g per part.
        """
        first = self._calibrated()
        buckets = (_with_noise(first, 1.0, rng) if k else first for k in range(n_replicas + 1))
        return (item for item in self.steps.run(buckets, self.header) if isinstance(item, ReconImage))

    def noisier(self, sd: float, rng: Generator) -> "WhitenedScan":
        """The scan with noise of SD `sd` per part added to its own, all of it divided by sqrt(1 + sd^2).

        So it is in SNR units again, at a lower SNR. Kernel and coil maps stay those of the scan.
        """
        bucket = _with_noise(self._calibrated(), sd, rng)
        return dataclasses.replace(
            self, bucket=dataclasses.replace(bucket, kspace=bucket.kspace / math.sqrt(1 + sd**2))
        )

    def shares_lines_of(self, other: "WhitenedScan") -> bool:
        """Whether its lines are among those of another scan, noise and all: as in one from which lines were dropped.

        Each may have been whitened by a noise measurement of its own: so the one's channels need only be a linear
        combination of the other's, the same for all samples.
        """
        ours, theirs = _on_full_grid(self.bucket), _on_full_grid(other.bucket)
        if ours.shape != theirs.shape:
            return False
        both = (ours.abs().sum(dim=(0, 3)) > 0) & (theirs.abs().sum(dim=(0, 3)) > 0)
        ours, theirs = ours[:, both].flatten(1).mT, theirs[:, both].flatten(1).mT
        if len(ours) < FEWEST_SAMPLES * ours.shape[1]:
            return False
        apart = ours @ torch.linalg.lstsq(ours, theirs).solution - theirs
        return float(apart.norm()) <= SAME_LINES * float(theirs.norm())

    def _calibrated(self) -> Bucket:
        """Or each replica would have coil maps of its own."""
        first = self.bucket
        if first.calibration is not None:
            return first
        return dataclasses.replace(first, calibration=Calibration.of(first.kspace, (0, 0)))


def _on_full_grid(bucket: Bucket) -> Tensor:
    """Its k-space `(channel, e2, e1, ro)`, 0 where no line was measured."""
    grid = bucket.grid
    full = torch.zeros(len(bucket.kspace), *grid.size, bucket.kspace.shape[-1], dtype=bucket.kspace.dtype)
    (z, y), (dz, dy) = grid.first, grid.step
    full[:, z::dz, y::dy] = bucket.kspace
    return full


def _with_noise(bucket: Bucket, sd: float, rng: Generator) -> Bucket:
    by_sample = sd * bucket.line_sd[..., None] * bucket.sample_sd
    return dataclasses.replace(bucket, kspace=bucket.kspace + white_noise(tuple(bucket.kspace.shape), rng) * by_sample)


def read_scan(path: Path, pipeline: str, number: int) -> WhitenedScan:
    """Image `number` of a raw file, by the gadgets of a pipeline.

    Raises ScanError where the file cannot be reconstructed, or its noise is not known; ConfigurationError where it
    has fewer images.
    """
    steps = named_chain(pipeline).steps
    first, second = (Chain(tuple(s for s in steps if s[0] in names)) for names in (BEFORE, AFTER))
    with ScanFile(path) as file:
        header = parse_header(file.header_xml)
        buckets = (item for item in first.run(file.acquisitions(), header) if isinstance(item, Bucket))
        bucket = next(itertools.islice(buckets, number, None), None)
    if bucket is None:
        raise ConfigurationError(f"--image is {number}; {path} has fewer images, counted from 0")
    if not bucket.snr_units:
        raise ScanError(f"{path} is not in SNR units, for its noise is not known; expected a noise measurement")
    return WhitenedScan(bucket, header, second)


class Spread:
    """Mean and SD over repetitions of the magnitude of images of one shape (Welford's recurrence)."""

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, image: torch.Tensor) -> None:
        """Count an image, complex or real."""
        magnitude = image.abs().double()
        self._n += 1
        off = magnitude - self._mean
        self._mean = self._mean + off / self._n
        self._squares = self._squares + off * (magnitude - self._mean)

    @property
    def mean(self) -> torch.Tensor:
        """Of the magnitude, float64."""
        return self._mean

    @property
    def sd(self) -> torch.Tensor:
        """Of the magnitude, float64; NaN of fewer than two images."""
        return (self._squares / (self._n - 1)).sqrt() if self._n > 1 else torch.full_like(self._mean, math.nan)
