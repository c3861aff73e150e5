"""Cells: the steps that a network's blocks are made of, by the name that a recipe gives them.

A cell takes `(B * T, C, H, W)` float32, frames folded into the batch, and T, and returns the same shape. It adds
something to what it gets, and starts as the identity: so a network trains stably without norms. Another cell of
SNRAware's (arXiv 2503.18162, table 2) is one more class here and one more line in `CELLS`.
"""

from typing import ClassVar, Final, TypeVar

import torch
from torch import Tensor, nn

Convolution = TypeVar("Convolution", nn.Conv2d, nn.Conv3d)


class ConvCell(nn.Module):
    """`x + conv(relu(conv(x)))`, 3 x 3, zero padded, no normalisation: the input's scale is known."""

    mixes_frames: ClassVar[bool] = False

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.second = zeroed(nn.Conv2d(n_channels, n_channels, 3, padding=1))

    def forward(self, x: Tensor, n_frames: int) -> Tensor:  # noqa: ARG002 - all cells are called alike
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

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """`(B * T, C, H, W)` to the same, frames mixed by convolution."""
        n, c, h, w = x.shape
        stack = x.reshape(n // n_frames, n_frames, c, h, w).transpose(1, 2)
        change: Tensor = self.second(torch.relu(self.first(stack)))
        return x + change.transpose(1, 2).reshape(n, c, h, w)


class CnntCell(nn.Module):
    """Attention over T, then a `ConvCell`: the convolutional neural network transformer (CNNT) of SNRAware.

    Queries, keys and values are 3 x 3 convolutions. The paper's scores are sums over the whole patch; here each pixel
    has its own, so that an image may be cut into tiles of any size. Queries and keys are made unit vectors, or bright
    pixels would have sharper scores than dark ones. A frame that lies further off counts less, by as much per frame
    as is learned (`slope`): the order of frames matters, their direction does not.
    """

    mixes_frames: ClassVar[bool] = True
    N_HEADS: Final[int] = 4

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.key = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.value = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.out = zeroed(nn.Conv2d(n_channels, n_channels, 1))
        self.sharpness = nn.Parameter(torch.full((self.N_HEADS, 1, 1), 5.0))  # of unit vectors' scores, -1 to 1
        self.slope = nn.Parameter(torch.full((self.N_HEADS, 1, 1), -3.0))
        self.mixer = ConvCell(n_channels)

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """`(B * T, C, H, W)` to the same, frames mixed by attention."""
        n, c, h, w = x.shape
        query = nn.functional.normalize(self._by_pixel(self.query(x), n_frames), dim=-1, eps=1e-6)
        key = nn.functional.normalize(self._by_pixel(self.key(x), n_frames), dim=-1, eps=1e-6)
        value = self._by_pixel(self.value(x), n_frames)
        at = torch.arange(n_frames, device=x.device)
        distance = (at[:, None] - at[None, :]).abs().to(x.dtype)
        scores = self.sharpness * (query @ key.transpose(-1, -2)) - nn.functional.softplus(self.slope) * distance
        mixed = torch.softmax(scores, dim=-1) @ value  # (B, H, W, head, T, C / head)
        mixed = mixed.permute(0, 4, 3, 5, 1, 2).reshape(n, c, h, w)
        answer: Tensor = self.mixer(x + self.out(mixed), n_frames)
        return answer

    def _by_pixel(self, x: Tensor, n_frames: int) -> Tensor:
        """`(B * T, C, H, W)` to `(B, H, W, head, T, C / head)`."""
        n, c, h, w = x.shape
        split = x.reshape(n // n_frames, n_frames, self.N_HEADS, c // self.N_HEADS, h, w)
        return split.permute(0, 4, 5, 2, 1, 3)


CELLS: dict[str, type[ConvCell] | type[Conv3dCell] | type[CnntCell]] = {
    "conv": ConvCell,
    "conv3d": Conv3dCell,
    "cnnt": CnntCell,
}


class Block(nn.Module):
    """`depth` cells of one kind in a row."""

    def __init__(self, cell: str, n_channels: int, depth: int) -> None:
        super().__init__()
        self.cells = nn.ModuleList(CELLS[cell](n_channels) for _ in range(depth))

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """`(B * T, C, H, W)` to the same, cell after cell."""
        for cell in self.cells:
            x = cell(x, n_frames)
        return x


def zeroed(convolution: Convolution) -> Convolution:
    """The convolution, its weights and bias 0: what it is added to stays as it is until training says otherwise."""
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution
