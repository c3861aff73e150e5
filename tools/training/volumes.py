"""Magnitude slices to train, validate and test on, split by subject.

A slice is a float32 numpy array `(e1, ro)` whose bright tissue lies near 1. Volumes are NIfTI files
in one folder (`--volumes`, or `$SNRSTREAM_TEST_DATA/volumes`); test volumes are refused for training.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from snrstream.errors import ConfigurationError

TRAIN = ("datalad_T1w_0p67mm", "uih_t1gre3d_a", "b_t2")
VALIDATION = ("prisma_t1fl2d_sag_hfs",)  # a subject of its own: no slice of it is ever trained on
TEST = ("sag_anon_mprage_skyra3T", "a_t2", "spine_t2star", "ge_irspgr_1p5")
LICENCES = {
    "datalad_T1w_0p67mm": "PDDL",
    "uih_t1gre3d_a": "BSD-2-Clause",
    "b_t2": "MIT",
    "prisma_t1fl2d_sag_hfs": "BSD-2-Clause",
}
MOST_ANISOTROPIC = 2.1  # ratio of voxel edges up to which a reformatted slice is worth training on
SMALLEST_PLANE = 96  # pixels
SLAB_MM = 4.0  # of a test slice, where the volume's slices are thinner


@dataclass(frozen=True)
class Volume:
    """name; data `(x, y, z)` float32, bright tissue near 1; edges of a voxel in mm."""

    name: str
    data: np.ndarray
    voxel_mm: tuple[float, float, float]

    def slice_axes(self) -> list[int]:
        """Axes along which slices may be taken: those whose plane is large, its pixels nearly square."""
        axes = []
        for axis in range(3):
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
    root = os.environ.get("SNRSTREAM_TEST_DATA")
    if option is None and root is None:
        raise ConfigurationError(
            "no volume folder: got neither --volumes nor SNRSTREAM_TEST_DATA; expected a folder of .nii.gz"
        )
    folder = Path(option) if option is not None else Path(root) / "volumes"
    if not folder.is_dir():
        raise ConfigurationError(f"volume folder {folder} does not exist; expected a folder of .nii.gz files")
    return folder


def load(folder: Path, name: str, floor: bool = False) -> Volume:
    """One volume by name, in the nearest anatomical orientation.

    floor: remove the air's noise floor (for training; a test volume stays as it is).
    Raises ConfigurationError where the file is missing.
    """
    import nibabel

    path = volume_path(folder, name)
    image = nibabel.as_closest_canonical(nibabel.load(path))
    data = np.asarray(image.dataobj).astype(np.float32)
    data = np.clip(data, 0, None)
    if floor:
        air = 1.5 * np.percentile(data, 25)
        data = np.sqrt(np.clip(data**2 - air**2, 0, None))
    bright = np.percentile(data[data > 0.1 * np.percentile(data, 99)], 90)
    return Volume(name, data / bright, tuple(float(edge) for edge in image.header.get_zooms()[:3]))


def volume_path(folder: Path, name: str) -> Path:
    """The file of a volume. Raises ConfigurationError where it is missing."""
    path = folder / f"{name}.nii.gz"
    if not path.is_file():
        raise ConfigurationError(f"volume {path} does not exist; expected {name}.nii.gz in that folder")
    return path


def check_for_training(folder: Path, name: str) -> None:
    """Raises ConfigurationError on the name of a test volume, or one that is missing."""
    if name in TEST:
        raise ConfigurationError(
            f"{name} is a test volume and may not be trained on; expected none of {', '.join(TEST)}"
        )
    volume_path(folder, name)


def load_for_training(folder: Path, names: tuple[str, ...]) -> list[Volume]:
    """Volumes to learn from, their noise floor removed. Raises as `check_for_training` does."""
    for name in names:
        check_for_training(folder, name)
    return [load(folder, name, floor=True) for name in names]


def plane(volume: Volume, axis: int, index: int, thickness: int = 1) -> np.ndarray:
    """The mean of `thickness` slices from `index` on, resampled to square pixels (the finer edge)."""
    slab = volume.data[(slice(None),) * axis + (slice(index, index + thickness),)].mean(axis=axis)
    edges = np.array([volume.voxel_mm[other] for other in range(3) if other != axis])
    zoom = edges / edges.min()
    if zoom.max() > 1.05:
        slab = np.clip(ndimage.zoom(slab, zoom, order=1), 0, None)
    return slab.astype(np.float32)


def draw_plane(volumes: list[Volume], rng: Generator) -> np.ndarray:
    """A random slice of a random volume and axis, 1 to 5 mm thick, with an object in it."""
    volume = volumes[rng.integers(len(volumes))]
    for _ in range(20):
        axis = int(rng.choice(volume.slice_axes()))
        n_slices = volume.data.shape[axis]
        thickest = max(1, min(n_slices // 8, round(rng.uniform(1, 5) / volume.voxel_mm[axis])))
        image = plane(volume, axis, int(rng.integers(0, n_slices - thickest + 1)), thickest)
        if (image > 0.2).mean() > 0.08:
            break
    return image


def test_planes(volume: Volume, n_slices: int, slab_mm: float = SLAB_MM) -> list[np.ndarray]:
    """`n_slices` neighbouring slices around the middle, along the longest voxel edge.

    Those thinner than `slab_mm` are averaged to it (0: none): in a 1 mm volume the reference's own noise would be half of
    what is added to it at SNR 10, and no denoiser could be told from a perfect one. Neighbours, so
    that a method that uses the third dimension (BM4D) gets what it can use.
    """
    axis = int(np.argmax(volume.voxel_mm))
    thickness = max(1, round(slab_mm / volume.voxel_mm[axis]))
    n_slices = max(1, min(n_slices, volume.data.shape[axis] // thickness))
    start = (volume.data.shape[axis] - n_slices * thickness) // 2
    return [plane(volume, axis, start + n * thickness, thickness) for n in range(n_slices)]
