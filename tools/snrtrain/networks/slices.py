"""The 2.5D U-Net of sN2N (Jung et al. 2022, European Radiology): neighbouring slices as channels, the centre one out.

Input `[B, S, H, W]` float32, S neighbours' magnitudes in any unit, output `[B, 1, H, W]` in the same unit. H and W are
multiples of 2^(levels - 1), and twice that at least: instance norms need more than one pixel.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from snrtrain.networks.cells import zeroed
from snrtrain.networks.whitened import Doubling


class SlicesUNet(nn.Module):
    """n_slices: S, odd. widths: channels of the levels, at the full resolution, a half, a quarter ...

    Instance norms forget how bright their input is, and an output cannot be brighter or darker where it should: so
    the stack is divided by its RMS, the U-Net gives what is to be taken off the centre slice, and the RMS is
    multiplied in again. Untrained, it returns the centre slice.
    """

    FLOOR: Final[float] = 1e-12
    n_slices: Final[int]

    def __init__(self, n_slices: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.n_slices = n_slices
        above = list(reversed(widths[:-1]))
        self.down = nn.ModuleList(Twice(a, b) for a, b in zip([n_slices, *widths[:-2]], widths[:-1], strict=True))
        self.bottom = Twice(widths[-2], widths[-1])
        self.enlarge = nn.ModuleList(Doubling(b, a) for b, a in zip(reversed(widths[1:]), above, strict=True))
        self.up = nn.ModuleList(Twice(2 * a, a) for a in above)
        self.leave = zeroed(nn.Conv2d(widths[0], 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, S, H, W]` to `[B, 1, H, W]`, both float32."""
        level = x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=self.FLOOR)
        features = x / level
        left: list[Tensor] = []
        for twice in self.down:
            features = twice(features)
            left.append(features)
            features = nn.functional.max_pool2d(features, 2)
        features = self.bottom(features)
        for enlarge, twice in zip(self.enlarge, self.up):  # noqa: B905 - TorchScript knows no strict
            features = twice(torch.cat([left.pop(), enlarge(features)], dim=1))
        centre = self.n_slices // 2
        taken_off: Tensor = level * self.leave(features)
        return x[:, centre : centre + 1] - taken_off


class Twice(nn.Module):
    """3 x 3 convolution, instance norm and ReLU, twice."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)  # the norm would take a bias off again
        self.first_norm = nn.InstanceNorm2d(n_out, affine=True)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.second_norm = nn.InstanceNorm2d(n_out, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, n_in, H, W)` to `(B, n_out, H, W)`."""
        x = torch.relu(self.first_norm(self.first(x)))
        answer: Tensor = torch.relu(self.second_norm(self.second(x)))
        return answer
