"""Noise covariance and prewhitening to SNR units.

Source: Kellman and McVeigh, "Image reconstruction in SNR units", MRM 54:1439 (2005), and
Hansen and Kellman, "Image reconstruction: an overview for clinicians", JMRI 41:573 (2015).
"""

import math

import torch
from torch import Tensor

from ..errors import ScanError

SMALLEST_OWN_SHARE = 1e-10  # rounding leaves about 1e-14 of a channel that is a sum of others in float32


def noise_covariance(samples: Tensor) -> Tensor:
    """Covariance E[n n^H] of noise samples.

    The noise has zero mean by physics, so none is subtracted. The diagonal holds the variance of the complex samples:
    that of the real plus that of the imaginary part.

    Parameters
    ----------
    samples : Tensor
        `(channel, sample)` complex, as measured.

    Returns
    -------
    Tensor
        `(channel, channel)` complex128, in the unit of `samples` squared.

    Raises
    ------
    ScanError
        Where the samples are not finite, too few, or a channel holds no signal.
    """
    n_channels, n_samples = samples.shape
    if n_channels == 0:
        raise ScanError("noise scan has no channels; expected at least one")
    if n_samples <= n_channels:
        raise ScanError(
            f"noise scan has {n_samples} samples for {n_channels} channels; the covariance needs "
            f"more than {n_channels} (50 a channel for a bias under 1 %)"
        )
    samples = samples.to(torch.complex128)
    if not bool(torch.isfinite(torch.view_as_real(samples)).all()):
        raise ScanError("noise scan holds NaN or infinite samples; expected finite ones")
    covariance = samples @ samples.mH / n_samples
    dead = (covariance.diagonal().real <= 0).nonzero().flatten().tolist()
    if dead:
        raise ScanError(f"noise scan is zero in channels {dead}; expected noise in all {n_channels}")
    return covariance


def whitening_bias(n_samples: int, n_channels: int) -> float:
    """Factor by which whitened noise exceeds SD 1, its covariance having been estimated.

    `sqrt(N / (N - C))`, from E[inv(C_est)] = N / (N - C) inv(C) of the complex Wishart law.

    Parameters
    ----------
    n_samples : int
        N, from which the covariance was estimated.
    n_channels : int
        C, fewer than N.
    """
    return math.sqrt(n_samples / (n_samples - n_channels))


def prewhitening_matrix(
    covariance: Tensor, dwell_scan_us: float, dwell_noise_us: float, receiver_bandwidth_ratio: float
) -> Tensor:
    """The matrix W that makes `W @ data` white with SD 1 per real and imaginary part.

    `W = sqrt(2) sqrt(dwell_scan / dwell_noise * ratio) inv(chol(C))`: the covariance counts both parts (sqrt 2), noise
    power goes with bandwidth, 1 / dwell, and the noise scan saw only `ratio` of its nominal bandwidth.

    Parameters
    ----------
    covariance : Tensor
        C: `(channel, channel)` complex, of the noise measurement.
    dwell_scan_us, dwell_noise_us : float
        Dwell time of a sample in us; where one is 0 (unknown), their ratio is taken as 1.
    receiver_bandwidth_ratio : float
        The header's `relativeReceiverNoiseBandwidth`.

    Returns
    -------
    Tensor
        W: `(channel, channel)` complex64.

    Raises
    ------
    ScanError
        Where the covariance is singular.

    References
    ----------
    Kellman and McVeigh, MRM 54:1439 (2005); Hansen and Kellman, JMRI 41:573 (2015).
    """
    covariance = covariance.to(torch.complex128)
    factor, info = torch.linalg.cholesky_ex(covariance)
    # The share of a channel's noise that the channels before it do not explain.
    own = factor.diagonal().abs().square() / covariance.diagonal().real
    if int(info) != 0 or float(own.min()) < SMALLEST_OWN_SHARE:
        channel = int(info) - 1 if int(info) else int(own.argmin())
        raise ScanError(
            f"noise covariance is singular: channel {channel} of {len(own)} repeats the channels before it; "
            "expected linearly independent channels"
        )
    dwell_ratio = dwell_scan_us / dwell_noise_us if dwell_scan_us > 0 and dwell_noise_us > 0 else 1.0
    identity = torch.eye(covariance.shape[0], dtype=torch.complex128)
    inverse: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return (math.sqrt(2.0 * dwell_ratio * receiver_bandwidth_ratio) * inverse).to(torch.complex64)
