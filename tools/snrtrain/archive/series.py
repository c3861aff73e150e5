"""4D NIfTI files `(x, y, slice, phase)`: series of images in time, such as cine.

One slice is in memory at a time, with all of its phases. A scanner has filtered such images, and often interpolated
them in time, so that neighbours are more alike than frames that were measured one by one: `draw_frames` leaves out
some.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from snrstream.errors import ConfigurationError
from snrtrain.archive import volumes
from snrtrain.archive.volumes import Level, Volume

FEWEST_FRAMES, MOST_FRAMES = 8, 16  # of what is drawn
MOST_APART = 3  # phases from one frame to the next
MOST_VALUES = 2**27  # of a slice with all of its phases, half a GiB in memory


@dataclass(frozen=True)
class Series:
    """path: of the file. shape: `(x, y, slice, phase)`. pixel_mm: edges in the plane. level: of its first phase."""

    name: str
    path: Path
    shape: tuple[int, int, int, int]
    pixel_mm: tuple[float, float]
    level: Level

    def slice(self, number: int) -> np.ndarray:
        """`(x, y, phase)` float32, bright tissue of the series near 1. Raises ConfigurationError."""
        return _slice(self, number)


def is_series(folder: Path, name: str) -> bool:
    """Whether a file has a fourth axis, by its header. Raises ConfigurationError where it cannot be read."""
    with volumes.reading(volumes.volume_path(folder, name)) as image:
        return volumes.is_series(image)


def load(folder: Path, name: str, floor: bool = False) -> Series:
    """One series by name; floor: as of `volumes.load`. All but one slice at a time stays on disk.

    Raises ConfigurationError where the file is missing, cannot be read, or holds no series that can be trained on.
    """
    path = volumes.volume_path(folder, name)
    with volumes.reading(path) as image:
        shape, edges = image.shape, tuple(float(edge) for edge in image.header.get_zooms()[:2])
        if len(shape) != 4 or 0 in shape or not all(edge > 0 for edge in edges):
            raise ConfigurationError(
                f"series {path} has shape {shape}, pixels {edges} mm; expected (x, y, slice, phase)"
            )
        if shape[3] < FEWEST_FRAMES:
            raise ConfigurationError(
                f"series {path} has {shape[3]} phases; expected {FEWEST_FRAMES} or more, or a volume (x, y, z)"
            )
        if min(shape[:2]) < volumes.SMALLEST_PLANE or max(edges) / min(edges) > volumes.MOST_ANISOTROPIC:
            raise ConfigurationError(
                f"series {path} has images of {shape[0]} x {shape[1]} pixels of {edges[0]:g} x {edges[1]:g} mm; "
                f"expected {volumes.SMALLEST_PLANE} pixels an edge, nearly square ones"
            )
        if shape[0] * shape[1] * max(shape[2], shape[3]) > MOST_VALUES:
            raise ConfigurationError(
                f"series {path} has {shape} values; expected {MOST_VALUES} or less in a slice with all of its phases, "
                "and in a phase with all of its slices"
            )
        first = np.asarray(image.dataobj[..., 0]).astype(np.float32)
    _, level = volumes.levelled(first, path, floor)
    return Series(name, path, shape, (edges[0], edges[1]), level)


def draw_image(series: Series, rng: Generator) -> np.ndarray:
    """One image `(e1, ro)` float32, most often with an object in it, on square pixels."""
    phase = int(rng.integers(series.shape[3]))
    return np.asarray(_planes(series, _draw_slice(series, rng), [phase])[0])


def draw_frames(series: Series, rng: Generator) -> np.ndarray:
    """8 to 16 frames `(frame, e1, ro)` float32 of one slice, every one to third of its phases, forwards."""
    n_phases = series.shape[3]
    n_frames = int(rng.integers(FEWEST_FRAMES, min(MOST_FRAMES, n_phases) + 1))
    apart = int(rng.integers(1, min(MOST_APART, (n_phases - 1) // (n_frames - 1)) + 1))
    first = int(rng.integers(0, n_phases - apart * (n_frames - 1)))
    return _planes(series, _draw_slice(series, rng), range(first, first + apart * n_frames, apart))


def frames(series: Series, number: int) -> np.ndarray:
    """All phases `(phase, e1, ro)` float32 of a slice, on square pixels."""
    return _planes(series, series.slice(number), range(series.shape[3]))


def _draw_slice(series: Series, rng: Generator) -> np.ndarray:
    data = np.empty(0)
    for _ in range(20):
        data = series.slice(int(rng.integers(series.shape[2])))
        if (data > 0.2).mean() > 0.08:
            break
    return data


def _planes(series: Series, data: np.ndarray, phases: "range | list[int]") -> np.ndarray:
    frames = Volume(series.name, data, (*series.pixel_mm, 1.0), is_list=True)
    return np.stack([volumes.plane(frames, 2, phase) for phase in phases])


@functools.lru_cache(maxsize=2)
def _slice(series: Series, number: int) -> np.ndarray:
    with volumes.reading(series.path) as image:
        data = np.asarray(image.dataobj[:, :, number, :]).astype(np.float32)
    return series.level.applied(data)
