"""Gadget: prewhiten acquisitions to SNR units by the scan's own noise measurement, or by the one that it names."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import ismrmrd
import numpy as np
from ismrmrd import xsd

from ..errors import ScanError
from ..items import Item
from ..noise.measurement import LONGEST_DWELL_US, check_dwell, measured_noise
from ..noise.whitening import keep_noise, kept_noise, whitening_matrix
from ..wire.acquisitions import NAVIGATOR_FLAG, NOISE_FLAG, NOT_IMAGE_FLAGS, head_of, with_data
from ..wire.measurement import noise_dependency
from .gadget import Gadget, Scan

log = logging.getLogger(__name__)

MOST_NOISE_BYTES = 1 << 29
MOST_HELD_BYTES = 4 << 30  # of lines that wait for a noise measurement
MOST_DWELLS = 32
WHITENED = 0, NAVIGATOR_FLAG  # of NOT_IMAGE_FLAGS
NO_NOISE = (
    "scan holds no noise measurement and names none; SNR units need one "
    "(property missing_noise=unwhitened of noise_adjust goes on without)"
)


@dataclass(frozen=True)
class Parameters:
    """What to do without a noise measurement.

    A scan that goes on without is in raw units, with a warning in the log and in the meta of every image.
    """

    missing_noise: Annotated[
        Literal["error", "unwhitened"],
        "for a scan that neither holds a noise measurement nor names any: error ends it, unwhitened goes on without; "
        "one that comes behind the image data serves as well with error, and is too late with unwhitened",
    ] = "error"
    missing_dependency: Annotated[
        Literal["warn", "error"],
        "where the noise measurement that a scan names is not stored, or lacks its channels: warn goes on without, "
        "error ends the scan",
    ] = "warn"
    measure_only: Annotated[
        bool, "whether the noise measurement is all that is wanted: it is kept, and nothing is handed on"
    ] = False


def start(scan: Scan, parameters: Parameters) -> Gadget:
    """Whiten every acquisition; noise acquisitions are used up, other items pass.

    The scan's own noise measurement is kept by the scan's measurement id, also where nothing else follows. A scan
    without takes the one of the id that its header names. Where it names none either, and the parameters want one, its
    lines wait, up to 4 GiB, for a noise measurement that comes behind them.

    Afterwards noise has SD 1 per real and imaginary part of each channel; dead channels are zero. Warnings that the
    images should carry are told to the scan ahead of the data that they concern. Phase-correction lines are whitened
    too, for `epi`; navigators and other lines that make no image pass as they are. Raises ScanError where there is no
    noise measurement and the parameters want one, or it does not fit.
    """
    return _Whitener(scan, parameters)


class _Whitener(Gadget):
    def __init__(self, scan: Scan, parameters: Parameters) -> None:
        self._scan, self._parameters = scan, parameters
        self._noise: list[ismrmrd.Acquisition] = []
        self._n_bytes = 0
        self._held: deque[ismrmrd.Acquisition] = deque()  # lines that came before any noise
        self._held_bytes = 0
        self._ready = False  # whether the data has begun
        self._late = False  # whether noise came after that
        self._matrix: np.ndarray | None = None  # for the dwell time of the first line; None where the noise is unknown
        self._dwell_us = 0.0
        self._by_dwell: dict[float, np.ndarray] = {}
        self._silent: set[int] = set()

    def take(self, item: Item) -> Iterable[Item]:
        if isinstance(item, ismrmrd.Acquisition):
            flags = head_of(item).flags & (NOISE_FLAG | NOT_IMAGE_FLAGS)
            if flags == NOISE_FLAG:
                self._measure(item)
                return ()
            if self._parameters.measure_only:
                return ()
            if not self._ready and self._waits(item, flags):
                return ()
            if self._held:
                self._held.append(item)
                return self._released()
            if flags in WHITENED:
                return (self._whitened(item),)
        return () if self._parameters.measure_only else (item,)

    def end(self) -> Iterable[Item]:
        if self._held:
            return self._released()
        if self._noise and not self._ready:
            keep_noise(measured_noise(self._noise, self._scan.header), self._scan.header)
        elif self._parameters.measure_only:
            raise ScanError("scan holds no noise measurement; measure_only of noise_adjust expects one")
        return ()

    def _waits(self, item: ismrmrd.Acquisition, flags: int) -> bool:
        """Whether the line, or a navigator among such lines, is held back until noise comes."""
        if self._noise or self._parameters.missing_noise != "error" or noise_dependency(self._scan.header) is not None:
            return False
        if not self._held:
            if flags not in WHITENED:
                return False
            log.warning("no noise measurement came before the image data: the lines wait for one")
        self._held.append(item)
        self._held_bytes += item.data.nbytes
        if self._held_bytes > MOST_HELD_BYTES:
            raise ScanError(f"{NO_NOISE}; more than {MOST_HELD_BYTES >> 30} GiB of lines have waited for one")
        return True

    def _released(self) -> Iterator[ismrmrd.Acquisition]:
        while self._held:
            item = self._held.popleft()
            yield self._whitened(item) if head_of(item).flags & NOT_IMAGE_FLAGS in WHITENED else item

    def _measure(self, item: ismrmrd.Acquisition) -> None:
        if not self._ready:
            self._noise.append(item)
            self._n_bytes += item.data.nbytes
            if self._n_bytes > MOST_NOISE_BYTES:
                raise ScanError(f"noise measurement exceeds {MOST_NOISE_BYTES >> 20} MiB; expected less")
        elif not self._late:
            self._late = True
            self._warn(f"noise measurement {item.scan_counter} arrived after image data: not used")

    def _whitened(self, item: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
        if not self._ready:
            self._matrix, warnings = _whitening(self._noise, item, self._scan.header, self._parameters)
            self._ready = True
            for text in warnings:
                self._warn(text, snr_units=self._matrix is not None)
            if self._matrix is not None:
                self._silent = set(np.flatnonzero(~self._matrix.any(axis=1)).tolist())  # dead: told already
            self._dwell_us = item.sample_time_us
        new = _silent_channels(item) - self._silent
        if new:
            self._silent |= new
            self._warn(f"channels {sorted(new)} are zero from acquisition {item.scan_counter} on")
        if self._matrix is None:
            return item
        own_us = head_of(item).sample_time_us
        if own_us not in self._by_dwell:
            if len(self._by_dwell) == MOST_DWELLS:
                raise ScanError(f"scan has more than {MOST_DWELLS} dwell times; expected few")
            same = own_us == self._dwell_us
            self._by_dwell[own_us] = self._matrix if same else self._matrix * _dwell_factor(item, self._dwell_us)
        return _apply(self._by_dwell[own_us], item)

    def _warn(self, text: str, snr_units: bool = True) -> None:
        log.warning(text)
        self._scan.warn(text, snr_units)


def _silent_channels(acquisition: ismrmrd.Acquisition) -> set[int]:
    """Channels that hold nothing but zeros. Raw data shows them; whitening spreads other channels' signal there."""
    some = acquisition.data[:, :: max(1, acquisition.data.shape[1] // 8)]
    with np.errstate(invalid="ignore"):  # NaN is not zero
        if some.all() or some.any(axis=1).all():
            return set()
        return set(np.flatnonzero(~acquisition.data.any(axis=1)).tolist())


def _whitening(
    noise: list[ismrmrd.Acquisition], first: ismrmrd.Acquisition, header: xsd.ismrmrdHeader, parameters: Parameters
) -> tuple[np.ndarray | None, list[str]]:
    """The matrix for lines with the dwell time of `first`, None where there is no noise; and warnings."""
    check_dwell("scan", first.sample_time_us)
    named = noise_dependency(header)
    if noise:
        measured = measured_noise(noise, header)
        found = whitening_matrix(measured, first, header)
        keep_noise(measured, header)
        return found
    if named is None:
        if parameters.missing_noise == "error":
            raise ScanError(NO_NOISE)
        return None, ["NOT IN SNR UNITS: no noise measurement, data was not prewhitened"]
    try:
        return whitening_matrix(kept_noise(named, header, first.active_channels), first, header)
    except ScanError as exc:
        if parameters.missing_dependency == "error":
            raise ScanError(f"{exc} (property missing_dependency=warn of noise_adjust goes on without)") from None
        return None, [f"NOT IN SNR UNITS: {exc}; data was not prewhitened"]


def _dwell_factor(acquisition: ismrmrd.Acquisition, first_us: float) -> np.float32:
    """Noise power goes with 1 / dwell: echoes and reference lines may have dwell times of their own."""
    dwell_us = acquisition.sample_time_us
    if not (0 < dwell_us <= LONGEST_DWELL_US and first_us > 0):
        raise ScanError(
            f"acquisition {acquisition.scan_counter} has a dwell time of {dwell_us:g} us; the scan began with "
            f"{first_us:g} us; expected the same, or both known"
        )
    return np.float32(np.sqrt(dwell_us / first_us))


def _apply(whiten: np.ndarray, acquisition: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
    if head_of(acquisition).active_channels != len(whiten):
        raise ScanError(
            f"acquisition {acquisition.scan_counter} has {acquisition.active_channels} channels; "
            f"the noise measurement has {len(whiten)}"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # accumulate refuses what comes of it
        return with_data(acquisition, whiten @ acquisition.data)
