"""How much of its tiles one sees in a denoised image."""

from dataclasses import dataclass

import numpy as np

from .model import Model
from .runs import TIMEOUT_S
from .tiling import LARGEST_TILE, SMALLEST_TILE, plan_tiles


@dataclass(frozen=True)
class Seam:
    """Difference of two tilings, in noise SDs (g per real and imaginary part).

    Attributes
    ----------
    at_borders
        Root mean square where tiles overlap.
    largest
        Of all pixels.
    """

    at_borders: float
    largest: float


def measure_seam(model: Model, image: np.ndarray, gmap: np.ndarray, timeout_s: float = TIMEOUT_S) -> Seam:
    """The seam that a model's tiles leave in a stack. 0 where there is but one tile either way.

    A network of a fixed patch: its tiling against one that lies half a stride further. A network of any size: the image
    whole, or as whole as memory lets it be, against tiles of half its size, 64 at least.

    Parameters
    ----------
    image
        `(frame, e1, ro)` complex64, in SNR units.
    gmap
        `(frame, e1, ro)` float32.
    timeout_s
        As of `Model.denoise`, in seconds.

    Raises
    ------
    ModelError, ModelTimeout
        As `Model.denoise`.
    """
    manifest, shape = model.manifest, image.shape
    half = max(SMALLEST_TILE, max(shape[1:]) // 2)
    if manifest.patch is None:
        tiling = plan_tiles(shape, manifest, half)
        ways = ((half, False), (LARGEST_TILE, False))
    else:
        tiling = plan_tiles(shape, manifest)
        ways = ((LARGEST_TILE, False), (LARGEST_TILE, True))
    one, other = (model.denoise_in_tiles(image, gmap, largest, shifted, timeout_s) for largest, shifted in ways)
    covered = np.zeros(shape, np.uint16)
    for tile in (tile for group in tiling.groups for tile in group):
        t, y, x = (slice(start, start + n) for start, n in zip(tile.start, tiling.size, strict=True))
        covered[t, y, x] += 1
    difference = np.abs(one - other) / np.maximum(gmap, np.finfo(np.float32).tiny) / 2**0.5
    borders = difference[covered > 1]
    return Seam(float(np.sqrt(np.mean(borders**2))) if borders.size else 0.0, float(difference.max(initial=0.0)))
