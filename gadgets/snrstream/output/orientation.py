"""Which side of the patient an edge of an image lies on."""

from collections.abc import Sequence

import ismrmrd
import numpy as np

# Along x, y and z of the patient's coordinates (LPS): what lies at the positive end, and at the negative one.
POSITIVE, NEGATIVE = "LPH", "RAF"
TILTED = 0.35  # sine of 20 degrees: of an axis tilted by more, the second letter is given too


def edge_letters(image: ismrmrd.Image) -> tuple[str, str, str, str]:
    """Letters at the left, right, top and bottom edge: R/L, A/P and F/H (right, left, anterior, posterior, feet, head).

    The most telling comes first, up to three where an axis is oblique. Empty where the image has no such direction.
    """
    read, phase = image.read_dir, image.phase_dir
    return _letters(read, -1), _letters(read, 1), _letters(phase, -1), _letters(phase, 1)


def _letters(direction: Sequence[float], sign: int) -> str:
    vector = sign * np.array(direction, np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        return ""
    vector /= length
    axes = sorted(range(3), key=lambda axis: -abs(vector[axis]))
    shown_axes = [axis for n, axis in enumerate(axes) if n == 0 or abs(vector[axis]) > TILTED]
    return "".join((POSITIVE if vector[axis] > 0 else NEGATIVE)[axis] for axis in shown_axes)
