"""Parts of complex pixels as the unsigned 16 bit integers that consoles take."""

import math
from dataclasses import dataclass

import numpy as np

from ..image_kind import ImagePart

UINT16_MAX = 65535
SIGNED_OFFSET = 32768  # of values that may be negative
PHASE_OFFSET = 2048  # Gadgetron's FloatToFixPoint: -pi is 0 and pi the next after 4095, which it becomes


@dataclass(frozen=True)
class WholeNumbers:
    """Pixels, with the way back: a physical value is (pixel - offset) / ratio.

    Attributes
    ----------
    pixels : ndarray, uint16
    ratio, offset : float
        Of that.
    n_clipped : int
        How many did not fit.
    """

    pixels: np.ndarray
    ratio: float
    offset: float
    n_clipped: int


def whole_numbers(values: np.ndarray, part: ImagePart, scale: float) -> WholeNumbers:
    """Round a part of `values`, which are real or complex.

    Parameters
    ----------
    values : ndarray, float32 or complex64
    part : ImagePart
        Magnitudes are times `scale`, real and imaginary parts as well, with an offset of 32768. Phases are times
        2048 / pi, with an offset of 2048: those from -pi to pi come to lie from 0 to 4095.
    scale : float
        Pixel value that stands for 1.
    """
    if part is ImagePart.PHASE:
        ratio = PHASE_OFFSET / math.pi
        turns = np.rint(np.angle(values) * np.float32(ratio)) + np.float32(PHASE_OFFSET)
        return WholeNumbers(np.minimum(turns, 2 * PHASE_OFFSET - 1).astype(np.uint16), ratio, PHASE_OFFSET, 0)
    if part is ImagePart.MAGNITUDE:
        chosen, offset = np.abs(values), 0
    else:
        chosen, offset = (values.real if part is ImagePart.REAL else values.imag), SIGNED_OFFSET
    scaled = np.rint(chosen * np.float32(scale)) + np.float32(offset)
    fitting = np.clip(scaled, 0, UINT16_MAX)
    return WholeNumbers(fitting.astype(np.uint16), scale, offset, int(np.count_nonzero(fitting != scaled)))
