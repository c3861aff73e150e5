"""Gadget: prewhiten acquisitions to SNR units by the scan's own noise measurement, or by the one that it names."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import ismrmrd
import numpy as np
from ismrmrd import xsd

from ..errors import ScanError
from ..items import ScanWarning
from ..noise.measurement import LONGEST_DWELL_US, check_dwell, measured_noise
from ..noise.whitening import keep_noise, kept_noise, whitening
from ..wire.acquisitions import NOISE_FLAG, NOT_IMAGE_FLAGS, head_of, with_data
from ..wire.measurement import noise_dependency

log = logging.getLogger(__name__)

MOST_NOISE_BYTES = 1 << 29
MOST_DWELLS = 32


@dataclass(frozen=True)
class Parameters:
    """What to do without a noise measurement.

    A scan that goes on without is in raw units, with a warning in the log and in the meta of every image.
    """

    missing_noise: Annotated[
        Literal["error", "unwhitened"],
        "for a scan that neither holds a noise measurement nor names any: error ends it, unwhitened goes on without",
    ] = "error"
    missing_dependency: Annotated[
        Literal["warn", "error"],
        "where the noise measurement that a scan names is not stored, or lacks its channels: warn goes on without, "
        "error ends the scan",
    ] = "warn"
    measure_only: Annotated[
        bool, "whether the noise measurement is all that is wanted: it is kept, and nothing is handed on"
    ] = False


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """Whiten every acquisition; noise acquisitions are used up, other items pass.

    The scan's own noise measurement is kept by the scan's measurement id, also where nothing else follows. A scan
    without takes the one of the id that its header names.

    Afterwards noise has SD 1 per real and imaginary part of each channel. A warning that the images
    should carry is handed on as a `ScanWarning` ahead of the data it concerns. Navigators and other lines that make
    no image pass as they are.
    """
    noise: list[ismrmrd.Acquisition] = []
    whiten: np.ndarray | None = None
    by_dwell: dict[float, np.ndarray] = {}
    silent: set[int] = set()
    ready = late = False
    n_bytes = 0
    if parameters.measure_only:
        items = filter(_is_noise, items)
    for item in items:
        if not isinstance(item, ismrmrd.Acquisition) or head_of(item).flags & NOT_IMAGE_FLAGS:
            yield item
        elif _is_noise(item):
            if not ready:
                noise.append(item)
                n_bytes += item.data.nbytes
                if n_bytes > MOST_NOISE_BYTES:
                    raise ScanError(f"noise measurement exceeds {MOST_NOISE_BYTES >> 20} MiB; expected less")
            elif not late:
                late = True
                yield _told(f"noise measurement {item.scan_counter} arrived after image data: not used")
        else:
            if not ready:
                whiten, warnings = _whitening(noise, item, header, parameters)
                ready = True
                for text in warnings:
                    yield _told(text, snr_units=whiten is not None)
                dwell_us = item.sample_time_us
            new = _silent_channels(item) - silent
            if new:
                silent |= new
                yield _told(f"channels {sorted(new)} are zero from acquisition {item.scan_counter} on")
            if whiten is None:
                yield item
                continue
            own_us = head_of(item).sample_time_us
            if own_us not in by_dwell:
                if len(by_dwell) == MOST_DWELLS:
                    raise ScanError(f"scan has more than {MOST_DWELLS} dwell times; expected few")
                by_dwell[own_us] = whiten if own_us == dwell_us else whiten * _dwell_factor(item, dwell_us)
            yield _apply(by_dwell[own_us], item)
    if noise and not ready:
        keep_noise(measured_noise(noise, header), header)
    elif parameters.measure_only:
        raise ScanError("scan holds no noise measurement; measure_only of noise_adjust expects one")


def _is_noise(item: Any) -> bool:
    return isinstance(item, ismrmrd.Acquisition) and head_of(item).flags & (NOISE_FLAG | NOT_IMAGE_FLAGS) == NOISE_FLAG


def _told(text: str, snr_units: bool = True) -> ScanWarning:
    log.warning(text)
    return ScanWarning(text, snr_units)


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
        found = whitening(measured, first, header)
        keep_noise(measured, header)
        return found
    if named is None:
        if parameters.missing_noise == "error":
            raise ScanError(
                "scan holds no noise measurement before its image data and names none; SNR units need one "
                "(property missing_noise=unwhitened of noise_adjust goes on without)"
            )
        return None, ["NOT IN SNR UNITS: no noise measurement, data was not prewhitened"]
    try:
        return whitening(kept_noise(named, header, first.active_channels), first, header)
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
