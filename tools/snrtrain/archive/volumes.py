"""Magnitude volumes to train, validate and test on: NIfTI files in one folder, and slices of them.

A slice is a float32 numpy array `(e1, ro)` whose bright tissue lies near 1. The folder is `--volumes`, or
`$SNRSTREAM_TEST_DATA/volumes`.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from snrstream.errors import ConfigurationError
from snrtrain.archive import sources

ENDING = ".nii.gz"
MOST_ANISOTROPIC = 2.1  # ratio of voxel edges up to which a reformatted slice is worth training on
SMALLEST_PLANE = 96  # pixels
SLAB_MM = 4.0  # of a test slice, where the volume's slices are thinner
FEWEST_SLICES = 5  # of a stack
FARTHEST_MM = 7.5  # from slice to slice in a stack: beyond, neighbours share little, and may be no neighbours at all
MOST_SLICES = 16


@dataclass(frozen=True)
class Volume:
    """name; data `(x, y, z)` float32, bright tissue near 1; edges of a voxel in mm.

    is_list: whether the third axis is no direction, its slices images without a place in common.
    """

    name: str
    data: np.ndarray
    voxel_mm: tuple[float, float, float]
    is_list: bool = False

    def slice_axes(self) -> list[int]:
        """Axes along which slices may be taken: those whose plane is large, its pixels nearly square."""
        axes = []
        for axis in (2,) if self.is_list else range(3):
            others = [other for other in range(3) if other != axis]
            edges = [self.voxel_mm[other] for other in others]
            large = min(self.data.shape[other] for other in others) >= SMALLEST_PLANE
            if large and max(edges) / min(edges) <= MOST_ANISOTROPIC:
                axes.append(axis)
        return axes


def volume_folder(option: str | None) -> Path:
    """The folder of volumes: the option, else `$SNRSTREAM_TEST_DATA/volumes`.

    Raises ConfigurationError where neither is given or the folder is missing.
    """
    if option is None and "SNRSTREAM_TEST_DATA" not in os.environ:
        raise ConfigurationError(
            "no volume folder: got neither --volumes nor SNRSTREAM_TEST_DATA; expected a folder of .nii.gz"
        )
    folder = Path(option) if option is not None else Path(os.environ["SNRSTREAM_TEST_DATA"]) / "volumes"
    if not folder.is_dir():
        raise ConfigurationError(f"volume folder {folder} does not exist; expected a folder of .nii.gz files")
    return folder


def load(folder: Path, name: str, floor: bool = False) -> Volume:
    """One volume by name, in the nearest anatomical orientation.

    floor: remove the air's noise floor (for training; a test volume stays as it is).
    Raises ConfigurationError where the file is missing, cannot be read, or holds no volume.
    """
    import nibabel

    path = volume_path(folder, name)
    with reading(path) as image:
        if is_series(image):
            raise ConfigurationError(f"volume {path} is a series of {image.shape[3]} images; expected (x, y, z)")
        image = nibabel.as_closest_canonical(image)
        data = np.asarray(image.dataobj).astype(np.float32)
        edges = tuple(float(edge) for edge in image.header.get_zooms()[:3])
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3 or data.size == 0 or not all(edge > 0 for edge in edges):
        raise ConfigurationError(f"volume {path} has shape {data.shape}, voxels {edges} mm; expected (x, y, z)")
    data, _ = levelled(data, path, floor)
    origin = sources.read(folder).get(name)
    return Volume(name, data, (edges[0], edges[1], edges[2]), origin is not None and origin.axis == "none")


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """The NIfTI image of a file, its voxels unread. Raises ConfigurationError for what of it cannot be read."""
    import nibabel

    image: Any = None  # its own types are those of any image, voxels or none
    try:
        image = nibabel.load(path)
        yield image
    except MemoryError:
        raise ConfigurationError(f"volume {path} has {image.shape} voxels; expected what memory can hold") from None
    except (
        OSError, EOFError, ValueError, TypeError, ArithmeticError, zlib.error, nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    ) as error:  # fmt: skip
        raise ConfigurationError(f"volume {path} cannot be read: {' '.join(str(error).split())}") from None


def is_series(image: Any) -> bool:
    """Whether a NIfTI image has a fourth axis, of several images."""
    return bool(len(image.shape) == 4 and image.shape[3] > 1)


def cleaned(data: np.ndarray) -> np.ndarray:
    """Finite values of 0 and more."""
    finite = data if np.isfinite(data).all() else np.nan_to_num(data, posinf=0, neginf=0)
    return np.asarray(np.clip(finite, 0, None))


@dataclass(frozen=True)
class Level:
    """What makes bright tissue 1: values over 2^exponent, the noise floor `air` taken away, over `bright`."""

    exponent: int
    air: float
    bright: float

    def applied(self, data: np.ndarray) -> np.ndarray:
        """To other data of the same scan."""
        return np.asarray(self._above_air(data) / self.bright)

    def _above_air(self, data: np.ndarray) -> np.ndarray:
        data = np.ldexp(cleaned(data), -self.exponent)  # exact, and no square overflows
        return np.sqrt(np.clip(data**2 - self.air**2, 0, None)) if self.air else data


def levelled(data: np.ndarray, path: Path, floor: bool) -> tuple[np.ndarray, Level]:
    """Data with bright tissue near 1, and how they came to it. floor: take the air's noise floor away.

    Raises ConfigurationError where the data of the file `path` show nothing.
    """
    data = cleaned(data)
    if not data.any():
        raise ConfigurationError(f"volume {path} is empty: no finite value is above 0; expected an object")
    level = Level(int(np.frexp(data.max())[1]), 0.0, 1.0)
    data = level._above_air(data)
    if floor:
        level = replace(level, air=1.5 * np.percentile(data, 25))
        data = np.sqrt(np.clip(data**2 - level.air**2, 0, None))
    inside = data[data > 0.1 * np.percentile(data, 99)]
    if inside.size == 0:
        raise ConfigurationError(
            f"volume {path} shows nothing above the noise of its air, for which 1.5 times the lower quartile of its "
            "values is taken; expected an object in air"
        )
    level = replace(level, bright=np.percentile(inside, 90))
    return data / level.bright, level


def volume_path(folder: Path, name: str) -> Path:
    """The file of a volume. Raises ConfigurationError where it is missing."""
    path = folder / f"{name}{ENDING}"
    if not path.is_file():
        raise ConfigurationError(f"volume {path} does not exist; expected {name}{ENDING} in that folder")
    return path


def names_in(folder: Path) -> list[str]:
    """The volumes of a folder, sorted. Raises ConfigurationError where there are none."""
    names = sorted(path.name.removesuffix(ENDING) for path in folder.glob(f"[!.]*{ENDING}"))
    if not names:
        raise ConfigurationError(f"folder {folder} holds no volume; expected files that end in {ENDING}")
    return names


def plane(volume: Volume, axis: int, index: int, thickness: int = 1) -> np.ndarray:
    """The mean of `thickness` slices from `index` on, resampled to square pixels (the finer edge)."""
    slab = volume.data[(slice(None),) * axis + (slice(index, index + thickness),)].mean(axis=axis)
    edges = np.array([volume.voxel_mm[other] for other in range(3) if other != axis])
    zoom = edges / edges.min()
    if zoom.max() > 1.05:
        slab = np.clip(ndimage.zoom(slab, zoom, order=1), 0, None)
    return np.asarray(slab, np.float32)


def draw_plane(volume: Volume, rng: Generator) -> np.ndarray:
    """A slice along a random axis, 1 to 5 mm thick, most often with an object in it."""
    for _ in range(20):
        axis = int(rng.choice(volume.slice_axes()))
        n_slices = volume.data.shape[axis]
        thickness = _draw_thickness(volume, axis, n_slices // 8, rng)
        image = plane(volume, axis, int(rng.integers(0, n_slices - thickness + 1)), thickness)
        if (image > 0.2).mean() > 0.08:
            break
    return image


@dataclass(frozen=True)
class Stack:
    """Neighbouring slices of a volume along `axis`, float32 `(slice, e1, ro)`.

    heights: of the slices above the volume's centre, where half a field of view in the plane is 1.
    """

    slices: np.ndarray
    heights: tuple[float, ...]
    axis: int


def stack_axes(volume: Volume) -> list[int]:
    """Axes along which a stack of `FEWEST_SLICES` neighbours can be taken."""
    return [
        axis
        for axis in volume.slice_axes()
        if volume.data.shape[axis] >= FEWEST_SLICES and volume.voxel_mm[axis] <= FARTHEST_MM and not volume.is_list
    ]


def draw_stack(volume: Volume, rng: Generator) -> Stack:
    """5 to 16 neighbouring slices along a random one of `stack_axes`, most often with an object in them."""
    for _ in range(20):
        axis = int(rng.choice(stack_axes(volume)))
        n_all = volume.data.shape[axis]
        thickness = _draw_thickness(volume, axis, n_all // FEWEST_SLICES, rng)
        n_slices = min(int(rng.integers(FEWEST_SLICES, MOST_SLICES + 1)), n_all // thickness)
        start = int(rng.integers(0, n_all - n_slices * thickness + 1))
        slices = np.stack([plane(volume, axis, start + n * thickness, thickness) for n in range(n_slices)])
        if (slices > 0.2).mean() > 0.08:
            break
    centres = start + thickness * (np.arange(n_slices) + 0.5)
    return Stack(slices, heights_of(volume, axis, centres), axis)


def heights_of(volume: Volume, axis: int, positions: np.ndarray) -> tuple[float, ...]:
    """Positions along an axis, in slices from its start, as `Stack` counts them."""
    field_of_view = max(volume.data.shape[other] * volume.voxel_mm[other] for other in range(3) if other != axis)
    above = (positions - volume.data.shape[axis] / 2) * volume.voxel_mm[axis]
    return tuple(float(z) for z in above / (field_of_view / 2))


def central_stack(volume: Volume, n_slices: int, slab_mm: float = SLAB_MM) -> Stack:
    """`n_slices` neighbouring slices around the middle, along the longest voxel edge.

    Those thinner than `slab_mm` are averaged to it (0: none): in a 1 mm volume the reference's own noise
    would be half of what is added to it at SNR 10, and no denoiser could be told from a perfect one.
    Neighbours, so that a method that uses the third dimension (BM4D) gets what it can use; of a list of images, which
    has none, the middle one alone.
    """
    axis = int(np.argmax(volume.voxel_mm))
    if volume.is_list:
        axis, n_slices, slab_mm = 2, 1, 0.0
    thickness = max(1, round(slab_mm / volume.voxel_mm[axis]))
    n_slices = max(1, min(n_slices, volume.data.shape[axis] // thickness))
    start = (volume.data.shape[axis] - n_slices * thickness) // 2
    slices = np.stack([plane(volume, axis, start + n * thickness, thickness) for n in range(n_slices)])
    centres = start + thickness * (np.arange(n_slices) + 0.5)
    return Stack(slices, heights_of(volume, axis, centres), axis)


def _draw_thickness(volume: Volume, axis: int, most: int, rng: Generator) -> int:
    """1 to 5 mm in slices, no more than `most`; one of a list of images."""
    if volume.is_list:
        return 1
    return max(1, min(most, round(rng.uniform(1, 5) / volume.voxel_mm[axis])))
