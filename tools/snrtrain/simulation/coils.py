"""Sensitivities of simulated receive coils: loops around the field of view, by Biot-Savart."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from snrstream.recon.unmixing import power

COARSE = 40  # sensitivities are smooth: this many points per axis, interpolated, are within 1 % of the field
LOOP_SEGMENTS = 24


def loop_sensitivities(n_channels: int, shape: tuple[int, ...], rng: Generator) -> Tensor:
    """Sensitivities of `n_channels` loops around the field of view, complex64 `(channel, e1, ro)`.

    Biot-Savart over the wire of each loop: the received signal goes with Bx - i By. Loops sit on
    a jittered ellipse, in one to three rings along z; the root sum of squares is 1 on average.
    """
    return stack_sensitivities(n_channels, shape, (0.0,), rng)[:, 0]


def stack_sensitivities(
    n_channels: int, shape: tuple[int, ...], heights: Sequence[float], rng: Generator, fewest_rings: int = 1
) -> Tensor:
    """The same of a stack of slices, complex64 `(channel, slice, e1, ro)`.

    heights: of the slices along z, where half a field of view is 1. fewest_rings: two tell slices apart.
    """
    rings = int(rng.integers(fewest_rings, 4)) if n_channels >= 12 else fewest_rings
    per_ring = math.ceil(n_channels / rings)
    y, x = grid((COARSE, COARSE))
    # Half a field of view is 1.
    points = torch.stack([torch.stack([x, y, torch.full_like(x, z)], dim=-1).double() for z in heights])
    axes = rng.uniform(1.15, 1.6, size=2)
    tilt = rng.uniform(0, 2 * math.pi)
    field = torch.zeros(n_channels, len(heights), COARSE, COARSE, dtype=torch.complex128)
    for channel in range(n_channels):
        ring, place = channel % rings, channel // rings
        angle = 2 * math.pi * (place + 0.5 * (ring % 2) + rng.uniform(-0.1, 0.1)) / per_ring + tilt
        centre = np.array([axes[0] * math.cos(angle), axes[1] * math.sin(angle), 0.9 * (ring - (rings - 1) / 2)])
        normal = -centre / np.linalg.norm(centre) + rng.normal(0, 0.1, size=3)
        radius = 1.2 * math.pi * axes.mean() / max(per_ring, 5) * rng.uniform(0.85, 1.15)
        field[channel] = _loop_field(points, centre, normal / np.linalg.norm(normal), radius)
        field[channel] *= complex(np.exp(1j * rng.uniform(0, 2 * math.pi)))
    parts = torch.cat([field.real, field.imag])
    parts = F.interpolate(parts, size=shape, mode="bicubic", align_corners=True)
    smooth = torch.complex(parts[:n_channels], parts[n_channels:])
    rss = power(smooth).sqrt()
    return (smooth / rss.mean()).to(torch.complex64)


def grid(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Coordinates y and x in -1 ... 1 as `(e1, ro)` float64."""
    axes = [torch.linspace(-1, 1, size, dtype=torch.float64) for size in shape]
    y, x = torch.meshgrid(*axes, indexing="ij")
    return y, x


def _loop_field(points: Tensor, centre: np.ndarray, normal: np.ndarray, radius: float) -> Tensor:
    """Bx - i By at `points` (..., 3) of a circular loop carrying a unit current (Biot-Savart)."""
    first = np.cross(normal, [0.0, 0.0, 1.0] if abs(normal[2]) < 0.9 else [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    angles = 2 * math.pi * (np.arange(LOOP_SEGMENTS) + 0.5) / LOOP_SEGMENTS
    wire = centre + radius * (np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second)
    step = -np.sin(angles)[:, None] * first + np.cos(angles)[:, None] * second
    distance = points[..., None, :] - torch.from_numpy(wire)
    product = torch.linalg.cross(torch.from_numpy(step).expand_as(distance), distance)
    # Squared distances are floored: a point on the wire itself would be infinite.
    field = (product / (distance.square().sum(-1, keepdim=True) + 0.02) ** 1.5).sum(dim=-2)
    return torch.complex(field[..., 0], -field[..., 1])
