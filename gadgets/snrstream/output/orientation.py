"""Where the axes and the edges of an image lie in the patient, whatever its header says of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import ismrmrd
import numpy as np

from .image_values import meta_values

# A meta attribute: whether the pixel axes run along the directions of the header or against them, as those of
# Gadgetron's images of Siemens' scans do.
AXES, ALONG, AGAINST = "SNRSTREAM_axes", "along", "against"

# Scalar products of axes. float32 is good to about 1e-7, some exporters print 4 digits: more than that is told.
# Axes that are tilted by more than 6 degrees were never meant to be orthogonal.
ROUNDED, STRAIGHTENED = 1e-3, 0.1

# Along x, y and z of the patient's coordinates (LPS): what lies at the positive end, and at the negative one.
POSITIVE, NEGATIVE = "LPH", "RAF"
TILTED = 0.35  # sine of 20 degrees: of an axis tilted by more, the second letter is given too

Head: TypeAlias = ismrmrd.Image | ismrmrd.ImageHeader | ismrmrd.AcquisitionHeader


@dataclass(frozen=True)
class Orientation:
    """How an image lies in the patient: vectors of shape (3,), float64, in LPS.

    Attributes
    ----------
    read, phase, slice
        Directions of length 1, orthogonal. `slice` is read x phase or its opposite.
    position_mm
        Centre of pixel floor(N / 2) of each axis.
    is_known
        Whether the header has directions that can be used. Where it has none, these are those of an axial slice.
    faults
        What in the header cannot be used, and what is taken instead: one line each.
    """

    read: np.ndarray
    phase: np.ndarray
    slice: np.ndarray
    position_mm: np.ndarray
    is_known: bool = True
    faults: tuple[str, ...] = ()


def orientation_of(head: Head, is_volume: bool) -> Orientation:
    """The orientation by a header; an axial one where its directions are missing, not finite or far from orthogonal.

    Directions of any length are brought to 1, and those that are tilted by up to 6 degrees straightened.

    Parameters
    ----------
    head
        With `read_dir`, `phase_dir`, `slice_dir` and `position`.
    is_volume
        Whether there are partitions, and `slice_dir` matters: its sign does, for it may run against read x phase.
    """
    faults = []
    position_mm = np.array(head.position, np.float64)
    if not np.isfinite(position_mm).all():
        faults.append(f"position is {_text(position_mm)} mm, expected finite numbers; 0 is taken instead")
        position_mm = np.zeros(3)
    read, phase = _unit(head.read_dir), _unit(head.phase_dir)
    fault = _fault(head, read, phase)
    cosine = float(read @ phase)
    if fault and abs(cosine) <= STRAIGHTENED:
        faults.append(f"{fault}; phase_dir is straightened")
    elif fault:
        faults.append(f"{fault}; an axial slice is assumed")
        x, y, z = np.eye(3)
        return Orientation(x, y, z, position_mm, False, tuple(faults))
    phase = phase - cosine * read
    phase /= np.linalg.norm(phase)
    normal, along = np.cross(read, phase), _unit(head.slice_dir)
    height = float(along @ normal)
    if is_volume and not max(abs(along @ read), abs(along @ phase)) <= ROUNDED:
        is_usable = abs(height) > 1 - STRAIGHTENED
        height = height if is_usable else 1.0
        faults.append(
            f"slice_dir is {_text(head.slice_dir)}, expected a direction of length 1 orthogonal to read_dir and "
            f"phase_dir; {'it is straightened' if is_usable else 'read x phase is taken instead'}"
        )
    return Orientation(read, phase, -normal if height < 0 else normal, position_mm, True, tuple(faults))


def signed_orientation(image: ismrmrd.Image) -> Orientation:
    """The orientation in which pixel numbers grow along read, phase and slice: by the header, and by its `AXES`."""
    found = orientation_of(image, is_volume=image.data.shape[1] > 1)
    if meta_values(image, AXES) != [AGAINST] or not found.is_known:
        return found
    return Orientation(-found.read, -found.phase, -found.slice, found.position_mm, True, found.faults)


def edge_letters(image: ismrmrd.Image) -> tuple[str, str, str, str]:
    """Letters at the left, right, top and bottom edge: R/L, A/P and F/H (right, left, anterior, posterior, feet, head).

    The most telling comes first, up to three where an axis is oblique. Empty where the header has no directions.
    """
    found = signed_orientation(image)
    if not found.is_known:
        return "", "", "", ""
    return _letters(-found.read), _letters(found.read), _letters(-found.phase), _letters(found.phase)


def _fault(head: Head, read: np.ndarray, phase: np.ndarray) -> str:
    for name, unit in (("read_dir", read), ("phase_dir", phase)):
        if np.isnan(unit).any():
            return f"{name} is {_text(getattr(head, name))}, expected a direction of length 1"
    if abs(read @ phase) <= ROUNDED:
        return ""
    return (
        f"phase_dir {_text(phase)} and read_dir {_text(read)} have a scalar product of {read @ phase:.3g}, expected "
        f"orthogonal directions (at most {ROUNDED:g})"
    )


def _unit(vector: Sequence[float]) -> np.ndarray:
    """Of length 1; NaN where it has no direction."""
    values = np.array(vector, np.float64)
    length = np.linalg.norm(values)
    return values / length if np.isfinite(length) and length > 1e-6 else np.full(3, np.nan)


def _letters(vector: np.ndarray) -> str:
    axes = sorted(range(3), key=lambda axis: -abs(vector[axis]))
    shown_axes = [axis for n, axis in enumerate(axes) if n == 0 or abs(vector[axis]) > TILTED]
    return "".join((POSITIVE if vector[axis] > 0 else NEGATIVE)[axis] for axis in shown_axes)


def _text(vector: Sequence[float] | np.ndarray) -> str:
    return "[" + ", ".join(f"{value:g}" for value in vector) + "]"
