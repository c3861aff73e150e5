"""Cells: the steps that a network's blocks are made of, by the name that a recipe gives them.

A cell takes `(B * T, C, H, W)` float32, frames folded into the batch, and the `Frames` that they are, and returns the
same shape. It adds something to what it gets, and starts as the identity: so a network trains stably without norms.
Another cell of SNRAware's (arXiv 2503.18162, table 2) is one more class here and one more line in `CELLS`.
"""

from typing import ClassVar, Final, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Convolution = TypeVar("Convolution", nn.Conv2d, nn.Conv3d)


class Frames(NamedTuple):
    """The frames that a network is given together, and what it remembers of earlier ones.

    n: of them, T. causal: `(1,)` float32; 1: a frame sees itself and those before it, 0: all. window: attention looks
    no further than window - 1 frames; 0: as far as there are any. past: for each cell that attends, in the order in
    which they run, keys and values side by side of P frames before those given, `(B, P, 2 C, H, W)`; none where
    nothing is to be remembered. present: the same of those given, which the cells append.
    """

    n: int
    causal: Tensor
    window: int
    past: list[Tensor]
    present: list[Tensor]


class ConvCell(nn.Module):
    """`x + conv(relu(conv(x)))`, 3 x 3, zero padded, no normalisation: the input's scale is known."""

    mixes_frames: ClassVar[bool] = False

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.second = zeroed(nn.Conv2d(n_channels, n_channels, 3, padding=1))

    def forward(self, x: Tensor, frames: Frames) -> Tensor:  # noqa: ARG002 - all cells are called alike
        """`(B * T, C, H, W)` to the same, each frame by itself."""
        change: Tensor = self.second(torch.relu(self.first(x)))
        return x + change


class Conv3dCell(nn.Module):
    """`x + conv(relu(conv(x)))`, 3 x 3 x 3 over T, H and W, zero padded: one frame alone has none beside it."""

    mixes_frames: ClassVar[bool] = True

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(n_channels, n_channels, 3, padding=1)
        self.second = zeroed(nn.Conv3d(n_channels, n_channels, 3, padding=1))

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """`(B * T, C, H, W)` to the same, frames mixed by convolution."""
        n, c, h, w = x.shape
        stack = x.reshape(n // frames.n, frames.n, c, h, w).transpose(1, 2)
        change: Tensor = self.second(torch.relu(self.first(stack)))
        return x + change.transpose(1, 2).reshape(n, c, h, w)


class CnntCell(nn.Module):
    """Attention over T, then a `ConvCell`: the convolutional neural network transformer (CNNT) of SNRAware.

    Queries, keys and values are 3 x 3 convolutions. The paper's scores are sums over the whole patch; here each pixel
    has its own, so that an image may be cut into tiles of any size. Queries and keys are made unit vectors, or bright
    pixels would have sharper scores than dark ones. A frame that lies further off counts less, by as much per frame
    as is learned (`slope`): the order of frames matters, their direction does not, unless `Frames.causal` says so.
    """

    mixes_frames: ClassVar[bool] = True
    N_HEADS: Final[int] = 4
    SHUT: Final[float] = -1e4  # a score whose exponential is 0; infinities are not every backend's

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.key = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.value = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.out = zeroed(nn.Conv2d(n_channels, n_channels, 1))
        self.sharpness = nn.Parameter(torch.full((self.N_HEADS, 1, 1), 5.0))  # of unit vectors' scores, -1 to 1
        self.slope = nn.Parameter(torch.full((self.N_HEADS, 1, 1), -3.0))
        self.mixer = ConvCell(n_channels)

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """`(B * T, C, H, W)` to the same, frames mixed by attention.

        Takes the keys and values of earlier frames, if there are any to come, and leaves those of `x`.
        """
        n, c, h, w = x.shape
        stack = (n // frames.n, frames.n, c, h, w)
        query, key, value = self._unit(self.query(x)), self._unit(self.key(x)), self.value(x)
        keys, values = key.reshape(stack), value.reshape(stack)
        if len(frames.past) > 0:
            earlier = frames.past[len(frames.present)]
            frames.present.append(torch.cat([keys, values], dim=2))
            keys = torch.cat([earlier[:, :, :c], keys], dim=1)
            values = torch.cat([earlier[:, :, c:], values], dim=1)
        scores = self._by_pixel(query.reshape(stack)) @ self._by_pixel(keys).transpose(-1, -2)
        scores = self.sharpness * scores + self._bias(frames, keys.shape[1]).to(x.dtype)
        mixed = torch.softmax(scores, dim=-1) @ self._by_pixel(values)  # (B, H * W, head, T, C / head)
        mixed = mixed.permute(0, 3, 2, 4, 1).reshape(n, c, h, w)
        answer: Tensor = self.mixer(x + self.out(mixed), frames)
        return answer

    def _bias(self, frames: Frames, n_keys: int) -> Tensor:
        """What is added to the scores `(head, T, n_keys)`: the frames of the queries are the last T of the keys'."""
        at = torch.arange(n_keys, device=self.slope.device)
        behind = (at[n_keys - frames.n :, None] - at[None, :]).to(self.slope.dtype)
        distance = behind.abs()
        shut = (behind < 0) & (frames.causal > 0.5)
        if frames.window > 0:
            shut = shut | (distance >= frames.window)
        return torch.where(shut, self.SHUT, -nn.functional.softplus(self.slope) * distance)

    def _unit(self, x: Tensor) -> Tensor:
        """`(B * T, C, H, W)` to the same, the channels of each head a unit vector."""
        n, c, h, w = x.shape
        heads = x.reshape(n, self.N_HEADS, c // self.N_HEADS, h, w)
        return nn.functional.normalize(heads, dim=2, eps=1e-6).reshape(n, c, h, w)

    def _by_pixel(self, x: Tensor) -> Tensor:
        """`(B, T, C, H, W)` to `(B, H * W, head, T, C / head)`."""
        b, t, c, h, w = x.shape
        return x.reshape(b, t, self.N_HEADS, c // self.N_HEADS, h * w).permute(0, 4, 2, 1, 3)


CELLS: dict[str, type[ConvCell] | type[Conv3dCell] | type[CnntCell]] = {
    "conv": ConvCell,
    "conv3d": Conv3dCell,
    "cnnt": CnntCell,
}


class Block(nn.Module):
    """`depth` cells in a row, of one kind; of two as in `conv+cnnt`, the last cell is of the second."""

    def __init__(self, kind: str, n_channels: int, depth: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList(CELLS[name](n_channels) for name in cells_of(kind, depth))

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """`(B * T, C, H, W)` to the same, cell after cell."""
        for cell in self.cells:
            x = cell(x, frames)
        return x


def cells_of(kind: str, depth: int) -> list[str]:
    """Names in `CELLS` of a block's cells, as a recipe has them: `conv`, or `conv+cnnt`, whose last cell is `cnnt`."""
    first, _, last = kind.partition("+")
    return [first] * (depth - 1) + [last or first] if depth else []


def zeroed(convolution: Convolution) -> Convolution:
    """The convolution, its weights and bias 0: what it is added to stays as it is until training says otherwise."""
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution
