"""Gadget: make plain forward readouts of those of EPI, free of the N/2 ghost and of ramp sampling."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import ismrmrd

from ..errors import ScanError
from ..items import Item
from ..sorting.epi_trains import Trains, counters_of
from ..wire.acquisitions import CALIBRATION, NAVIGATOR_FLAG, NOISE_FLAG, NOT_IMAGE_FLAGS, REVERSED, head_of
from ..wire.header import cartesian_encoding
from ..wire.trapezoid import is_epi
from .gadget import Gadget, Scan

log = logging.getLogger(__name__)

MOST_WAITING_BYTES = 1 << 28
OTHER_FLAGS = (NOT_IMAGE_FLAGS | NOISE_FLAG) & ~NAVIGATOR_FLAG


@dataclass(frozen=True)
class Parameters:
    """There are none."""


def start(scan: Scan, _parameters: Parameters) -> Gadget:
    """Correct the lines of an EPI scan, and use up its phase-correction lines. Any other scan passes as it is.

    EPI is a scan whose header has the trajectory `epi`, and one whose header says `cartesian` while lines of one image,
    or phase-correction lines, run in both directions. Echoes of a multi-echo scan that each run one way are no EPI.
    """
    return _Epi(scan)


class _Epi(Gadget):
    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._trains: Trains | None = self._begun() if is_epi(scan.header) else None  # None but for EPI
        self._is_decided = self._trains is not None
        self._waiting: list[ismrmrd.Acquisition] = []  # until it is decided
        self._waiting_bytes = 0
        self._directions: dict[tuple[int, ...], int] = {}  # of the first line of each image and kind

    def take(self, item: Item) -> Iterable[Item]:
        if (self._is_decided and self._trains is None) or not isinstance(item, ismrmrd.Acquisition):
            return (item,)
        head = head_of(item)
        if head.flags & OTHER_FLAGS or head.encoding_space_ref:
            return (item,)
        return self._decide(item) if self._trains is None else self._through(self._trains, self._trains.take(item))

    def end(self) -> Iterator[Item]:
        waiting, self._waiting = self._waiting, []
        yield from waiting
        if self._trains is not None:
            yield from self._through(self._trains, self._trains.end())

    def failed(self) -> Iterator[Item]:
        try:
            yield from self.end()  # among them may be the last lines of an image
        except ScanError as exc:  # the scan has failed already, for a reason of its own
            log.error("EPI lines that waited: %s", exc)

    def _begun(self) -> Trains:
        trains = Trains(self._scan.header, cartesian_encoding(self._scan.header), self._warn)
        self._scan.sample_sd = trains.sample_sd
        return trains

    def _through(self, trains: Trains, lines: Iterable[ismrmrd.Acquisition]) -> Iterator[Item]:
        for line in lines:
            self._scan.sample_sd = trains.sample_sd
            yield line

    def _decide(self, item: ismrmrd.Acquisition) -> Iterator[Item]:
        """A header that says Cartesian: the first lines tell."""
        self._waiting.append(item)
        self._waiting_bytes += item.data.nbytes
        head = head_of(item)
        kind, direction = head.flags & (NAVIGATOR_FLAG | CALIBRATION), head.flags & REVERSED
        key = (kind, head.idx.slice) if kind & NAVIGATOR_FLAG else (kind, head.idx.average, *counters_of(head))
        is_second = key in self._directions
        if self._directions.setdefault(key, direction) != direction:
            self._warn("the header says cartesian, but lines run in both directions: reconstructed as EPI")
            self._trains = self._begun()
        elif (kind or not is_second) and self._waiting_bytes <= MOST_WAITING_BYTES:
            return
        self._is_decided = True
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            yield from (line,) if self._trains is None else self._through(self._trains, self._trains.take(line))

    def _warn(self, text: str) -> None:
        log.warning(text)
        self._scan.warn(text)
