"""Three tissues of a volume, told apart as FAST does, and how well a reconstruction keeps them in labelled regions."""

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
from snrtrain.metrics import TISSUES, dice, peak

BETA = 0.1  # weight of a voxel's neighbours, dipy's advice for T1 brains
TOLERANCE, MOST_ITERATIONS = 2e-3, 25  # share of the object's voxels that still change
SPREAD = 5e-3  # of the brightest: noise that no one sees
FEWEST_VOXELS = 50  # of a region that is told of


@dataclass(frozen=True)
class Region:
    """One label's. Dice: mean over the tissues that the reference has there. bias: of the mean, as a share of it."""

    label: int
    n_voxels: int
    dice: float
    bias: float


def tissue_classes(images: Tensor, mask: Tensor) -> Tensor:
    """Outside `mask` 0, inside it tissues 1 to 3 by brightness; int64 of the shape of `images` `(slice, e1, ro)`.

    A hidden Markov random field over the volume, found by expectation maximisation (Zhang, Brady and Smith, IEEE Trans
    Med Imaging 20:45, 2001: the method of FSL's FAST), by what dipy's `TissueClassifierHMRF` is made of. That begins
    with evenly spaced grey levels, from which it loses tissues where there is little noise; here it begins with
    multi-level Otsu thresholds. What is brighter than `peak` counts as that, so that a few vessels are no tissue of
    their own. All air where too few values differ.
    """
    from dipy.segment.mrf import ConstantObservationModel, IteratedConditionalModes
    from skimage.filters import threshold_multiotsu

    magnitude = images.abs()
    limit = peak(magnitude)
    # A tissue of one value, and air, have no variance, which the model divides by.
    spread = SPREAD * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    values = torch.where(mask, magnitude.clamp(max=limit) / max(limit, 1e-12), 0) + spread
    image = np.ascontiguousarray(values.permute(1, 2, 0).double().numpy())  # dipy: x, y, z
    inside = np.ascontiguousarray(mask.permute(1, 2, 0).numpy())
    try:
        if not limit > 0 or not inside.any():
            raise ValueError  # as multi-Otsu does of too few values
        thresholds = threshold_multiotsu(image[inside], classes=TISSUES)
    except ValueError:
        return torch.zeros(images.shape, dtype=torch.int64)
    model, modes, n_classes = ConstantObservationModel(), IteratedConditionalModes(), TISSUES + 1
    classes = np.where(inside, 1 + np.digitize(image, thresholds), 0).astype(np.int16)
    means, variances = model.seg_stats(image, classes, n_classes)
    for _ in range(MOST_ITERATIONS):
        neighbours = modes.prob_neighborhood(classes, BETA, n_classes)
        shares = model.prob_image(image, n_classes, means, variances, neighbours)
        means, variances = model.update_param(image, shares, means, n_classes)
        likelihood = model.negloglikelihood(image, means, variances, n_classes)
        before, (classes, _) = classes, modes.icm_ising(likelihood, BETA, classes)
        if np.count_nonzero(classes != before) < TOLERANCE * np.count_nonzero(inside):
            break
    found = torch.from_numpy(np.array(classes, np.int64)).permute(2, 0, 1)
    return torch.where(mask, found.clamp(min=1), 0)


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
