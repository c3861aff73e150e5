"""U-Nets for images in SNR units with their g-map: SNRAware's contract.

Input `[B, 3, T, H, W]` float32 = real, imaginary, g-map, so that the noise has a standard deviation (SD) of g per real
and per imaginary part; output `[B, 2, T, H, W]`. The magnitude variant: `[B, 2, T, H, W]` = magnitude, g-map, and
`[B, 1, T, H, W]`. H and W are multiples of 2^levels, T is any number.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Optional

import torch
from torch import Tensor, nn

from snrtrain.networks.cells import Block, Frames, zeroed


class WhitenedUNet(nn.Module):
    """Divides by the g-map, takes off the noise that `UNet` finds, multiplies by the g-map.

    n_parts: 2, real and imaginary, or 1, magnitude. widths: channels of the levels, at a half, a quarter ... of the
    resolution. depths: cells of each level's block; on the way up all but the lowest have as many again.
    cells: which, by level. gmap_known: without it the g-map counts as 1, whatever is given. window: see `Frames`.
    """

    LARGEST_RESIDUAL: Final[float] = 6.0  # in noise SDs; white noise exceeds 4 in one pixel of 16,000
    G_FLOOR: Final[float] = 1e-3  # a g-map may hold 0 where nothing was measured
    n_parts: Final[int]
    gmap_known: Final[bool]
    window: Final[int]

    def __init__(
        self, n_parts: int, widths: Sequence[int], depths: Sequence[int], cells: Sequence[str],
        gmap_known: bool = True, window: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.n_parts, self.gmap_known, self.window = n_parts, gmap_known, window
        self.enter = nn.Conv2d(4 * (2 * n_parts + 1), widths[0], 3, padding=1)
        self.backbone = UNet(widths, depths, cells)
        self.leave = zeroed(nn.Conv2d(widths[0], 4 * n_parts, 3, padding=1))  # untrained, it returns its input

    def forward(self, x: Tensor, causal: Optional[Tensor] = None) -> Tensor:  # noqa: UP045 - TorchScript's
        """`[B, n_parts + 1, T, H, W]` to `[B, n_parts, T, H, W]`, both float32; causal: see `Frames`, 0 without."""
        if causal is None:
            causal = torch.zeros(1, device=x.device)
        past: list[Tensor] = []
        answer, _ = self.remembering(x, causal, past)
        return answer

    def remembering(self, x: Tensor, causal: Tensor, past: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As `forward`, with what is remembered of earlier frames and, for later ones, of these: see `Frames`."""
        n_batch, n_channels, n_frames, height, width = x.shape
        frames = x.transpose(1, 2).reshape(n_batch * n_frames, n_channels, height, width)
        gmap = frames[:, self.n_parts :].clamp(min=self.G_FLOOR)
        if not self.gmap_known:
            gmap = torch.ones_like(gmap)
        white = frames[:, : self.n_parts] / gmap  # noise of SD 1 everywhere
        present: list[Tensor] = []
        noise = self.noise(white, gmap, Frames(n_frames, causal, self.window, past, present))
        denoised = (white - noise) * gmap
        return denoised.reshape(n_batch, n_frames, self.n_parts, height, width).transpose(1, 2), present

    def noise(self, white: Tensor, gmap: Tensor, frames: Frames) -> Tensor:
        """The noise `(B * T, n_parts, H, W)` in the whitened frames.

        Signal spans 0 to 1000 noise SDs and more. Two copies go in: a linear one, in which noise keeps its size
        whatever lies beneath it, and one compressed by arsinh, which stays readable for gating. The output is bounded
        by tanh, so that no signal, however strong, can lose more than `LARGEST_RESIDUAL` noise SDs in a pixel.
        """
        features = torch.cat([0.1 * white, torch.asinh(white), torch.log(gmap)], dim=1)
        features = self.backbone(self.enter(nn.functional.pixel_unshuffle(features, 2)), frames)
        residual = nn.functional.pixel_shuffle(self.leave(features), 2)
        return self.LARGEST_RESIDUAL * torch.tanh(residual / self.LARGEST_RESIDUAL)


class UNet(nn.Module):
    """A U-shaped backbone: a block a level on the way down, the bottom, and one each on the way up.

    Between levels the resolution halves in plane, never along T; what the way down leaves is added on the way up.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int], cells: Sequence[str]) -> None:
        super().__init__()
        levels = list(zip(cells, widths, depths, strict=True))
        self.down = nn.ModuleList(Block(*level) for level in levels[:-1])
        self.halve = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.bottom = Block(*levels[-1])
        self.enlarge = nn.ModuleList(Doubling(b, a) for a, b in reversed(list(pairwise(widths))))
        self.up = nn.ModuleList(Block(*level) for level in reversed(levels[:-1]))

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """`(B * T, widths[0], H, W)` to the same shape."""
        left: list[Tensor] = []
        for block, halve in zip(self.down, self.halve):  # noqa: B905 - TorchScript knows no strict
            x = block(x, frames)
            left.append(x)
            x = halve(x)
        x = self.bottom(x, frames)
        for enlarge, block in zip(self.enlarge, self.up):  # noqa: B905 - TorchScript knows no strict
            x = block(left.pop() + enlarge(x), frames)
        return x


class Doubling(nn.Module):
    """Twice the resolution in plane: a transposed 2 x 2 convolution of stride 2, written as what runs faster."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(n_in, 4 * n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, n_in, H, W)` to `(B, n_out, 2 H, 2 W)`."""
        return nn.functional.pixel_shuffle(self.spread(x), 2)
