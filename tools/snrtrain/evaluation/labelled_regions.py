"""How well a reconstruction keeps the regions that a label volume has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.archive import volumes
from snrtrain.metrics import TISSUES, dice

from . import tables
from .noise_levels import Case

FEWEST_VOXELS = 50  # of a region that is told of


@dataclass(frozen=True)
class Region:
    """One label's. Dice: mean over the tissues that the reference has there. bias: of the mean, as a share of it."""

    label: int
    n_voxels: int
    dice: float
    bias: float


@dataclass(frozen=True)
class RegionRow:
    """One labelled region of one volume. off: by how much its mean differs from the reference's."""

    added: float = tables.column("added noise, sigma", "g")
    label: int = tables.column("label")
    voxels: int = tables.column("voxels")
    original: float = tables.column("Dice, original", ".4f")
    denoised: float = tables.column("Dice, denoised", ".4f")
    original_off: float = tables.column("mean off, original", "+.2%")
    denoised_off: float = tables.column("mean off, denoised", "+.2%")


def rows(
    file: Path, folder: Path, case: Case, alpha: float, classes: dict[str, Tensor], expected: Tensor
) -> Iterator[RegionRow]:
    """Of the labels in `file` of a volume in `folder`. classes, expected: `tissue_classes` of images and reference.

    Raises ConfigurationError where the labels cannot be read, are of another grid, or have no region.
    """
    volume = volumes.load(folder, case.name)
    labels = load_labels(file, volume, len(case.reference), tuple(case.reference.shape[1:]))
    pairs = zip(
        regions(labels, case.original, classes["original"], case.reference, expected),
        regions(labels, case.blend(alpha), classes["denoised"], case.reference, expected),
        strict=True,
    )
    n_found = 0
    for before, after in pairs:
        n_found += 1
        yield RegionRow(
            case.added, before.label, before.n_voxels, before.dice, after.dice, before.bias, after.bias
        )  # fmt: skip
    if not n_found:
        raise ConfigurationError(
            f"--labels {file} has no region of {FEWEST_VOXELS} voxels in the object of the middle "
            f"{len(case.reference)} slices; expected some"
        )


def load_labels(path: Path, volume: volumes.Volume, n_slices: int, shape: tuple[int, ...]) -> Tensor:
    """Labels int64 `(slice, e1, ro)` of the middle `n_slices` of a volume, as `volumes.central_stack` has them.

    shape: of such a slice. Raises ConfigurationError where the file cannot be read, or is of another grid.
    """
    import nibabel

    try:
        file: Any = nibabel.as_closest_canonical(nibabel.load(path))
        data = np.asarray(file.dataobj)
    except (OSError, EOFError, ValueError, TypeError, nibabel.filebasedimages.ImageFileError) as error:
        raise ConfigurationError(f"--labels {path} cannot be read: {' '.join(str(error).split())}") from None
    if data.shape != volume.data.shape or not np.array_equal(data, np.round(data)):
        raise ConfigurationError(
            f"--labels {path} has {data.shape} voxels of {data.dtype}; expected whole numbers on the grid of "
            f"{volume.name}, {volume.data.shape}"
        )
    axis = int(np.argmax(volume.voxel_mm))
    start = (data.shape[axis] - n_slices) // 2
    planes = np.moveaxis(data, axis, 0)[start : start + n_slices].astype(np.int64)
    zoom = (1.0, *(there / here for there, here in zip(shape, planes.shape[1:], strict=True)))
    if planes.shape[1:] != shape:  # pixels were made square
        planes = ndimage.zoom(planes, zoom, order=0)
    return torch.from_numpy(np.ascontiguousarray(planes))


def regions(labels: Tensor, image: Tensor, classes: Tensor, reference: Tensor, expected: Tensor) -> Iterator[Region]:
    """Of every label but 0 that has `FEWEST_VOXELS` inside the object, where `expected` is not 0.

    A region's own outline is not drawn anew: that takes an atlas. What is measured inside it is whether the tissues are
    told apart as in the reference, and whether its mean is kept. classes, expected: `tissue_classes` of the image and
    of the reference.
    """
    for label in labels.unique().tolist():
        inside = (labels == label) & (expected > 0)
        if label == 0 or int(inside.sum()) < FEWEST_VOXELS:
            continue
        there = [tissue for tissue in range(1, TISSUES + 1) if bool((expected[inside] == tissue).any())]
        mean = float(reference[inside].double().mean())
        bias = float(image.abs()[inside].double().mean()) / mean - 1
        yield Region(label, int(inside.sum()), dice(classes[inside], expected[inside], there), bias)
