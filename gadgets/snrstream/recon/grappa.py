"""GRAPPA calibration on Cartesian k-space, 2D and 3D, R1 x R2 with CAIPIRINHA shifts.

Sources: Griswold et al., "Generalized autocalibrating partially parallel acquisitions (GRAPPA)", MRM
47:1202 (2002); Breuer et al., "Controlled aliasing in volumetric parallel imaging", MRM 55:549 (2006).
A missing line is a linear combination of the acquired lines around it, of a few readout samples each.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ScanError
from ..system.threads import spread
from .fft import to_image
from .lattice import Lattice

FREQUENCIES_AT_ONCE = 32  # of the readout, for one thread
BLOCK = 64  # rows of a product at once, of those that are Hermitian
TIKHONOV = 5e-4  # of the mean diagonal of A^H A, as Gadgetron takes it
STANDS_OUT = 2  # times the median line of the ACS, which an echo is


@dataclass(frozen=True, eq=False)
class Kernel:
    """A calibrated GRAPPA kernel. Images that share it share the object.

    Parameters
    ----------
    lattice : Lattice
        The sampling that it is for.
    weights : Tensor
        `(target, channel_out, source, sample, channel_in)` complex64.
    targets : tuple of tuple of int
        Distance (e2, e1) of each missing line from an acquired one, in lines of k-space.
    sources : tuple of tuple of int
        The same of each acquired line that it is made of.
    samples : tuple of int
        Distance of each source sample from the target sample.
    """

    lattice: Lattice
    weights: Tensor
    targets: tuple[tuple[int, int], ...]
    sources: tuple[tuple[int, int], ...]
    samples: tuple[int, ...]


def calibrate(
    acs: Tensor,
    lattice: Lattice,
    n_lines: int = 4,
    n_samples: int = 5,
    n_partitions: int = 4,
    tikhonov: float = TIKHONOV,
    centre: tuple[int, int] | None = None,
) -> Kernel:
    """Fit the kernel on fully sampled calibration lines by regularised least squares.

    Solves `(A^H A + lambda I) W = A^H B`, where each row of A is one window of sources, wholly inside the ACS, and B
    holds the targets of every channel. `lambda = tikhonov * mean diag(A^H A)`, of channels that are not zero.

    Parameters
    ----------
    acs : Tensor
        `(channel, e2, e1, ro)` complex64, contiguous lines of prewhitened k-space.
    lattice : Lattice
        The sampling whose missing lines are to be made, with acceleration.
    n_lines, n_partitions : int
        The most acquired lines and partitions; fewer where the ACS is too short to train them.
    n_samples : int
        Readout samples.
    tikhonov : float
        Regularisation, as a fraction of the mean diagonal of A^H A.
    centre : tuple of int, optional
        The line (e2, e1) of the ACS that holds k = 0, the middle one without: for an ACS without an echo of its own.

    Raises
    ------
    ScanError
        Where there are too few lines or samples for one window, and where the calibration data is zero or not finite.

    References
    ----------
    Griswold et al., MRM 47:1202 (2002); Breuer et al., MRM 55:549 (2006).
    """
    n_channels, n_e2, n_e1, n_ro = acs.shape
    for count, reach, what, kernel_size in zip(
        (n_e2, n_e1),
        kernel_reach(lattice, n_lines, n_partitions),
        ("partitions", "lines"),
        (n_partitions, n_lines),
        strict=True,
    ):
        if count < reach:
            r = lattice.acceleration[what == "partitions"]
            raise ScanError(f"ACS has {count} {what}; a kernel of {kernel_size} {what} at R={r} needs at least {reach}")
    if n_ro < n_samples:
        raise ScanError(f"ACS readouts have {n_ro} samples; the kernel needs at least {n_samples}")
    strongest = _strongest(acs, centre or (n_e2 // 2, n_e1 // 2))
    n_lines, n_partitions = _trainable(lattice, n_lines, n_partitions, (n_e2, n_e1), strongest)
    targets, sources = lattice.missing(), lattice.neighbours(n_lines, n_partitions)
    samples = tuple(range(-(n_samples // 2), n_samples - n_samples // 2))

    normal, right = _normal_equations(acs, sources, targets, samples)
    powers = normal.diagonal().real
    scale = float(powers[powers != 0].mean())  # of dead channels there are none
    if not math.isfinite(scale) or scale == 0.0:
        raise ScanError("ACS is zero or not finite; expected calibration signal")
    normal.diagonal().add_(tikhonov * scale)
    factor, info = torch.linalg.cholesky_ex(normal)
    if int(info) != 0:
        raise ScanError(
            f"GRAPPA calibration with {len(normal)} unknowns and tikhonov={tikhonov:g} is singular; "
            "expected a smaller kernel or a larger tikhonov"
        )
    weights = torch.cholesky_solve(right, factor)
    weights = weights.reshape(len(samples), len(sources), n_channels, len(targets), n_channels)
    return Kernel(lattice, weights.permute(3, 4, 1, 0, 2).contiguous(), targets, sources, samples)


def kernel_reach(lattice: Lattice, n_lines: int, n_partitions: int) -> tuple[int, int]:
    """How many partitions and lines a window of the kernel spans, targets included: the fewest that calibrate it.

    Parameters
    ----------
    lattice : Lattice
        The sampling.
    n_lines, n_partitions : int
        Acquired lines and partitions of the kernel.

    Returns
    -------
    tuple of int
        Partitions and lines (e2, e1).
    """
    distances = (*lattice.neighbours(n_lines, n_partitions), *lattice.missing())
    e2, e1 = (max(d[axis] for d in distances) - min(d[axis] for d in distances) + 1 for axis in (0, 1))
    return e2, e1


def _strongest(acs: Tensor, centre: tuple[int, int]) -> tuple[int, int]:
    """The line (e2, e1) with the echo, which the object's phase may move off k = 0; `centre` where none stands out."""
    energy = acs.abs().square().sum(dim=(0, 3))
    e2, e1 = (
        int(along.argmax()) if along.max() > STANDS_OUT * along.median() else usual
        for along, usual in zip((energy.sum(dim=1), energy.sum(dim=0)), centre, strict=True)
    )
    return e2, e1


