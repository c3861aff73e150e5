"""The encodings of a header made whole: what is missing or impossible is taken from the rest of it, and told."""

from collections import defaultdict
from typing import Any

from ismrmrd import xsd

from .header_tree import Warnings

LARGEST_MATRIX = 65535
LARGEST_NUMBER = 65535  # of a line, slice, repetition and so on
LARGEST_ACCELERATION = 64
LONGEST_MM = 1e6
UNKNOWN_PIXEL_MM = 1.0
TOLERANCE = 0.01  # to which fields of view must agree

COUNTERS = ("average", "slice", "contrast", "phase", "repetition", "set", "segment")


def complete_encoding(encoding: xsd.encodingType, warnings: Warnings) -> None:
    """Fill in an encoding as it was read, in place.

    - What encodedSpace lacks comes from reconSpace, and the other way round; where no field of view is known, pixels
      are 1 mm. Of encodedSpace, x and y of the matrix may stay None: then there is no telling.
    - reconSpace is no larger than encodedSpace, for its image is cut out of that.
    - Limits that are incomplete, contradict themselves or the matrix, are None: the lines decide.
    - Acceleration factors that no scan has are 1: lines that are further apart will be refused.

    Parameters
    ----------
    encoding : encodingType
        Of a header as `read_record` gives it.
    warnings : Warnings
        Gets a line for all of that.
    """
    if encoding.trajectory is None:
        warnings.add("header lacks a trajectory: cartesian is taken")
        encoding.trajectory = xsd.trajectoryType.CARTESIAN
    _complete_spaces(encoding, warnings)
    _complete_parallel(encoding, warnings)
    _complete_limits(encoding, warnings)


def is_possible(limit: xsd.limitType, n_lines: int) -> bool:
    """Whether the limits of lines along an axis of `n_lines` can be true; those of line 0 alone were never set."""
    low, centre, high = _numbers(limit)
    if low is None or centre is None or high is None:
        return False
    return 0 <= low <= centre <= high < n_lines and (low, high) != (0, 0)


def _complete_spaces(encoding: xsd.encodingType, warnings: Warnings) -> None:
    spaces = {"encodedSpace": encoding.encodedSpace, "reconSpace": encoding.reconSpace}
    filled: defaultdict[str, list[str]] = defaultdict(list)
    n_unknown = 0  # axes without any field of view
    for axis in "xyz":
        found: dict[str, Any] = {}
        for name, space in spaces.items():
            for size, most, expected in (
                ("matrixSize", LARGEST_MATRIX, f"a number from 1 to {LARGEST_MATRIX}"),
                ("fieldOfView_mm", LONGEST_MM, f"a length above 0, to {LONGEST_MM:g}"),
            ):
                value = getattr(getattr(space, size), axis)
                if value is not None and not 0 < value <= most:
                    warnings.add(f"header has {name}.{size}.{axis} {value}; expected {expected}")
                    value = None
                found[f"{name}.{size}"] = value
        n_unknown += found["encodedSpace.fieldOfView_mm"] is None and found["reconSpace.fieldOfView_mm"] is None
        for (place, was), value in zip(found.items(), _complete_axis(axis, *found.values()), strict=True):
            name, size = place.split(".")
            setattr(getattr(spaces[name], size), axis, value)
            if was is None and value is not None:
                filled[place].append(f"{axis} = {value:g}")
            elif was != value:
                warnings.add(f"header has {place}.{axis} {was:g}, which is more than was encoded: {value:g} is taken")
    _tell_of_oversampling(encoding, warnings)
    for place, taken in filled.items():
        warnings.add(f"header lacks {place} or part of it: {', '.join(taken)} taken")
    if n_unknown:
        warnings.add(f"header has no field of view along {n_unknown} axes: pixels of 1 mm, so lengths may be wrong")


