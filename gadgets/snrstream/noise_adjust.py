"""Gadget: prewhiten acquisitions to SNR units by the scan's own noise measurement."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import ismrmrd
import numpy as np
import torch
from ismrmrd import xsd

from .errors import ScanError
from .items import ScanWarning
from .mrd.acquisitions import NOISE_FLAG, NOT_IMAGE_FLAGS, head_of, with_data
from .mrd.header import noise_bandwidth_ratio
from .recon.noise import noise_covariance, prewhitening_matrix, whitening_bias

log = logging.getLogger(__name__)

BIAS_WORTH_A_WARNING = 1.02
MOST_NOISE_BYTES = 1 << 29
LONGEST_DWELL_US = 1e5


@dataclass(frozen=True)
class Parameters:
    """missing_noise: what to do with a scan without a noise measurement: `error`, or `unwhitened` to go
    on in raw units, with a warning in the log and in every image's meta."""

    missing_noise: Literal["error", "unwhitened"] = "error"


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """Whiten every acquisition; noise acquisitions are used up, other items pass.

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
    for item in items:
        if not isinstance(item, ismrmrd.Acquisition) or head_of(item).flags & NOT_IMAGE_FLAGS:
            yield item
        elif head_of(item).flags & NOISE_FLAG:
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
                by_dwell[own_us] = whiten if own_us == dwell_us else whiten * _dwell_factor(item, dwell_us)
            yield _apply(by_dwell[own_us], item)


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
    noise: list[ismrmrd.Acquisition],
    first: ismrmrd.Acquisition,
    header: xsd.ismrmrdHeader,
    parameters: Parameters,
) -> tuple[np.ndarray | None, list[str]]:
    if not noise:
        if parameters.missing_noise == "error":
            raise ScanError(
                "scan holds no noise measurement before its image data; SNR units need one "
                "(property missing_noise=unwhitened of noise_adjust goes on without)"
            )
        return None, ["NOT IN SNR UNITS: no noise measurement, data was not prewhitened"]
    counts = sorted({acquisition.active_channels for acquisition in noise})
    if len(counts) > 1:
        raise ScanError(f"noise measurements have {counts} channels; expected one count")
    dwells = sorted({acquisition.sample_time_us for acquisition in noise})
    if len(dwells) > 1:
        raise ScanError(f"noise measurements have dwell times {dwells} us; expected one")
    samples = torch.from_numpy(np.concatenate([acquisition.data for acquisition in noise], axis=1))
    n_channels, n_samples = samples.shape
    for what, dwell in (("noise measurement", dwells[0]), ("scan", first.sample_time_us)):
        if not 0 <= dwell <= LONGEST_DWELL_US:
            raise ScanError(f"{what} has a dwell time of {dwell} us; expected 0 (unknown) to {LONGEST_DWELL_US:g} us")
    covariance = noise_covariance(samples)
    matrix = prewhitening_matrix(covariance, first.sample_time_us, dwells[0], noise_bandwidth_ratio(header))
    bias = whitening_bias(n_samples, n_channels)
    warnings = []
    if 0 in (dwells[0], first.sample_time_us):
        warnings.append("dwell time of the scan or its noise measurement is unknown (0): taken to be the same")
    if bias > BIAS_WORTH_A_WARNING:
        warnings.append(
            f"noise covariance of {n_channels} channels comes from {n_samples} samples: "
            f"whitened noise is {100 * (bias - 1):.1f} % too high (50 samples a channel: 1 %)"
        )
    log.info(
        "prewhitening %d channels by %d noise samples; dwell time of the scan %.2f us, of the noise %.2f us",
        n_channels, n_samples, first.sample_time_us, dwells[0],
    )  # fmt: skip
    return matrix.numpy(), warnings


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
