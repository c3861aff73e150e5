"""A neck under black-blood imaging: bright thin vessel walls around dark lumens, a contrast that brains do not have."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from snrtrain.simulation.objects import covered

MUSCLE, FAT, BONE, WALL, PLAQUE, LUMEN = 0.45, 0.2, 0.3, 0.9, 1.1, 0.04
WALL_PIXELS = (1.6, 2.4)  # thickness
LUMEN_PIXELS = (3.0, 5.0)  # radius
N_VESSELS = 4
CORE = 0.9  # share of a tissue in a pixel that counts as its region


@dataclass(frozen=True)
class VesselWall:
    """magnitude: `(e2, e1, ro)` float32, heights of its partitions where half a field of view in the plane is 1.

    wall, lumen, muscle: bool masks of the same shape, pixels that a tissue fills.
    """

    magnitude: np.ndarray
    heights: tuple[float, ...]
    wall: np.ndarray
    lumen: np.ndarray
    muscle: np.ndarray


def draw(shape: tuple[int, int, int], rng: Generator) -> VesselWall:
    """A cylinder of muscle under fat, a vertebra, and vessels that wind along e2, some with plaque."""
    n_e2, n_e1, n_ro = shape
    y, x = np.meshgrid(np.arange(n_e1) - n_e1 / 2, np.arange(n_ro) - n_ro / 2, indexing="ij")
    edge = min(n_e1, n_ro) / 2
    along = np.linspace(-1, 1, n_e2)[:, None, None]
    axes = edge * rng.uniform(0.72, 0.85, size=2)
    radius = np.hypot(y / axes[0], x / axes[1]) * (1 + 0.06 * along)
    body, inner = (covered((limit - radius) * axes.mean()) for limit in (1.0, 0.87))
    magnitude = FAT * body + (MUSCLE - FAT) * inner
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 2.0)
    magnitude *= 1 + 0.06 * texture / texture.std()
    bone = covered(0.2 * edge - np.hypot(y - 0.35 * edge, x))
    magnitude = magnitude * (1 - bone) + BONE * bone
    muscle, wall, lumen = inner * (1 - bone), np.zeros(shape), np.zeros(shape)
    turn = rng.uniform(0, 2 * np.pi)
    for number in range(N_VESSELS):
        angle = turn + 2 * np.pi * (number + rng.uniform(-0.15, 0.15)) / N_VESSELS
        wind = 0.08 * edge * np.sin(np.pi * along + rng.uniform(0, 2 * np.pi))
        at_y, at_x = 0.5 * edge * np.sin(angle) + wind, 0.5 * edge * np.cos(angle) - wind
        distance = np.hypot(y - at_y, x - at_x)
        inner_edge, thickness = rng.uniform(*LUMEN_PIXELS), rng.uniform(*WALL_PIXELS)
        one_side = np.cos(np.arctan2(y - at_y, x - at_x) - rng.uniform(0, 2 * np.pi)) > 0.7
        plaque = (rng.random() < 0.5) * one_side * np.exp(-((along / 0.3) ** 2))
        blood, vessel = covered(inner_edge - distance), covered(inner_edge + thickness * (1 + plaque) - distance)
        ring = vessel - blood
        magnitude = magnitude * (1 - vessel) + ring * (WALL + (PLAQUE - WALL) * plaque) + LUMEN * blood
        muscle, wall, lumen = muscle * (1 - vessel), np.maximum(wall, ring), np.maximum(lumen, blood)
    heights = tuple(float(z) for z in (np.arange(n_e2) + 0.5 - n_e2 / 2) * 2 / max(n_e1, n_ro))
    return VesselWall(magnitude.astype(np.float32), heights, *(part > CORE for part in (wall, lumen, muscle)))
