"""Fully sampled scans from which lines are dropped: raw files, and volumes that are scanned in simulation."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ismrmrd
import torch
from ismrmrd import xsd
from numpy.random import Generator
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrstream.gadgets import coil_combine, grappa
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket, Calibration, ReconImage
from snrstream.recon.combine import Grid
from snrstream.recon.fft import centred_slice, to_kspace
from snrstream.recon.grappa import TIKHONOV
from snrstream.recon.lattice import Lattice
from snrstream.recon.unmixing import power
from snrtrain.archive import volumes
from snrtrain.metrics import tissue_level
from snrtrain.simulation.phantom import white_noise
from snrtrain.simulation.simulated_pairs import draw_coil_images

from .replicas import read_scan

N_ACS = 24  # calibration lines, along each axis that has as many
PIPELINE = "grappa_denoise"
ANY_HEADER = xsd.ismrmrdHeader(
    experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_200_000)
)


@dataclass(frozen=True)
class FullScan:
    """All of k-space, and what it shows.

    bucket: without acceleration, its noise of SD 1 per part. truth: magnitude `(e2, e1, ro)` float32 in SNR units.
    header: for the gadgets.
    """

    name: str
    bucket: Bucket
    truth: Tensor
    header: Any

    def at(self, acceleration: tuple[int, int]) -> Bucket:
        """Every R1-th line of every R2-th partition, the central ones among them, and the calibration lines."""
        kspace, size = self.bucket.kspace, self.bucket.grid.size
        sampled = torch.zeros(size)
        r1, r2 = acceleration
        sampled[size[0] // 2 % r2 :: r2, size[1] // 2 % r1 :: r1] = 1
        z, y = (centred_slice(min(N_ACS, n), n) for n in size)
        return dataclasses.replace(
            self.bucket, kspace=kspace * sampled[..., None], line_sd=sampled, lattice=Lattice((r1, r2)),
            calibration=Calibration.of(kspace[:, z, y].contiguous(), (z.start, y.start)),
        )  # fmt: skip


def image_of(bucket: Bucket, header: Any) -> ReconImage:
    """Kernel and image by the gadgets of the scanner."""
    return images_of(bucket, [], header)[0]


def images_of(
    bucket: Bucket, others: Iterable[Tensor], header: Any, tikhonov: float = TIKHONOV
) -> tuple[ReconImage, ...]:
    """The image of a bucket, and those of other k-space by its kernel and maps, by the gadgets of the scanner."""
    (first,) = run_gadget(grappa, [bucket], header, grappa.Parameters(tikhonov=tikhonov))
    if not isinstance(first, Bucket):
        raise TypeError(f"grappa made a {type(first).__name__} of a bucket; expected a Bucket")
    buckets = (first, *(dataclasses.replace(first, kspace=kspace) for kspace in others))
    made = run_gadget(coil_combine, buckets, header, coil_combine.Parameters())
    return tuple(item for item in made if isinstance(item, ReconImage))


def read(path: Path, snr: float | None, rng: Generator) -> FullScan:
    """A raw file without acceleration; its own image is the truth, noise included.

    snr: of tissue. Where it is given, the scan is taken for free of noise, scaled to it, and unit noise added: for one
    whose noise is not known. Raises ScanError where it cannot be reconstructed, ConfigurationError where it has
    acceleration.
    """
    scan = read_scan(path, PIPELINE, 0)
    bucket = scan.bucket
    if bucket.lattice.acceleration != (1, 1):
        r1, r2 = bucket.lattice.acceleration
        raise ConfigurationError(f"{path} has R = {r1} x {r2}; expected a fully sampled scan")
    truth = torch.from_numpy(image_of(bucket, scan.header).image).abs()
    if snr is not None:
        scale = snr / tissue_level(truth)
        noisy = bucket.kspace * scale + white_noise(tuple(bucket.kspace.shape), rng)
        bucket, truth = dataclasses.replace(bucket, kspace=noisy), truth * scale
    return FullScan(path.stem, bucket, truth, scan.header)


def simulated(folder: Path, name: str, snr: float, rng: Generator) -> tuple[FullScan, FullScan]:
    """A volume's middle partition scanned as a slice, and the volume scanned in 3D, by 16 to 24 loop coils.

    snr: of bright tissue. Their truth is free of noise: the coil images' root sum of squares. Raises
    ConfigurationError where the volume is too thin.
    """
    coils = draw_coil_images(volumes.load(folder, name), rng)
    coils = coils * (snr / tissue_level(power(coils).sqrt()))
    middle = coils.shape[1] // 2
    plane = coils[:, middle : middle + 1]
    return scanned(f"{name}, slice", plane, rng), scanned(f"{name}, 3D", coils, rng)


def scanned(name: str, coils: Tensor, rng: Generator) -> FullScan:
    """Coil images `(channel, e2, e1, ro)` in SNR units, free of noise, as a scan with unit noise."""
    kspace = to_kspace(coils, dims=(1, 2, 3)) + white_noise(tuple(coils.shape), rng)
    size = coils.shape[1], coils.shape[2]
    bucket = Bucket(
        kspace, torch.ones(size), Grid(size), Lattice((1, 1)), torch.ones(coils.shape[3]), None, (1.0, 1.0, 1.0),
        ismrmrd.AcquisitionHeader(),
    )  # fmt: skip
    return FullScan(name, bucket, power(coils).sqrt(), ANY_HEADER)
