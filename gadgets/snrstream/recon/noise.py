"""Noise covariance and prewhitening to SNR units.

Source: Kellman and McVeigh, "Image reconstruction in SNR units", MRM 54:1439 (2005), and
Hansen and Kellman, "Image reconstruction: an overview for clinicians", JMRI 41:573 (2015).
"""

import math

import torch
from torch import Tensor

from ..errors import ScanError

SMALLEST_OWN_SHARE = 1e-10  # rounding leaves about 1e-14 of a channel that is a sum of others in float32
# SD of a channel's noise over the median of those that have any: elements of one coil differ by less than ten.
DEAD, HOT = 1e-3, 30.0
NOISE_CONTRAST = 4.0  # the strongest line over the faintest quarter, in noise alone
MOST_PARTITIONS, FEWEST_LINES = 8, 8  # that are looked at


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
        Where the samples are not finite, too few, or zero in all channels.
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
    covariance: Tensor = samples @ samples.mH / n_samples
    if float(covariance.diagonal().real.max()) <= 0:
        raise ScanError(f"noise scan is zero in all {n_channels} channels; expected noise")
    return covariance


def dead_and_hot(covariance: Tensor) -> tuple[list[int], list[int]]:
    """Find the channels whose noise is orders of magnitude below or above that of the others.

    A coil element that is unplugged or broken has no noise, or next to none.

    Parameters
    ----------
    covariance : Tensor
        `(channel, channel)` complex, of the noise measurement.

    Returns
    -------
    dead : list of int
        Those with less than 1e-3 of the others' SD, and those with none. `prewhitening_matrix` leaves them out.
    hot : list of int
        Those with more than 30 times the others' SD. Whitened, they count for as little as they hold.
    """
    sd = covariance.diagonal().real.clamp(min=0).sqrt()
    usual = float(sd[sd > 0].median()) if bool((sd > 0).any()) else 1.0  # of two, the smaller
    dead, hot = sd < DEAD * usual, sd > HOT * usual
    return dead.nonzero().flatten().tolist(), hot.nonzero().flatten().tolist()


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

    Dead channels (`dead_and_hot`) are left out: their rows and columns are zero.

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
    n_channels = len(covariance)
    dead, _ = dead_and_hot(covariance)
    live = torch.tensor([channel for channel in range(n_channels) if channel not in dead])
    covariance = covariance.to(torch.complex128)[live][:, live]
    factor, info = torch.linalg.cholesky_ex(covariance)
    # The share of a channel's noise that the channels before it do not explain.
    own = factor.diagonal().abs().square() / covariance.diagonal().real
    if int(info) != 0 or float(own.min()) < SMALLEST_OWN_SHARE:
        channel = int(live[int(info) - 1 if int(info) else int(own.argmin())])
        raise ScanError(
            f"noise covariance is singular: channel {channel} of {n_channels} repeats the channels before it; "
            "expected linearly independent channels"
        )
    dwell_ratio = dwell_scan_us / dwell_noise_us if dwell_scan_us > 0 and dwell_noise_us > 0 else 1.0
    inverse = torch.linalg.solve_triangular(factor, torch.eye(len(live), dtype=torch.complex128), upper=False)
    matrix = torch.zeros(n_channels, n_channels, dtype=torch.complex128)
    matrix[live[:, None], live] = math.sqrt(2.0 * dwell_ratio * receiver_bandwidth_ratio) * inverse
    return matrix.to(torch.complex64)


def louder_than_measured(kspace: Tensor, line_sd: Tensor, sample_sd: Tensor) -> list[int]:
    """Channels whose noise cannot be what it was measured to be, by the faintest quarter of the lines of an image.

    An element that fails during the scan, and one that was dead or detuned in the noise measurement alone.

    Parameters
    ----------
    kspace : Tensor
        `(channel, e2, e1, ro)` complex64, whitened.
    line_sd, sample_sd : Tensor
        `(e2, e1)` and `(ro,)` float32: the noise's SD in lines and along the readout, 0 where nothing was acquired.

    Returns
    -------
    list of int
        Those with 30 times the level of the others and no more than noise, or with 90 times their level.
    """
    step = max(1, kspace.shape[1] // MOST_PARTITIONS)
    kspace, line_sd = kspace[:, ::step], line_sd[::step]
    rows = (line_sd > 0).nonzero(as_tuple=True)
    expected = 2 * line_sd[rows].square() * sample_sd.square().sum()
    if len(expected) < FEWEST_LINES or not bool((expected > 0).all()):
        return []
    energy = kspace[:, rows[0], rows[1]].abs().square().sum(dim=-1).cpu() / expected  # (channel, line)
    level = energy.quantile(0.25, dim=1)
    excess = level / level.median().clamp(min=1e-12)
    is_noise = energy.amax(dim=1) < NOISE_CONTRAST * level
    loud = (excess > HOT**2) & (is_noise | (excess > (3 * HOT) ** 2))
    return [int(number) for number in loud.nonzero()[:, 0]]
