"""The default denoiser: a 2D U-Net on pixel-unshuffled frames, whitened by the g-map.

Contract (SNRAware): input `[B, 3, T, H, W]` float32 = real, imaginary, g-map, in SNR units, so that
the noise has a standard deviation (SD) of g per real and per imaginary part; output `[B, 2, T, H, W]`.
H and W are multiples of `DIVISOR`. Frames are folded into the batch: each is denoised by itself.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from snrstream.errors import ConfigurationError
from tools.training.recipe import Recipe

DIVISOR = 8  # pixel-unshuffle 2, then two strided levels
LARGEST_RESIDUAL = 6.0  # in noise SDs; white noise exceeds 4 in one pixel of 16,000
G_FLOOR = 1e-3  # a g-map may hold 0 where nothing was measured


class ResidualBlock(nn.Module):
    """`x + conv(relu(conv(x)))`, zero padded, no normalisation: the input's scale is known."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        self.second = nn.Conv2d(n_channels, n_channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)  # blocks start as the identity: stable without norms
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.first(x)))


class UNet(nn.Module):
    """Denoiser of complex frames in SNR units; see the module for its contract.

    widths: channels of the three levels, at half, a quarter and an eighth of the resolution.
    depths: residual blocks per level; on the way up the first two levels have as many again.
    """

    def __init__(self, widths: tuple[int, int, int] = (64, 96, 160), depths: tuple[int, int, int] = (2, 1, 2)) -> None:
        super().__init__()
        a, b, c = widths
        self.enter = nn.Conv2d(4 * 5, a, 3, padding=1)
        self.down_a = _blocks(a, depths[0])
        self.to_b = nn.Conv2d(a, b, 2, stride=2)
        self.down_b = _blocks(b, depths[1])
        self.to_c = nn.Conv2d(b, c, 2, stride=2)
        self.bottom = _blocks(c, depths[2])
        self.from_c = nn.Conv2d(c, 4 * b, 1)
        self.up_b = _blocks(b, depths[1])
        self.from_b = nn.Conv2d(b, 4 * a, 1)
        self.up_a = _blocks(a, depths[0])
        self.leave = nn.Conv2d(a, 4 * 2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)  # an untrained network returns its input
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 3, T, H, W]` to `[B, 2, T, H, W]`, both float32."""
        n_batch, _, n_frames, height, width = x.shape
        frames = x.transpose(1, 2).reshape(n_batch * n_frames, 3, height, width)
        gmap = frames[:, 2:].clamp(min=G_FLOOR)
        white = frames[:, :2] / gmap  # noise of SD 1 everywhere
        denoised = (white - self.noise(white, gmap)) * gmap
        return denoised.reshape(n_batch, n_frames, 2, height, width).transpose(1, 2)

    def noise(self, white: Tensor, gmap: Tensor) -> Tensor:
        """The noise `(N, 2, H, W)` in the whitened frames, estimated by the U-Net.

        Signal spans 0 to 1000 noise SDs and more. Two copies go in: a linear one, in which noise keeps
        its size whatever lies beneath it, and one compressed by arsinh, which stays readable for
        gating. The output is bounded by tanh, so that no signal, however strong, can lose more than
        `LARGEST_RESIDUAL` noise SDs in a pixel.
        """
        features = torch.cat([0.1 * white, torch.asinh(white), torch.log(gmap)], dim=1)
        a = self.down_a(self.enter(nn.functional.pixel_unshuffle(features, 2)))
        b = self.down_b(self.to_b(a))
        c = self.bottom(self.to_c(b))
        b = self.up_b(b + nn.functional.pixel_shuffle(self.from_c(c), 2))
        a = self.up_a(a + nn.functional.pixel_shuffle(self.from_b(b), 2))
        residual = nn.functional.pixel_shuffle(self.leave(a), 2)
        return LARGEST_RESIDUAL * torch.tanh(residual / LARGEST_RESIDUAL)


def _blocks(n_channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(n_channels) for _ in range(depth)))


def build_network(settings: Recipe) -> UNet:
    """The network that a recipe describes."""
    return UNet(
        (settings.width_half, settings.width_quarter, settings.width_eighth),
        (settings.blocks_half, settings.blocks_quarter, settings.blocks_eighth),
    )


def load_weights(network: nn.Module, path: Path) -> int:
    """Take the weights of a checkpoint; returns how many steps made them.

    Raises ConfigurationError where it is missing or of another network.
    """
    if not path.is_file():
        raise ConfigurationError(f"checkpoint {path} does not exist; expected one that train.py has written")
    checkpoint = torch.load(path, weights_only=True)
    weights = checkpoint["weights"]
    expected = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    if {name: tuple(weight.shape) for name, weight in weights.items()} != expected:
        raise ConfigurationError(f"checkpoint {path} holds another network than the recipe describes")
    network.load_state_dict(weights)
    return checkpoint["steps_before"] + checkpoint["step"]