def _tell_of_oversampling(encoding: xsd.encodingType, warnings: Warnings) -> None:
    """Readouts of twice the samples over the same length are as good as never meant to be of twice the resolution."""
    encoded, recon = encoding.encodedSpace, encoding.reconSpace
    if None in (encoded.matrixSize.x, recon.matrixSize.x, encoded.fieldOfView_mm.x, recon.fieldOfView_mm.x):
        return
    is_twice = encoded.matrixSize.x == 2 * recon.matrixSize.x and encoded.matrixSize.y == recon.matrixSize.y
    if is_twice and abs(encoded.fieldOfView_mm.x / recon.fieldOfView_mm.x - 1) < TOLERANCE:
        warnings.add(
            f"header has encodedSpace.matrixSize.x {encoded.matrixSize.x} and reconSpace.matrixSize.x "
            f"{recon.matrixSize.x} over the same {recon.fieldOfView_mm.x:g} mm; expected an encodedSpace of "
            f"{2 * recon.fieldOfView_mm.x:g} mm where readouts are oversampled: taken as it is, of twice the resolution"
        )


def _complete_axis(
    axis: str, n_encoded: int | None, encoded_mm: float | None, n_pixels: int | None, recon_mm: float | None
) -> tuple[int | None, float | None, int | None, float | None]:
    if n_encoded is None:
        n_encoded = n_pixels if n_pixels is not None else 1 if axis == "z" else None
        if n_pixels is not None and encoded_mm is not None and recon_mm is not None:
            n_encoded = max(1, round(n_pixels * encoded_mm / recon_mm))
    if n_encoded is None:
        return n_encoded, encoded_mm, n_pixels, recon_mm
    if encoded_mm is None:
        oversampling = max(1.0, n_encoded / (n_pixels or n_encoded))
        encoded_mm = recon_mm * oversampling if recon_mm is not None else n_encoded * UNKNOWN_PIXEL_MM
    if n_pixels is None:
        n_pixels = n_encoded if recon_mm is None else max(1, min(n_encoded, round(n_encoded * recon_mm / encoded_mm)))
    if n_encoded == 1:
        n_pixels = 1
    if recon_mm is None:
        recon_mm = encoded_mm * min(1.0, n_pixels / n_encoded)
    if n_encoded > 1 and recon_mm > (1 + TOLERANCE) * encoded_mm:
        recon_mm = encoded_mm
    return n_encoded, encoded_mm, n_pixels, recon_mm


def _complete_parallel(encoding: xsd.encodingType, warnings: Warnings) -> None:
    parallel = encoding.parallelImaging
    if parallel is None:
        return
    for name, n_lines in _lines(encoding):
        factor = getattr(parallel.accelerationFactor, name)
        most = min(LARGEST_ACCELERATION, n_lines or LARGEST_ACCELERATION)
        if factor is None or not 1 <= factor <= most:
            found = f"lacks accelerationFactor.{name}" if factor is None else f"has accelerationFactor.{name} {factor}"
            warnings.add(f"header {found}; expected a number from 1 to {most}: 1 is taken")
            setattr(parallel.accelerationFactor, name, 1)


def _complete_limits(encoding: xsd.encodingType, warnings: Warnings) -> None:
    limits = encoding.encodingLimits
    for name, n_lines in _lines(encoding):
        limit = getattr(limits, name)
        if limit is not None and n_lines is not None and n_lines > 1 and not is_possible(limit, n_lines):
            _leave_out(limits, name, n_lines - 1, "the lines decide", warnings)
    for name in COUNTERS:
        limit = getattr(limits, name)
        if limit is None:
            continue
        low, _, high = _numbers(limit)
        if low is None or high is None or not 0 <= low <= high <= LARGEST_NUMBER:
            _leave_out(limits, name, LARGEST_NUMBER, "left out", warnings)


def _leave_out(limits: xsd.encodingLimitsType, name: str, most: int, done: str, warnings: Warnings) -> None:
    warnings.add(
        f"header has limits of {name} {_numbers(getattr(limits, name))} (minimum, center, maximum); expected rising "
        f"numbers from 0 to {most}: {done}"
    )
    setattr(limits, name, None)


def _lines(encoding: xsd.encodingType) -> tuple[tuple[str, int | None], ...]:
    """The encoding steps and how many lines the encoded matrix has along each."""
    matrix = encoding.encodedSpace.matrixSize
    return ("kspace_encoding_step_1", matrix.y), ("kspace_encoding_step_2", matrix.z)


def _numbers(limit: xsd.limitType) -> tuple[int | None, int | None, int | None]:
    return limit.minimum, limit.center, limit.maximum
