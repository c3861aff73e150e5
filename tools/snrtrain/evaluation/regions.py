"""Where the noise of a real scan is measured: its object and two tissues, told apart by thresholds."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.metrics import object_mask

SPECK = 20  # pixels: what is smaller is no object
SHADING = 0.1  # of the field of view: the Gaussian that has the coils' shading


@dataclass(frozen=True)
class Regions:
    """Bool masks of the shape of the image."""

    object: Tensor
    bright: Tensor
    dark: Tensor


def regions(magnitude: Tensor) -> Regions:
    """Of an image `(S, e1, ro)`. Raises ConfigurationError where the object has no two tissues."""
    from skimage.filters import threshold_multiotsu

    inside = without_specks(object_mask(magnitude).numpy())
    values = np.where(inside, magnitude.numpy(), 0)
    wide = [0.0, *(SHADING * n for n in values.shape[1:])]
    # Both over the mask smoothed alike, so that tissue at the object's edge is not darker.
    fine, broad = (
        ndimage.gaussian_filter(values, s) / np.maximum(ndimage.gaussian_filter(inside.astype(np.float32), s), 1e-3)
        for s in ([0, 1, 1], wide)
    )
    flat = fine / np.maximum(broad, 1e-6)
    try:
        darkest, middle = threshold_multiotsu(flat[inside], classes=3)
    except ValueError:
        raise ConfigurationError("the scan's object has one brightness; expected two tissues for the CNR") from None
    cross = ndimage.generate_binary_structure(2, 1)[None]
    tissues = (flat > middle) & inside, (flat > darkest) & (flat <= middle) & inside
    parts = [ndimage.binary_erosion(tissue, cross) for tissue in tissues]
    if not all(part.any() for part in parts):
        raise ConfigurationError("the scan's object has no two tissues that are more than an edge")
    return Regions(*(torch.from_numpy(part) for part in (inside, *parts)))


def object_alone(magnitude: Tensor) -> Regions:
    """Of an image whose tissues are not sought, as where a user has drawn regions: both are empty."""
    inside = torch.from_numpy(without_specks(object_mask(magnitude).numpy()))
    return Regions(inside, torch.zeros_like(inside), torch.zeros_like(inside))


def without_specks(mask: np.ndarray) -> np.ndarray:
    """The parts of a bool mask that have `SPECK` pixels or more."""
    labels, _ = ndimage.label(mask)
    return np.asarray((np.bincount(labels.ravel()) >= SPECK)[labels] & mask)