def _trainable(
    lattice: Lattice, n_lines: int, n_partitions: int, acs: tuple[int, int], strongest: tuple[int, int]
) -> tuple[int, int]:
    """The largest kernel, up to the one wanted, every line of which has seen the strongest line.

    A source that never held the bright central lines has a weight made of noise, which ruins the lines around them.
    So as windows move over the ACS, each of their lines must pass the strongest and one line beside it.
    """
    while True:
        short = [
            not reach <= c <= n - reach - 1 or n < reach + 2
            for n, c, reach in zip(acs, strongest, kernel_reach(lattice, n_lines, n_partitions), strict=True)
        ]
        if short[1] and n_lines > 2:
            n_lines -= 1
        elif short[0] and n_partitions > 2:
            n_partitions -= 1
        else:
            return n_lines, n_partitions


def _normal_equations(
    acs: Tensor,
    sources: tuple[tuple[int, int], ...],
    targets: tuple[tuple[int, int], ...],
    samples: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """`A^H A` and `A^H B`, their rows ordered (sample, source, channel), columns of B (target, channel).

    Along the readout, A^H A depends on the lag between two samples only, but for the windows that would
    wrap around its ends. So the products are formed once for each readout frequency, summed to lags by an
    inverse transform, and the few wrapped windows taken off again: the same numbers as from all windows.
    """
    n_channels, _, _, n_ro = acs.shape
    n_samples, width = len(samples), len(sources) * n_channels
    hybrid = to_image(acs, dims=(-1,))
    lags = torch.arange(1 - n_samples, n_samples, device=acs.device)
    position = torch.arange(n_ro, device=acs.device) - n_ro // 2
    angle = -2 * torch.pi * lags[:, None] * position[None, :] / n_ro
    transform = torch.polar(torch.ones_like(angle), angle).to(acs.dtype)
    starts = range(0, n_ro, FREQUENCIES_AT_ONCE)
    parts = acs.new_empty(len(starts), len(lags), width * (len(sources) + len(targets)) * n_channels)

    def add(part: int) -> None:
        block = slice(starts[part], starts[part] + FREQUENCIES_AT_ONCE)
        windows = _windows(hybrid[..., block], sources + targets)
        products = _gram(windows, width)  # (ro, source * channel, all * channel)
        torch.matmul(transform[:, block], products.flatten(1), out=parts[part])

    spread(add, range(len(starts)))
    by_lag = parts.sum(dim=0).reshape(len(lags), width, -1)

    lag = torch.arange(n_samples, device=acs.device)
    pairs = by_lag[lag[None, :] - lag[:, None] + n_samples - 1, :, :width]
    normal = pairs.permute(0, 2, 1, 3).reshape(n_samples * width, n_samples * width)
    # A target is sample 0: its lag from the source sample s is -s.
    to_target = by_lag[n_samples - 1 - torch.tensor(samples, device=acs.device), :, width:]
    right = to_target.reshape(n_samples * width, -1)

    wrapped = [x for x in range(n_ro) if x + samples[0] < 0 or x + samples[-1] >= n_ro]
    if wrapped:
        reached = sorted({(x + sample) % n_ro for x in wrapped for sample in samples})
        column = dict(zip(reached, _windows(acs[..., reached], sources + targets), strict=True))
        rows = [
            torch.cat([*(column[(x + sample) % n_ro][:, :width] for sample in samples), column[x][:, width:]], dim=1)
            for x in wrapped
        ]
        products = _gram(torch.cat(rows)[None], n_samples * width)[0]
        normal -= products[:, : n_samples * width]
        right -= products[:, n_samples * width :]
    return normal, right


def _gram(windows: Tensor, width: int) -> Tensor:
    """`windows[:, :, :width]^H windows`; its left square part is Hermitian, and made of blocks on one side."""
    products = windows.new_empty(len(windows), width, windows.shape[2])
    for start in range(0, width, BLOCK):
        rows = slice(start, min(start + BLOCK, width))
        torch.matmul(windows[:, :, rows].mH, windows[:, :, start:], out=products[:, rows, start:])
        products[:, rows, :start] = products[:, :start, rows].mH
    return products


def _windows(acs: Tensor, distances: tuple[tuple[int, int], ...]) -> Tensor:
    """`(ro, window, distance * channel)`: the lines at all distances (e2, e1), for each window inside the ACS."""
    n_channels, n_e2, n_e1, n_ro = acs.shape
    z0, y0 = (-min(distance[axis] for distance in distances) for axis in (0, 1))
    n_z = n_e2 - z0 - max(dz for dz, _ in distances)
    n_y = n_e1 - y0 - max(dy for _, dy in distances)
    last = acs.permute(3, 1, 2, 0).contiguous()
    windows = acs.new_empty(n_ro, n_z, n_y, len(distances), n_channels)
    for number, (dz, dy) in enumerate(distances):
        windows[:, :, :, number] = last[:, z0 + dz : z0 + dz + n_z, y0 + dy : y0 + dy + n_y]
    return windows.reshape(n_ro, n_z * n_y, -1)
