"""The acceleration of an image by its lines, where it is not what the header tells."""

import math

import numpy as np

from ..errors import ScanError
from ..recon.sampling import on_lattice, steps_of
from .image_lattice import ArrivedLines
from .line_names import named_acceleration
from .missing import ExpectedLines

LEAST_GAPS = 0.1  # lines that lack, of those that came, where the header's acceleration may be too low
MOST_ACCELERATION = 64

Acceleration = tuple[int, int]


def settled(arrived: ArrivedLines, told: Acceleration, expected: ExpectedLines) -> tuple[Acceleration, str]:
    """The steps in which all lines came, where these are not of the acceleration that the header tells.

    Parameters
    ----------
    arrived : ArrivedLines
        Of which there are some.
    told : tuple of int
        (R1, R2) of the header.
    expected : ExpectedLines
        All lines of the image.

    Returns
    -------
    acceleration : tuple of int
        (R1, R2) to go by.
    text : str
        A warning where it is not what is told; empty where there is no need, or no acceleration fits.
    """
    likely, is_guess = _likely(arrived, told, expected)
    for acceleration in likely:
        try:
            sampling = arrived.sampling(acceleration)
        except ScanError:
            continue
        n_missing = len(expected.missing(sampling))
        if sampling.lattice.acceleration == (1, 1):  # most lines came, or there is no pattern
            if acceleration != (1, 1) or n_missing >= LEAST_GAPS * len(sampling.lines):
                continue
        elif is_guess and (n_missing or on_lattice(arrived.image, sampling.lattice, sampling.first).all()):
            continue
        names = named_acceleration(told), named_acceleration(acceleration)
        return acceleration, f"the header tells {names[0]}, the lines are of {names[1]}: that was taken"
    return told, ""


def _likely(arrived: ArrivedLines, told: Acceleration, expected: ExpectedLines) -> tuple[list[Acceleration], bool]:
    """Accelerations to try; none where the header's may be true. And whether they are no more than guesses."""
    image = arrived.image
    try:
        sampling = arrived.sampling(told)
    except ScanError:
        only = arrived.image_only()
        steps = steps_of(image[only] if only.any() else image)
        found = max(1, steps[0]), max(1, steps[1])
        return [] if found == told or math.prod(found) > MOST_ACCELERATION else [found], False
    if told != (1, 1) or len(arrived.calibration):
        return [], False
    if len(expected.missing(sampling)) < LEAST_GAPS * len(sampling.lines):
        return [], False
    # Lines that carry no flag may calibrate in the middle of others that are further apart.
    along_e2 = range(1, 5) if len(np.unique(image[:, 0])) > 1 else (1,)
    likely = [(r1, r2) for r2 in along_e2 for r1 in range(1, 9) if 1 < r1 * r2 <= 9]
    return sorted(likely, key=math.prod, reverse=True), True
