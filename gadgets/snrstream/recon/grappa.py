"""GRAPPA calibration on Cartesian 2D k-space.

Source: Griswold et al., "Generalized autocalibrating partially parallel acquisitions (GRAPPA)",
MRM 47:1202 (2002). A missing line is a linear combination of `n_lines` acquired lines around it
and `n_samples` readout samples of every channel.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ScanError

TIKHONOV = 5e-4  # of the mean diagonal of A^H A: within 2 % of the best lambda wherever it was tried


@dataclass(frozen=True)
class Kernel:
    """A calibrated GRAPPA kernel.

    weights: `(offset, channel_out, line, sample, channel_in)` complex64, where `offset` is the
        missing line's distance 1 ... R-1 (index 0 ... R-2) from the acquired line before it.
    lines: distance of each source line from that acquired line, in k-space lines (multiples of R).
    samples: distance of each source sample from the target sample.
    """

    acceleration: int
    weights: Tensor
    lines: tuple[int, ...]
    samples: tuple[int, ...]


def calibrate(
    acs: Tensor, acceleration: int, n_lines: int = 4, n_samples: int = 5, tikhonov: float = TIKHONOV
) -> Kernel:
    """Fit the kernel on fully sampled calibration lines by regularised least squares.

    acs: `(channel, e1, ro)` complex64, contiguous lines of prewhitened k-space.
    Solves `(A^H A + lambda I) W = A^H B`, `lambda = tikhonov * mean diag(A^H A)`, where each row of A
    is one window of sources and B holds the R-1 targets of every channel.

    Raises ScanError where there are too few lines or samples for one window, and where the
    calibration data is zero or not finite.
    """
    n_channels, n_e1, n_ro = acs.shape
    needed = (n_lines - 1) * acceleration + 1
    if n_e1 < needed:
        raise ScanError(
            f"ACS has {n_e1} lines; a kernel of {n_lines} lines at R={acceleration} needs at least {needed}"
        )
    if n_ro < n_samples:
        raise ScanError(f"ACS readouts have {n_ro} samples; the kernel needs at least {n_samples}")
    before = (n_lines - 1) // 2
    lines = tuple(acceleration * (line - before) for line in range(n_lines))
    samples = tuple(range(-(n_samples // 2), n_samples - n_samples // 2))

    # Windows slide over lines and readout: rows of A are (line position, sample position).
    n_rows_e1, n_rows_ro = n_e1 - needed + 1, n_ro - n_samples + 1
    first, centre = -lines[0], -samples[0]
    acs = acs.permute(1, 2, 0)  # (e1, ro, channel)
    sources = torch.stack(
        [
            acs[first + line : first + line + n_rows_e1, centre + s : centre + s + n_rows_ro]
            for line in lines
            for s in samples
        ],
        dim=2,
    ).reshape(n_rows_e1 * n_rows_ro, -1)
    targets = torch.stack(
        [
            acs[first + offset : first + offset + n_rows_e1, centre : centre + n_rows_ro]
            for offset in range(1, acceleration)
        ],
        dim=2,
    ).reshape(n_rows_e1 * n_rows_ro, -1)

    normal = sources.mH @ sources
    scale = normal.diagonal().real.mean()
    if not bool(torch.isfinite(scale)) or float(scale) == 0.0:
        raise ScanError("ACS is zero or not finite; expected calibration signal")
    normal = normal + tikhonov * scale * torch.eye(len(normal), dtype=normal.dtype, device=normal.device)
    factor, info = torch.linalg.cholesky_ex(normal)
    if int(info) != 0:
        raise ScanError(
            f"GRAPPA calibration with {len(normal)} unknowns and tikhonov={tikhonov:g} is singular; "
            "expected a smaller kernel or a larger tikhonov"
        )
    weights = torch.cholesky_solve(sources.mH @ targets, factor)
    weights = weights.reshape(n_lines, n_samples, n_channels, acceleration - 1, n_channels)
    return Kernel(acceleration, weights.permute(3, 4, 0, 1, 2).contiguous(), lines, samples)
