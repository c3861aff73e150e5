"""Gadget: fewer, virtual channels, to reconstruct faster from large coil arrays."""

import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from ..items import Bucket, Calibration, CalibrationBlock, Item
from ..recon.compression import compressed, compression_matrix, kept_share
from ..recon.sampling import central
from ..sorting.calibration_choice import CHOICES
from .gadget import Gadget, Scan
from .shared import SharedBySlice

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parameters:
    """How far the channels are compressed."""

    channels: Annotated[
        int, "number of virtual channels to keep, 1 to 1024; a scan that has no more is left as it is"
    ] = 16

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= 1024:
            raise ValueError(f"channels is {self.channels}; expected 1 to 1024")


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Compress the channels of each `Bucket`.

    Images of a slice and contrast share the matrix of the first complete calibration there, and a compressed
    calibration where they share that. One that has no calibration has a matrix of its own, as `coil_combine` gives it
    maps of its own.
    """
    return _Compressor(parameters.channels)


class _Compressor(Gadget):
    def __init__(self, n_channels: int) -> None:
        self._n_channels = n_channels
        self._first = CHOICES["first"]()
        self._matrices: SharedBySlice[Calibration, Tensor] = SharedBySlice()
        self._latest: dict[tuple[int, ...], tuple[Calibration, Tensor, Calibration]] = {}

    def take(self, item: Item) -> Iterable[Item]:
        if not isinstance(item, Bucket) or len(item.kspace) <= self._n_channels:
            return (item,)
        self._first.add(item)
        first, own, calibration = self._first.of(item), item.calibration, None
        if first is None or own is None:
            matrix = _matrix(central(item.kspace), self._n_channels)
        else:
            matrix = self._matrices.get(item.head, first, lambda: _matrix(first.kspace, self._n_channels))
            idx = item.head.idx
            calibration = self._of(own, matrix, (idx.slice, idx.contrast, idx.phase, idx.set))
        kspace = compressed(matrix, item.kspace)
        return (dataclasses.replace(item, kspace=kspace, calibration=calibration, compression=matrix),)

    def _of(self, own: Calibration, matrix: Tensor, place: tuple[int, ...]) -> Calibration:
        """A calibration compressed, the same object as long as both are the same."""
        latest = self._latest.get(place)
        if latest is None or latest[0] is not own or latest[1] is not matrix:
            latest = self._latest[place] = own, matrix, _compressed(own, matrix)
        return latest[2]


def _compressed(calibration: Calibration, matrix: Tensor) -> Calibration:
    """Compressed once it is used."""

    def found() -> CalibrationBlock:
        block = calibration.block
        return dataclasses.replace(block, kspace=compressed(matrix, block.kspace))

    return Calibration(found)


def _matrix(signal: Tensor, n_channels: int) -> Tensor:
    matrix = compression_matrix(signal, n_channels)
    log.info("%d channels to %d: %.2f %% of the signal", len(signal), n_channels, 100 * kept_share(matrix, signal))
    return matrix
