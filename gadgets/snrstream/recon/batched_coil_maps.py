"""The coil maps of `coil_maps` as batched products, for a GPU: a processor is faster by its own loop."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_BYTES = 256 << 20  # of the neighbourhoods that are laid out at a time


def leading_vectors(images: Tensor, window: int, step: int, n_iterations: int) -> Tensor:
    """Maps at every `step`-th pixel along each axis, by power iteration from the neighbourhood's mean.

    Parameters
    ----------
    images : Tensor
        `(channel, e2, e1, ro)` complex64, on any device; each partition stands alone.
    window : int
        Edge of the square neighbourhood in pixels, odd.
    step : int
        In pixels.
    n_iterations : int
        Of the power iteration.

    Returns
    -------
    Tensor
        `(channel, ceil(e2 / step), ceil(e1 / step), ceil(ro / step))` complex64, on the device of `images`.
    """
    n_channels, _, n_e1, n_ro = images.shape
    half, partitions = window // 2, images[:, ::step]
    rows = -(-n_e1 // step)
    at_once = max(1, MOST_BYTES // (8 * n_channels * window**2 * -(-n_ro // step)))
    found = [
        torch.cat(
            [
                _of_rows(partition, slice(first, min(first + at_once, rows)), window, step, n_iterations)
                for first in range(0, rows, at_once)
            ],
            dim=1,
        )
        for partition in torch.view_as_complex(_padded(partitions, half)).unbind(1)
    ]
    return torch.stack(found, dim=1)


def interpolated(csm: Tensor, step: int, shape: tuple[int, ...]) -> Tensor:
    """Maps `(channel, ...)` at every `step`-th pixel, on all of `shape` (e2, e1, ro), of unit norm again.

    Linear along each axis between the grid's points, constant beyond the last. On the device of `csm`.
    """
    if step == 1:
        return csm
    for axis, n in enumerate(shape, 1):
        at = torch.arange(n, device=csm.device)
        below = at // step
        share = ((at % step) / step).reshape(-1, *[1] * (csm.ndim - 1 - axis)).to(csm.real.dtype)
        above = (below + 1).clamp(max=csm.shape[axis] - 1)
        low, high = csm.index_select(axis, below), csm.index_select(axis, above)
        csm = low + share * (high - low)
    power = csm.abs().square().sum(dim=0)
    return csm * torch.where(power > 0, power.rsqrt(), 0)


def _padded(images: Tensor, half: int) -> Tensor:
    """`(channel, e2, e1 + 2 half, ro + 2 half, 2)` float32, zeros beyond the edges."""
    return F.pad(torch.view_as_real(images), (0, 0, half, half, half, half))


def _of_rows(partition: Tensor, rows: slice, window: int, step: int, n_iterations: int) -> Tensor:
    """Of rows of the grid, from a padded partition `(channel, y, x)`: `(channel, rows, columns)`."""
    n_channels = len(partition)
    near = partition[:, rows.start * step : (rows.stop - 1) * step + window]
    hoods = near.unfold(1, window, step).unfold(2, window, step)  # (channel, rows, columns, window, window)
    n_y, n_x = hoods.shape[1:3]
    pixels = hoods.permute(1, 2, 3, 4, 0).reshape(n_y * n_x, window**2, n_channels)
    mean = pixels.sum(dim=1)
    v = _unit(mean.conj())
    for _ in range(n_iterations):
        u = pixels @ v[..., None]
        v = _unit((pixels.mH @ u)[..., 0])
    combined = (mean * v).sum(dim=1, keepdim=True)
    size = combined.abs()
    phase = torch.where(size > 0, combined / size, 1)
    return (v.conj() * phase).T.reshape(n_channels, n_y, n_x)


def _unit(v: Tensor) -> Tensor:
    """Each row over its norm; of a row of zeros, all alike. In double, for the square of a faint signal is lost."""
    norm = v.abs().double().square().sum(dim=1, keepdim=True).sqrt()
    even = 1 / math.sqrt(v.shape[1])
    return torch.where(norm > 0, v * (1 / norm).to(v.real.dtype), even)
