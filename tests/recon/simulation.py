"""Small analytic objects and coils for tests of the reconstruction."""

import math

import torch
from torch import Tensor


def object_and_coils(n_channels: int, n_e1: int, n_ro: int) -> tuple[Tensor, Tensor]:
    """A piecewise smooth disc `(e1, ro)` and smooth sensitivities `(channel, e1, ro)`, complex128."""
    y = torch.linspace(-1, 1, n_e1, dtype=torch.float64)[:, None]
    x = torch.linspace(-1, 1, n_ro, dtype=torch.float64)[None, :]
    radius = torch.sqrt((y / 0.8) ** 2 + (x / 0.7) ** 2)
    image = torch.sigmoid((1 - radius) * 30) * (1 + 0.5 * torch.sigmoid((0.4 - torch.hypot(y - 0.2, x)) * 30))
    angles = 2 * math.pi * torch.arange(n_channels, dtype=torch.float64) / n_channels
    cy, cx = 1.2 * torch.sin(angles)[:, None, None], 1.2 * torch.cos(angles)[:, None, None]
    magnitude = torch.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 1.5)
    csm = magnitude * torch.exp(1j * (angles[:, None, None] + 0.5 * x * cx + 0.5 * y * cy))
    return image.to(torch.complex128), csm / torch.linalg.vector_norm(csm, dim=0).mean()


def white_noise(generator: torch.Generator, *shape: int) -> Tensor:
    """SD 1 per real and imaginary part, complex64."""
    return math.sqrt(2) * torch.randn(*shape, dtype=torch.complex64, generator=generator)


def undersample(kspace: Tensor, acceleration: int, offset: int) -> tuple[Tensor, Tensor]:
    """Zero all lines but every R-th from `offset`; the k-space `(channel, e1, ro)` and the mask `(e1,)`."""
    sampled = torch.zeros(kspace.shape[1], dtype=torch.bool)
    sampled[offset::acceleration] = True
    return kspace * sampled[:, None], sampled
