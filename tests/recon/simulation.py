"""Small analytic objects and coils for tests of the reconstruction."""

import math

import torch
from torch import Tensor

from snrstream.recon.fft import to_kspace
from snrstream.recon.lattice import Lattice

Shape = tuple[int, int, int]  # (e2, e1, ro)

LATTICES = [
    # lattice, shape of k-space, shape of the ACS along (e2, e1); R divides the number of lines here
    (Lattice((2, 1)), (1, 32, 24), (1, 16)),
    (Lattice((3, 1)), (1, 30, 25), (1, 16)),
    (Lattice((4, 1)), (1, 36, 24), (1, 20)),
    (Lattice((2, 2)), (12, 16, 9), (10, 12)),
    (Lattice((2, 2), shift=1), (12, 16, 9), (10, 12)),
    (Lattice((1, 3)), (15, 12, 8), (13, 12)),
    (Lattice((3, 2), shift=1), (12, 18, 7), (9, 14)),
]


def object_and_coils(n_channels: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """A piecewise smooth ellipsoid `(e2, e1, ro)` and smooth sensitivities `(channel, e2, e1, ro)`, complex128.

    The channels sit around e1 and ro, in two rings along e2 where there are partitions.
    """
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) if n > 1 else torch.zeros(1).double() for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    radius = torch.sqrt((z / 0.9) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2)
    image = torch.sigmoid((1 - radius) * 30) * (1 + 0.5 * torch.sigmoid((0.4 - torch.hypot(y - 0.2, x)) * 30))
    angles = 2 * math.pi * torch.arange(n_channels, dtype=torch.float64) / n_channels
    ring = (torch.arange(n_channels) % 2 * 2 - 1) * (1.0 if shape[0] > 1 else 0.0)
    cz, cy, cx = (c[:, None, None, None] for c in (0.8 * ring, 1.2 * torch.sin(angles), 1.2 * torch.cos(angles)))
    magnitude = torch.exp(-((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / 1.5)
    csm = magnitude * torch.exp(1j * (angles[:, None, None, None] + 0.5 * x * cx + 0.5 * y * cy + 0.5 * z * cz))
    return image.to(torch.complex128), csm / torch.linalg.vector_norm(csm, dim=0).mean()


def true_maps(n_channels: int, shape: Shape) -> Tensor:
    """The sensitivities, of unit norm in every pixel, complex64."""
    _, csm = object_and_coils(n_channels, shape)
    return (csm / torch.linalg.vector_norm(csm, dim=0)).to(torch.complex64)


def white_noise(generator: torch.Generator, *shape: int) -> Tensor:
    """SD 1 per real and imaginary part, complex64."""
    return math.sqrt(2) * torch.randn(*shape, dtype=torch.complex64, generator=generator)


def noisy_kspace(n_channels: int, shape: Shape, snr: float, seed: int = 0) -> Tensor:
    """Fully sampled k-space `(channel, e2, e1, ro)` complex64 of the object, unit noise added."""
    image, csm = object_and_coils(n_channels, shape)
    signal = to_kspace(snr * csm * image, dims=(1, 2, 3)).to(torch.complex64)
    return signal + white_noise(torch.Generator().manual_seed(seed), n_channels, *shape)


def lattice_mask(lattice: Lattice, n_e2: int, n_e1: int, first: tuple[int, int] = (0, 0)) -> Tensor:
    """`(e2, e1)` bool: the lines that a regular sampling acquires which has the line `first`."""
    r1, r2 = lattice.acceleration
    z, y = torch.meshgrid(torch.arange(n_e2) - first[0], torch.arange(n_e1) - first[1], indexing="ij")
    return (z % r2 == 0) & ((y - z // r2 * lattice.shift) % r1 == 0)


def central(kspace: Tensor, n_partitions: int, n_lines: int) -> tuple[Tensor, int]:
    """The ACS in the middle of e2 and e1, and its first line's index."""
    z0, y0 = (n // 2 - k // 2 for n, k in zip(kspace.shape[1:3], (n_partitions, n_lines), strict=True))
    return kspace[:, z0 : z0 + n_partitions, y0 : y0 + n_lines], y0
