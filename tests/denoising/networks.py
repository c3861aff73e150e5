"""Small torch networks, and their files in both formats."""

import functools
import io
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from snrtrain.export.formats import to_onnx, to_torchscript
from snrtrain.networks.whitened import WhitenedUNet


class Smoothing(nn.Module):
    """Takes a bounded, local something off: each pixel depends on 5 x 5 x 5 of the input."""

    def __init__(self, n_in: int = 3, n_out: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.n_out = n_out
        self.first = nn.Conv3d(n_in, 4, 3, padding=1)
        self.second = nn.Conv3d(4, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, : self.n_out] - torch.tanh(4 * self.second(torch.tanh(self.first(x))))


class Published(nn.Module):
    """The contract of SNRAware's published models: 16 x 64 x 64 only, norms over [C, 64, 64], [re, im, g] in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.LayerNorm([4, 64, 64])
        self.leave = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        assert x.dim() == 5 and x.shape[1] == 3 and x.shape[2] == 16
        frames = x.transpose(1, 2).flatten(0, 1)
        noise = self.leave(self.norm(self.enter(frames)))
        return x[:, :2] - 0.5 * noise.reshape(x.shape[0], 16, 2, 64, 64).transpose(1, 2)


class Global(nn.Module):
    """Takes off a share of the tile's largest pixel: no tiling gives what the whole image gives."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :2] - 0.1 * x.abs().amax(dim=(1, 2, 3, 4), keepdim=True)


class Limited(nn.Module):
    """Halves its input, but claims to lack memory above `items` in a batch or `edge` pixels along ro."""

    def __init__(self, items: int, edge: int) -> None:
        super().__init__()
        self.items, self.edge = items, edge

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > self.items or x.shape[4] > self.edge:
            raise RuntimeError("CUDA out of memory. Tried to allocate 3.00 GiB")
        return 0.5 * x[:, :2]


class Magnitude(nn.Module):
    """2 in, 1 out: magnitude times g."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1] * x[:, 1:2]


class Neighbours(nn.Module):
    """5 slices in, their weighted sum out."""

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1]).reshape(1, 5, 1, 1)
        return (x * weights).sum(1, keepdim=True)


class Endless(nn.Module):
    """Never answers to more than one item."""

    def forward(self, x: Tensor) -> Tensor:
        while x.shape[0] > 1:
            x = x + 0.0
        return x[:, :2]


REMEMBERS = {
    "frames": ["time", "slice", "depth"], "divisor": 4, "past": [[32, 2], [64, 4], [32, 2]], "window": 4,
}  # fmt: skip


def remembering() -> WhitenedUNet:
    """Three cells that attend to frames, at two levels, all with a say in the answer: what `REMEMBERS` tells."""
    torch.manual_seed(0)
    network = WhitenedUNet(2, (16, 32), (1, 1), ("cnnt", "cnnt"), window=REMEMBERS["window"])
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape))
    return network.eval()


@functools.cache
def remembering_file(kind: str = "onnx") -> bytes:
    """`remembering` as a file of the format `kind`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        if kind == "torchscript":
            to_torchscript(remembering(), path, True)
        else:
            to_onnx(remembering(), path, torch.rand(2, 3, 3, 24, 40) + 0.5, 4, REMEMBERS["past"])
        return path.read_bytes()


def torchscript(network: nn.Module) -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
        torch.jit.save(torch.jit.script(network), data)
    return data.getvalue()


def onnx_file(network: nn.Module) -> bytes:
    """With any batch and T, H and W in multiples of 8."""
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(network, Path(folder) / "model.onnx")
        return (Path(folder) / "model.onnx").read_bytes()
