"""Pixels of an MRD image as the unsigned 16 bit integers of a DICOM image, with the way back.

physical value = slope * stored value + intercept, so a viewer reads SNR units in every series.
"""

import math
from dataclasses import dataclass

import ismrmrd
import numpy as np

from ...errors import ScanError
from ...image_kind import ImageKind, ImagePart
from ..image_values import kind_of, label_of, physical_values, scale_offset, scale_ratio

UINT16_MAX = 65535
SIGNED_OFFSET = 32768


@dataclass(frozen=True)
class StoredPixels:
    """What goes into PixelData, RescaleSlope and RescaleIntercept.

    Attributes
    ----------
    stored
        `(channel, z, y, x)` uint16: factor * physical value + offset, rounded.
    factor, offset
        Of that.
    """

    stored: np.ndarray
    factor: float
    offset: float

    @property
    def slope(self) -> float:
        """Physical value of a step of the stored value."""
        return 1 / self.factor

    @property
    def intercept(self) -> float:
        """Physical value of the stored value 0."""
        return (0 - self.offset) / self.factor  # and not -0.0


def stored_pixels(image: ismrmrd.Image) -> StoredPixels:
    """Pixels for DICOM: uint16 bit for bit, all else scaled and rounded, never clipped.

    The factor is 100 for g-maps, 1000 for phases (rad) and 10 for the rest: steps far below the noise,
    which has a standard deviation of 1 in SNR units. Powers of ten make it smaller where the maximum
    would pass 65535, and larger where it would stay below 10: an image that is not in SNR units (no
    noise scan, say) would otherwise come out black. Negative values get an offset of 32768.

    Raises
    ------
    ScanError
        It is a colour image, has no pixels, or some that are not finite.
    """
    if image.image_type == ismrmrd.IMTYPE_RGB:
        raise ScanError(f"{label_of(image)} is an RGB image, expected one value a pixel")
    values = physical_values(image)
    ratio = scale_ratio(image) or 1.0
    if image.data.dtype == np.uint16:
        return StoredPixels(image.data.copy(), ratio, scale_offset(image))
    offset = SIGNED_OFFSET if values.min() < 0 else 0
    room = UINT16_MAX - offset
    factor = ratio if np.issubdtype(image.data.dtype, np.integer) else _factor(image)
    peak = float(np.abs(values).max())
    if peak * factor > room:
        factor /= 10.0 ** math.ceil(math.log10(peak * factor / room))
    elif 0 < peak * factor < 10:
        factor *= 10.0 ** math.floor(math.log10(100 / (peak * factor)))
    # Rounding of the logarithm: a peak that sits on the edge must still fit.
    if np.rint(peak * factor) > room:
        factor /= 10
    return StoredPixels((np.rint(values * factor) + offset).astype(np.uint16), factor, offset)


def _factor(image: ismrmrd.Image) -> float:
    if kind_of(image) is ImageKind.G_MAP:
        return 100.0
    return 1000.0 if ImagePart.of(image.image_type) is ImagePart.PHASE else 10.0
