"""Gadget: fewer, virtual channels, to reconstruct faster from large coil arrays."""

import dataclasses
import functools
import logging
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from ..items import Bucket, Calibration
from ..recon.compression import compressed, compression_matrix, kept_share
from ..recon.sampling import central_window
from .gadget import Gadget, Scan, each
from .shared import SharedBySlice

log = logging.getLogger(__name__)

CENTRAL = 24  # lines of an image without calibration lines that the channels are found from


@dataclass(frozen=True)
class Parameters:
    """How far the channels are compressed."""

    channels: Annotated[
        int, "number of virtual channels to keep, 1 to 1024; a scan that has no more is left as it is"
    ] = 16

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= 1024:
            raise ValueError(f"channels is {self.channels}; expected 1 to 1024")


@dataclass(frozen=True, eq=False)
class _Compression:
    matrix: Tensor
    calibration: Calibration | None


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Compress the channels of each `Bucket`.

    Images of a slice that share their calibration share the matrix, and a compressed calibration. One that has no
    calibration has a matrix of its own, as `coil_combine` gives it maps of its own.
    """
    shared: SharedBySlice[Calibration, _Compression] = SharedBySlice()
    return each(Bucket, lambda bucket: _compressed(bucket, parameters.channels, shared))


def _compressed(bucket: Bucket, n_channels: int, shared: SharedBySlice[Calibration, _Compression]) -> Bucket:
    if len(bucket.kspace) <= n_channels:
        return bucket
    if bucket.calibration is None:
        found = _Compression(_matrix(_central(bucket), n_channels), None)
    else:
        found = shared.get(bucket.head, bucket.calibration, functools.partial(_by, bucket.calibration, n_channels))
    return dataclasses.replace(bucket, kspace=compressed(found.matrix, bucket.kspace), calibration=found.calibration)


def _by(calibration: Calibration, n_channels: int) -> _Compression:
    matrix = _matrix(calibration.kspace, n_channels)
    return _Compression(matrix, Calibration(compressed(matrix, calibration.kspace), calibration.start))


def _matrix(signal: Tensor, n_channels: int) -> Tensor:
    matrix = compression_matrix(signal, n_channels)
    log.info("%d channels to %d: %.2f %% of the signal", len(signal), n_channels, 100 * kept_share(matrix, signal))
    return matrix


def _central(bucket: Bucket) -> Tensor:
    n_e2, n_e1 = bucket.kspace.shape[1:3]
    rows = [central_window(slice(0, n), n, CENTRAL) for n in (n_e2, n_e1)]
    return bucket.kspace[:, rows[0], rows[1]]
