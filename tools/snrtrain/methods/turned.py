"""Square parts of many images at once, turned, and magnified on the way: gathered from flat values by addresses.

A turn is one of the eight flips and transposes of a square: flip along ro (1), flip along e1 (2), then transpose (4).
"""

import torch
from torch import Tensor


def gathered(values: Tensor, base: Tensor, stride: Tensor, turn: Tensor, size: int) -> Tensor:
    """`(n, frame, size, size)` of `values`, turned.

    values: flat. base: int64 `(n, frame)`, address of each part's first pixel. stride: int64 `(n,)`, from one row to
    the next. turn: int64 `(n,)`.
    """
    at = torch.arange(size, device=values.device)[None]
    down, across = _terms(at, at[:, -1:], stride, turn)
    return values[base[:, :, None, None] + (down[:, :, None] + across[:, None, :])[:, None]]


def magnified(values: Tensor, base: Tensor, stride: Tensor, edge: Tensor, turn: Tensor, size: int) -> Tensor:
    """`(n, size, size)` of `values`: parts of `edge` pixels, turned, then magnified bilinearly, corner upon corner.

    values: flat, float32. base, stride, edge, turn: int64 `(n,)`.
    """
    last = (edge - 1)[:, None]
    place = torch.arange(size, device=values.device) * (last / (size - 1))
    low = torch.minimum(place.long(), last)
    share = place - low
    low_down, low_across = _terms(low, last, stride, turn)
    high_down, high_across = _terms(torch.minimum(low + 1, last), last, stride, turn)
    rows = []
    for down in (low_down, high_down):
        start = (base[:, None] + down)[:, :, None]
        left, right = values[start + low_across[:, None, :]], values[start + high_across[:, None, :]]
        rows.append(torch.lerp(left, right, share[:, None, :]))
    return torch.lerp(rows[0], rows[1], share[:, :, None])


def _terms(at: Tensor, last: Tensor, stride: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """What rows and columns of turned parts add to the addresses of their first pixels: two `(n, size)`.

    at: pixel `(n, size)` along either axis before the turn. last: the part's last `(n, 1)`.
    """
    flipped, turn = last - at, turn[:, None]
    down = torch.where((turn & 2) > 0, flipped, at) * stride[:, None]
    across = torch.where((turn & 1) > 0, flipped, at)
    transposed = (turn & 4) > 0
    return torch.where(transposed, across, down), torch.where(transposed, down, across)
