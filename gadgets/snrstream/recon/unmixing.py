"""Unmixing coefficients and g-factor: GRAPPA and coil combination folded into one image-space product.

Source: Breuer et al., "General formulation for quantitative g-factor calculation in GRAPPA
reconstructions", MRM 62:739 (2009).
"""

import math

import torch
from torch import Tensor

from ..system.threads import spread
from .grappa import Kernel

ROWS_AT_ONCE = 4  # for one thread: the intermediate products stay in its core's cache


def unmixing_coefficients(kernel: Kernel | None, csm: Tensor, first_column: int = 0, n_ro: int | None = None) -> Tensor:
    """Signal-preserving coefficients u with `image = sum_c u_c * (coil image of the zero-filled k-space)_c`.

    In k-space the kernel takes the sample at `line + source, x + sample` to `line + target`; in image space a shift by
    d is a phase `exp(-2 pi i d r / N)`. The zero-filled k-space vanishes off the sampled lines, so one kernel, the
    identity plus all targets, serves every line wherever sampling starts.

    Parameters
    ----------
    kernel : Kernel or None
        The GRAPPA kernel, or None where all lines were acquired (then u = conj(csm)).
    csm : Tensor
        Coil sensitivity maps `(channel, e2, e1, ro)` complex64, normalised so that sum |csm|^2 = 1.
    first_column : int
        Where the pixels of `csm` begin along the readout, if they are not all of it.
    n_ro : int, optional
        Pixels of all of the readout; by default those of `csm`.

    Returns
    -------
    Tensor
        u: `(channel, e2, e1, ro)` complex64.

    References
    ----------
    Breuer et al., MRM 62:739 (2009).
    """
    if kernel is None:
        return csm.conj().resolve_conj().clone()
    n_channels, n_e2, n_e1, n_columns = csm.shape
    columns = slice(first_column, first_column + n_columns)
    shifts = [(sz - tz, sy - ty) for tz, ty in kernel.targets for sz, sy in kernel.sources]
    along_e2 = _phases([dz for dz, _ in shifts], n_e2, csm.device)
    along_e1 = _phases([dy for _, dy in shifts], n_e1, csm.device)
    row_phase = (along_e2[:, :, None] * along_e1[:, None, :]).reshape(len(shifts), -1).to(csm.dtype)
    sample_phase = _phases(kernel.samples, n_ro or n_columns, csm.device)[:, columns].to(csm.dtype)
    n_samples = len(kernel.samples)

    # (target, out, source, sample, in) -> (target * source, in * sample * out)
    weights = kernel.weights.permute(0, 2, 4, 3, 1).reshape(len(shifts), -1)
    rows_of_maps = csm.reshape(n_channels, n_e2 * n_e1, n_columns)
    unmixing = torch.empty_like(rows_of_maps, memory_format=torch.contiguous_format)

    def fill(start: int) -> None:
        rows = slice(start, start + ROWS_AT_ONCE)
        combine = rows_of_maps[:, rows].permute(1, 0, 2).conj()  # (row, out, ro)
        # The taps of e1 and e2 are summed first: a small kernel along the readout is left for each row.
        taps = (row_phase[:, rows].T @ weights).reshape(-1, n_channels, n_samples * n_channels)
        by_sample = (sample_phase[None, :, None, :] * combine[:, None]).flatten(1, 2)
        unmixing[:, rows] = torch.baddbmm(combine, taps, by_sample).permute(1, 0, 2)

    spread(fill, range(0, unmixing.shape[1], ROWS_AT_ONCE))
    return unmixing.reshape(csm.shape)


def gfactor(unmixing: Tensor, acceleration: int) -> Tensor:
    """Geometry factor `g = sqrt(sum_c |u_c|^2) / R`.

    The loss sqrt(R) of measuring fewer lines is not part of g.

    Parameters
    ----------
    unmixing : Tensor
        u: `(channel, e2, e1, ro)` complex64.
    acceleration : int
        The net R = R1 R2.

    Returns
    -------
    Tensor
        `(e2, e1, ro)` float32.

    References
    ----------
    Breuer et al., MRM 62:739 (2009).
    """
    return power(unmixing).sqrt() / acceleration


def power(channels: Tensor) -> Tensor:
    """`sum_c |x_c|^2`, without a copy of all channels.

    Parameters
    ----------
    channels : Tensor
        `(channel, ...)` complex.

    Returns
    -------
    Tensor
        `(...)` real, of the precision of the parts.
    """
    parts = torch.view_as_real(channels)
    total = parts[0].square()
    for part in parts[1:]:
        total.addcmul_(part, part)
    return total.sum(dim=-1)


def snr_scale(acceleration: int, effective_acceleration: float) -> float:
    """Scale of the aliased coil images, `sqrt(R_eff) / R`, with which the noise SD of the image is the g-factor.

    Whatever was left out: lines by parallel imaging, partial Fourier or a scan cut short, samples by an asymmetric
    echo.

    Parameters
    ----------
    acceleration : int
        The net R = R1 R2.
    effective_acceleration : float
        R_eff: all samples of k-space over acquired ones. Samples with less noise than the others, averaged or weighted
        ones, count by their noise power.

    References
    ----------
    Kellman and McVeigh, MRM 54:1439 (2005).
    """
    return math.sqrt(effective_acceleration) / acceleration


def _phases(shifts: list[int] | tuple[int, ...], size: int, device: torch.device) -> Tensor:
    """`exp(-2 pi i shift r / N)` for centred r, as complex128 `(shift, size)`."""
    position = torch.arange(size, dtype=torch.float64, device=device) - size // 2
    shift = torch.tensor(shifts, dtype=torch.float64, device=device)
    angle = -2 * math.pi * shift[:, None] * position[None, :] / size
    return torch.polar(torch.ones_like(angle), angle)
