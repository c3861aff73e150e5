"""Unmixing coefficients and g-factor: GRAPPA and coil combination folded into one image-space product.

Source: Breuer et al., "General formulation for quantitative g-factor calculation in GRAPPA
reconstructions", MRM 62:739 (2009).
"""

import math

import torch
from torch import Tensor

from .fft import to_image
from .grappa import Kernel

ROWS_AT_ONCE = 32  # bounds the memory of the intermediate product


def unmixing_coefficients(kernel: Kernel | None, csm: Tensor) -> Tensor:
    """Signal-preserving coefficients u with `image = sum_c u_c * (R * zero-filled coil image)_c / R`.

    kernel: the GRAPPA kernel, or None where all lines were acquired (then u = conj(csm)).
    csm: coil sensitivity maps `(channel, e1, ro)` complex64, normalised so that sum |csm|^2 = 1.
    Returns `(channel, e1, ro)` complex64.

    In k-space the kernel takes `s(y + line - offset, x + sample)` to line `y` where y lies `offset`
    after an acquired line; in image space that shift is a phase `exp(2 pi i (offset - line) r / N)`.
    The coil images of the R-fold undersampled k-space vanish off the sampled lines, so one kernel,
    the identity plus the R-1 offsets, serves every line wherever sampling starts.
    """
    combine = csm.conj()
    if kernel is None:
        return combine.clone()
    n_channels, n_e1, n_ro = csm.shape
    offsets = torch.arange(1, kernel.acceleration, device=csm.device)
    shifts = offsets[:, None] - torch.tensor(kernel.lines, device=csm.device)[None, :]
    row_phase = _phases(shifts.reshape(-1), n_e1).to(csm.dtype)  # (offset * line, e1)
    sample_phase = _phases(-torch.tensor(kernel.samples, device=csm.device), n_ro).to(csm.dtype)

    # (offset, out, line, sample, in) -> (offset * line, sample * out * in)
    weights = kernel.weights.permute(0, 2, 3, 1, 4).reshape(row_phase.shape[0], -1)
    unmixing = combine.clone()
    n_samples = len(kernel.samples)
    for start in range(0, n_e1, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, n_e1))
        # Taps along e1 are summed first: one small kernel along the readout is left for each row.
        taps = (row_phase[:, rows].mT @ weights).reshape(-1, n_samples * n_channels, n_channels)
        maps = combine[:, rows].permute(1, 0, 2)  # (row, out, ro)
        spread = (sample_phase[None, :, None, :] * maps[:, None]).reshape(-1, n_samples * n_channels, n_ro)
        unmixing[:, rows] += (taps.mT @ spread).permute(1, 0, 2)
    return unmixing


def gfactor(unmixing: Tensor, acceleration: int) -> Tensor:
    """Geometry factor `g = sqrt(sum_c |u_c|^2) / R` as float32 `(e1, ro)`.

    The loss sqrt(R) of measuring fewer lines is not part of g.
    """
    return torch.linalg.vector_norm(unmixing, dim=0) / acceleration


def snr_scale(acceleration: int, effective_acceleration: float, readout_ratio: float = 1.0) -> float:
    """Scale of the aliased coil images, `sqrt(R_eff * n_ro_encoded / n_ro_sampled) / R`.

    With it the noise SD of `combine` is the g-factor, whatever was left out: `effective_acceleration`
    is all lines over acquired lines, `readout_ratio` all samples over acquired samples.
    """
    return math.sqrt(effective_acceleration * readout_ratio) / acceleration


def combine(kspace: Tensor, unmixing: Tensor, scale: float) -> Tensor:
    """Zero-filled prewhitened k-space `(channel, e1, ro)` to one complex image `(e1, ro)`.

    Its noise SD is g per real and imaginary part, its signal that of a full scan over sqrt(R) for
    regular sampling. Coil-by-coil unaliased images are never formed.
    """
    return (to_image(kspace) * unmixing).sum(dim=0) * scale


def _phases(shifts: Tensor, size: int) -> Tensor:
    """`exp(2 pi i shift r / N)` for centred r, as complex128 `(shift, size)`."""
    position = torch.arange(size, device=shifts.device) - size // 2
    angle = 2 * math.pi * shifts[:, None] * position[None, :] / size
    return torch.polar(torch.ones_like(angle, dtype=torch.float64), angle.to(torch.float64))
