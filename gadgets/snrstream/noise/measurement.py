"""A noise measurement, whether a scan's own or kept from an earlier one."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import ismrmrd
import numpy as np
import torch
from ismrmrd import xsd

from ..errors import ScanError
from ..recon.noise import noise_covariance
from ..wire.measurement import coil_labels
from ..wire.receiver import noise_bandwidth_ratio

LONGEST_DWELL_US = 1e5
MOST_CHANNELS = 1024
MOST_ASYMMETRY = 1e-4  # of the largest variance; rounding to complex64 leaves 1e-7
LARGEST_VARIANCE = 1e36  # Gadgetron keeps covariances in float32, which holds little more


@dataclass(frozen=True, eq=False)
class NoiseMeasurement:
    """How the noise of the channels is correlated, and how it was measured.

    Attributes
    ----------
    covariance : np.ndarray
        `(channel, channel)` complex128, E[n n^H] as `noise_covariance` gives it.
    n_samples : int
        From how many samples.
    dwell_us : float
        Dwell time, 0 where unknown.
    bandwidth_ratio : float
        `relativeReceiverNoiseBandwidth` of its header.
    labels : tuple[str, ...]
        One coil name for each channel, or none.

    Raises
    ------
    ScanError
        For values that no noise measurement has.
    """

    covariance: np.ndarray
    n_samples: int
    dwell_us: float
    bandwidth_ratio: float
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        covariance, shape = self.covariance, self.covariance.shape
        if len(shape) != 2 or shape[0] != shape[1] or not 1 <= shape[0] <= MOST_CHANNELS:
            raise ScanError(f"noise covariance has shape {shape}; expected (channel, channel), to {MOST_CHANNELS}")
        if covariance.dtype != np.complex128:
            raise ScanError(f"noise covariance holds {covariance.dtype}; expected complex128")
        variances = covariance.diagonal().real
        with np.errstate(over="ignore", invalid="ignore"):
            asymmetry = np.abs(covariance - covariance.conj().T).max()
        # A dead coil element has no noise.
        if not (variances.min() >= 0 < variances.max() and asymmetry <= MOST_ASYMMETRY * variances.max() < np.inf):
            raise ScanError(
                "noise covariance is not E[n n^H]; expected a finite Hermitian one with a diagonal that is positive, "
                "or zero for dead channels"
            )
        if not variances.max() <= LARGEST_VARIANCE:
            raise ScanError(f"noise has a variance of {variances.max():.3g}; expected at most {LARGEST_VARIANCE:g}")
        if self.n_samples <= shape[0]:
            raise ScanError(f"noise covariance of {shape[0]} channels has {self.n_samples} samples; expected more")
        check_dwell("noise measurement", self.dwell_us)
        if not 0 < self.bandwidth_ratio <= 2:
            raise ScanError(f"noise measurement has bandwidth ratio {self.bandwidth_ratio}; expected 0 to 2")
        if self.labels and len(self.labels) != shape[0]:
            raise ScanError(
                f"noise measurement has {len(self.labels)} labels for {shape[0]} channels; expected one each"
            )

    def matched(self, labels: Sequence[str], n_channels: int) -> "NoiseMeasurement":
        """Select the channels of a scan.

        By label where both sides label every channel with a name of its own; without such labels the order is taken as
        it is. Channels that the scan does not have are left out.

        Parameters
        ----------
        labels : sequence of str
            Coil names of the scan, in the order of its channels.
        n_channels : int
            How many channels the scan has.

        Returns
        -------
        NoiseMeasurement
            With the scan's channels in the scan's order.

        Raises
        ------
        ScanError
            Naming channels or their numbers, where a channel of the scan has no noise here.
        """
        if not (_are_names(labels, n_channels) and _are_names(self.labels, len(self.covariance))):
            if len(self.covariance) != n_channels:
                raise ScanError(f"it has {len(self.covariance)} channels and the scan has {n_channels}")
            return self
        missing = [label for label in labels if label not in self.labels]
        if missing:
            raise ScanError(f"it lacks the scan's channels {', '.join(repr(label[:40]) for label in missing[:4])}")
        order = [self.labels.index(label) for label in labels]
        return dataclasses.replace(self, covariance=self.covariance[np.ix_(order, order)], labels=tuple(labels))


def measured_noise(noise: Sequence[ismrmrd.Acquisition], header: xsd.ismrmrdHeader) -> NoiseMeasurement:
    """Measure the noise by a scan's noise acquisitions.

    Parameters
    ----------
    noise : sequence of ismrmrd.Acquisition
        The acquisitions, at least one.
    header : ismrmrdHeader
        Of their scan: the receivers' bandwidth ratio and the channels' labels.

    Returns
    -------
    NoiseMeasurement
        From all samples of all of them.

    Raises
    ------
    ScanError
        Where they differ in channels or dwell time, or their samples are too few, or singular.
    """
    counts = sorted({acquisition.active_channels for acquisition in noise})
    if len(counts) > 1:
        raise ScanError(f"noise measurements have {counts} channels; expected one count")
    dwells = sorted({acquisition.sample_time_us for acquisition in noise})
    if len(dwells) > 1:
        raise ScanError(f"noise measurements have dwell times {dwells} us; expected one")
    check_dwell("noise measurement", dwells[0])
    samples = torch.from_numpy(np.concatenate([acquisition.data for acquisition in noise], axis=1))
    labels = coil_labels(header)
    return NoiseMeasurement(
        covariance=noise_covariance(samples).numpy(),
        n_samples=samples.shape[1],
        dwell_us=dwells[0],
        bandwidth_ratio=noise_bandwidth_ratio(header),
        labels=labels if len(labels) == counts[0] else (),
    )


def check_dwell(what: str, dwell_us: float) -> None:
    """Check a dwell time.

    Parameters
    ----------
    what : str
        What has it, for the error.
    dwell_us : float
        The dwell time in microseconds; 0 stands for unknown.

    Raises
    ------
    ScanError
        Where it is none.
    """
    if not 0 <= dwell_us <= LONGEST_DWELL_US:
        raise ScanError(f"{what} has a dwell time of {dwell_us} us; expected 0 (unknown) to {LONGEST_DWELL_US:g} us")


def _are_names(labels: Sequence[str], n_channels: int) -> bool:
    return len(labels) == n_channels == len(set(labels)) and all(labels)
