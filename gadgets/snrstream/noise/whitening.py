"""From noise measurements, a scan's own or kept ones, to the matrix that whitens its data."""

import logging

import ismrmrd
import numpy as np
import torch
from ismrmrd import xsd

from ..errors import ScanError
from ..recon.noise import dead_and_hot, prewhitening_matrix, whitening_bias
from ..wire.measurement import coil_labels, measurement_id
from ..wire.receiver import noise_bandwidth_ratio, noise_bandwidth_warnings
from . import storage_server
from . import store as noise_store
from .measurement import NoiseMeasurement

log = logging.getLogger(__name__)

BIAS_WORTH_A_WARNING = 1.02
RATIO_WORTH_A_WARNING = 0.01


def keep_noise(noise: NoiseMeasurement, header: xsd.ismrmrdHeader) -> None:
    """Keep a scan's own noise for later ones, under the scan's id. What goes wrong is a warning in the log.

    Parameters
    ----------
    noise : NoiseMeasurement
        What the scan measured.
    header : ismrmrdHeader
        Of the scan: its `measurementID`, without which nothing is kept.
    """
    measurement = measurement_id(header)
    if measurement is None:
        log.info("noise measurement is not kept for other scans: the header has no measurementID")
        return
    noise_store.keep(measurement, noise)
    storage_server.keep(measurement, noise, header)


def kept_noise(named: str, header: xsd.ismrmrdHeader, n_channels: int) -> NoiseMeasurement:
    """Find the noise measurement that a scan names: in the store, else in Gadgetron's storage server.

    Parameters
    ----------
    named : str
        Its id.
    header : ismrmrdHeader
        Of the scan.
    n_channels : int
        Of the scan's data.

    Returns
    -------
    NoiseMeasurement
        For the channels of the scan, in their order.

    Raises
    ------
    ScanError
        Where it is not stored, or does not have these channels.
    """
    noise = noise_store.find(named) or storage_server.find(named, header)
    if noise is None:
        raise ScanError(
            f"noise measurement {named[:100]!r} that the scan names is not stored here; "
            "expected it to come first, with default_measurement_dependencies"
        )
    try:
        return noise.matched(coil_labels(header), n_channels)
    except ScanError as exc:
        raise ScanError(f"noise measurement {named[:100]!r} that the scan names is of other channels: {exc}") from None


def whitening_matrix(
    noise: NoiseMeasurement, first: ismrmrd.Acquisition, header: xsd.ismrmrdHeader
) -> tuple[np.ndarray, list[str]]:
    """Make the matrix that whitens a scan's data.

    As in Gadgetron, the bandwidth ratio is that of the scan's header, whichever scan measured the noise.

    Parameters
    ----------
    noise : NoiseMeasurement
        For the channels of the scan.
    first : ismrmrd.Acquisition
        A line of the scan, for its dwell time.
    header : ismrmrdHeader
        Of the scan.

    Returns
    -------
    matrix : np.ndarray
        `(channel, channel)` complex64: `matrix @ data` has noise of SD 1 per real and imaginary part; zero in dead
        channels, which are left out.
    warnings : list of str
        For the images: a guessed bandwidth ratio, another one than that of the noise, dead and hot channels, an unknown
        dwell time, a bias beyond 2 % for lack of samples.

    Raises
    ------
    ScanError
        Where the covariance is singular.
    """
    n_channels, n_samples = len(noise.covariance), noise.n_samples
    ratio = noise_bandwidth_ratio(header)
    covariance = torch.from_numpy(noise.covariance)
    matrix = prewhitening_matrix(covariance, first.sample_time_us, noise.dwell_us, ratio)
    dead, hot = dead_and_hot(covariance)
    bias = whitening_bias(n_samples, n_channels - len(dead))
    warnings = noise_bandwidth_warnings(header)
    if dead:
        warnings.append(f"{_named(dead, noise)} have no noise, or next to none, in the noise measurement: left out")
    if hot:
        warnings.append(
            f"{_named(hot, noise)} have {_least_excess(hot, noise):.0f} times the noise of the others, or more: they "
            "count for as little as they hold"
        )
    if 0 in (noise.dwell_us, first.sample_time_us):
        warnings.append("dwell time of the scan or its noise measurement is unknown (0): taken to be the same")
    if abs(noise.bandwidth_ratio / ratio - 1) > RATIO_WORTH_A_WARNING:
        warnings.append(
            f"relativeReceiverNoiseBandwidth is {ratio:g}, that of the noise measurement {noise.bandwidth_ratio:g}: "
            f"taken to be {ratio:g}"
        )
    if bias > BIAS_WORTH_A_WARNING:
        warnings.append(
            f"noise covariance of {n_channels} channels comes from {n_samples} samples: "
            f"whitened noise is {100 * (bias - 1):.1f} % too high (50 samples a channel: 1 %)"
        )
    log.info(
        "prewhitening %d channels by %d noise samples; dwell time of the scan %.2f us, of the noise %.2f us",
        n_channels, n_samples, first.sample_time_us, noise.dwell_us,
    )  # fmt: skip
    return matrix.numpy(), warnings


def _named(channels: list[int], noise: NoiseMeasurement) -> str:
    """By number, and by the coil element's label where the header has one."""
    names = [f"{n} ({noise.labels[n][:40]})" if noise.labels and noise.labels[n] else str(n) for n in channels]
    return f"channels [{', '.join(names)}]"


def _least_excess(hot: list[int], noise: NoiseMeasurement) -> float:
    """SD of the least of the hot channels over the median of those with noise."""
    sd = np.sqrt(noise.covariance.diagonal().real)
    return float(sd[hot].min() / np.median(sd[sd > 0]))
