"""Data to time with: a smooth object seen by smooth coils, and whole scans of it."""

import math

import torch
from torch import Tensor

from snrstream.recon.fft import to_kspace


def kspace(n_channels: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """Fully sampled noisy k-space `(channel, e2, e1, ro)` complex64 of an ellipsoid."""
    out = torch.empty(n_channels, *shape, dtype=torch.complex64)
    for channel in range(n_channels):
        out[channel] = channel_kspace(channel, n_channels, shape, seed)
    return out


def channel_kspace(channel: int, n_channels: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """One channel of `kspace`, `(e2, e1, ro)`."""
    axes = [torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in shape]
    z, y, x = (axis.reshape([-1 if i == j else 1 for j in range(3)]) for i, axis in enumerate(axes))
    inside = (z / 0.9) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2 < 1
    image = 100 * inside * (1 + 0.3 * torch.sin(20 * x) * torch.cos(15 * y))
    angle = 2 * math.pi * channel / n_channels
    cy, cx, cz = 1.2 * math.sin(angle), 1.2 * math.cos(angle), 0.8 * (channel % 2 * 2 - 1)
    magnitude = torch.exp(-((y - cy) ** 2 + (x - cx) ** 2 + (z - cz) ** 2) / 0.6)
    phase = (angle + x * cx + y * cy).expand(shape)
    signal = to_kspace(torch.polar(magnitude * image, phase), dims=(0, 1, 2))
    generator = torch.Generator().manual_seed(1000 * seed + channel)
    return signal + math.sqrt(2) * torch.randn(*shape, dtype=torch.complex64, generator=generator)
