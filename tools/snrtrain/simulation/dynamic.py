"""Dynamic series out of one image: tissue that moves, and contrast that changes, so that frames carry meaning.

Motion: rigid and smooth non-rigid, breathing, drifting or sudden. Contrast: a curve for each tissue class, of an
inversion recovery, of a contrast agent's passage, or of a train of echoes.
"""

import numpy as np
import torch
from numpy.random import Generator
from scipy import ndimage
from torch import Tensor

FEWEST_FRAMES, MOST_FRAMES = 8, 16
LARGEST_STRETCH = 0.4  # of a displacement's change from one pixel to the next: at 1, tissue would fold


def draw_series(image: Tensor, rng: Generator) -> Tensor:
    """`(frame, e1, ro)` complex64 of a complex object `(e1, ro)`: 8 to 16 frames.

    They move in most of the series, change contrast in most, and do one of them in all. The brightest stay about as
    bright as the image.
    """
    n_frames = int(rng.integers(FEWEST_FRAMES, MOST_FRAMES + 1))
    which = rng.choice(["motion", "contrast", "both"], p=[0.35, 0.2, 0.45])
    frames = image.numpy()[None].repeat(n_frames, axis=0)
    if which != "motion":
        frames = frames * contrast(np.abs(frames[0]), draw_curves(n_frames, int(rng.integers(3, 7)), rng), rng)
    if which != "contrast":
        frames = moved(frames, draw_displacement(frames.shape, rng))
    turn = np.exp(1j * rng.normal(0, 0.02) * np.arange(n_frames))  # the scanner's frequency drifts
    return torch.from_numpy((frames * turn[:, None, None]).astype(np.complex64))


def draw_curves(n_frames: int, n_classes: int, rng: Generator) -> np.ndarray:
    """Signal over time of each tissue class, float32 `(class, frame)`, its largest magnitude 1.

    Negative before the null of an inversion recovery.
    """
    kind = rng.choice(["recovery", "agent", "echoes"])
    time = np.arange(n_frames) / (n_frames - 1)
    if kind == "recovery":  # 1 - 2 e exp(-t / T1), time in units of the longest inversion time
        rate = np.exp(rng.uniform(np.log(0.8), np.log(8), size=(n_classes, 1)))
        curves = 1 - 2 * rng.uniform(0.8, 1.0) * np.exp(-rate * (0.03 + 0.97 * time))
    elif kind == "agent":  # a gamma variate, normalised to 1 at its peak, over a baseline
        arrival = rng.uniform(0.0, 0.5, size=(n_classes, 1))
        width = rng.uniform(0.05, 0.4, size=(n_classes, 1))
        since = np.clip(time - arrival, 0, None) / width
        gain = rng.choice([-0.6, 0.0, 1.0, 2.5], size=(n_classes, 1)) * rng.uniform(0.3, 1.0, size=(n_classes, 1))
        washout = rng.uniform(0.0, 0.5, size=(n_classes, 1)) * (1 - np.exp(-since))
        curves = 1 + gain * np.maximum(since * np.exp(1 - since), washout)
    else:  # exp(-t / T2)
        curves = np.exp(-np.exp(rng.uniform(np.log(0.3), np.log(4), size=(n_classes, 1))) * time)
    return np.asarray(curves / np.abs(curves).max(), np.float32)


def contrast(magnitude: np.ndarray, curves: np.ndarray, rng: Generator) -> np.ndarray:
    """The factor `(frame, e1, ro)` float32 by which pixels change whose brightness tells their class."""
    return np.asarray(np.einsum("cf,cyx->fyx", curves, memberships(magnitude, len(curves), rng)), np.float32)


def memberships(magnitude: np.ndarray, n_classes: int, rng: Generator) -> np.ndarray:
    """How much of each pixel is of each class, `(class, e1, ro)`, 1 in sum.

    Hats around random levels of brightness, overlapping as partial volumes do; a class may be far brighter in the
    series than it was in the image.
    """
    levels = np.sort(rng.uniform(0.0, 1.2, size=n_classes)) + 1e-3 * np.arange(n_classes)
    smooth = ndimage.gaussian_filter(magnitude, 0.7)  # a volume's own noise is no tissue class
    return np.stack([np.interp(smooth, levels, row) for row in np.eye(n_classes)])


def draw_displacement(shape: tuple[int, int, int], rng: Generator) -> np.ndarray:
    """From where each pixel's signal comes, in pixels along (e1, ro): float32 `(frame, 2, e1, ro)`.

    Rigid turns and shifts, and most often a smooth local field, each by a course of its own. No pixel folds.
    """
    n_frames, n_e1, n_ro = shape
    size = max(n_e1, n_ro)
    y, x = np.meshgrid(np.arange(n_e1) - n_e1 / 2, np.arange(n_ro) - n_ro / 2, indexing="ij")
    shifts = rng.normal(0, 0.01 * size, size=2)[:, None] * draw_course(n_frames, rng)
    angles = np.radians(rng.normal(0, 1.5)) * draw_course(n_frames, rng)
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    field = np.stack([(cos - 1) * y - sin * x, sin * y + (cos - 1) * x], axis=1) + shifts.T[:, :, None, None]
    if rng.random() < 0.7:
        local = np.stack([_smooth_field(n_e1, n_ro, rng) for _ in range(2)])
        local *= rng.uniform(0.005, 0.025) * size
        steepest = max(float(np.abs(np.diff(local, axis=axis)).max()) for axis in (1, 2))
        local *= min(1.0, LARGEST_STRETCH / steepest)
        field = field + draw_course(n_frames, rng)[:, None, None, None] * local
    return np.asarray(field, np.float32)


def draw_course(n_frames: int, rng: Generator) -> np.ndarray:
    """The course of a motion over time, `(frame,)` in -1 ... 1: breathing, a drift, or one sudden move."""
    kind = rng.choice(["breathing", "drift", "sudden"], p=[0.6, 0.2, 0.2])
    time = np.arange(n_frames)
    if kind == "breathing":
        return breathing(time, rng.uniform(2.5, 12), rng.uniform(0, 1), int(rng.integers(1, 4)))
    if kind == "drift":
        return np.asarray(time / (n_frames - 1) * rng.choice([-1, 1]))
    return np.asarray(np.where(time < rng.integers(1, n_frames), 0.0, rng.choice([-1, 1])))


def breathing(time: np.ndarray, period: float, start: float, sharpness: int) -> np.ndarray:
    """`1 - 2 cos^2n(pi (t / period - start))`: longer at the one end, as lungs rest (Lujan et al., Med Phys 26:715)."""
    return 1 - 2 * np.cos(np.pi * (time / period - start)) ** (2 * sharpness)


def moved(frames: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """Complex `(frame, e1, ro)`, each pixel with the signal from `displacement` away, by cubic splines."""
    grid = np.indices(frames.shape[1:])
    return np.stack([
        ndimage.map_coordinates(frame, grid + there, order=3, mode="nearest")
        for frame, there in zip(frames, displacement, strict=True)
    ])  # fmt: skip


def _smooth_field(n_e1: int, n_ro: int, rng: Generator) -> np.ndarray:
    """Cubic through 4 x 4 to 6 x 6 random values, largest magnitude 1."""
    n_points = int(rng.integers(4, 7))
    points = rng.normal(size=(n_points, n_points))
    rows, columns = (np.linspace(0, n_points - 1, n) for n in (n_e1, n_ro))
    field = ndimage.map_coordinates(points, np.meshgrid(rows, columns, indexing="ij"), order=3, mode="nearest")
    return np.asarray(field / np.abs(field).max())
