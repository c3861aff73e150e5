"""Lines that an image should have: how many, which of them lack, and which the calibration can lend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..recon.sampling import missing_lines, on_lattice
from ..wire.header import Encoding
from .image_lattice import Sampling
from .line_names import LineNames
from .line_store import LineStore
from .placement import Placement


@dataclass(frozen=True)
class ExpectedLines:
    """The lines that header and scan let expect of an image. Pairs are (e2, e1).

    Attributes
    ----------
    within : sequence of tuple of int or None
        Numbers of the first and last line along e2 and e1; None where neither header nor scan tell yet.
    size, shift : tuple of int
        Of k-space, and what was added to the numbers of the lines to make them indices.
    centre : tuple of int
        The line that holds k = 0, as the lines are counted now.
    is_placed : bool
        Whether they are indices into k-space.
    """

    within: Sequence[tuple[int, int] | None]
    size: tuple[int, int]
    shift: tuple[int, int]
    centre: tuple[int, int]
    is_placed: bool

    @classmethod
    def of(cls, encoding: Encoding, own: Placement | None, kept: Placement | None, names: LineNames) -> "ExpectedLines":
        """By the placement of the image, else by that of its scan, else by the header.

        Parameters
        ----------
        encoding : Encoding
            What the header tells of k-space.
        own, kept : Placement or None
            Of the image once its lines were placed; of the scan.
        names : LineNames
            With the size and shift of the lines as they are counted now.
        """
        size, shift = names.size, names.shift
        placement = own or kept
        within: list[tuple[int, int] | None]
        if placement is not None:
            within = list(zip(placement.first, placement.last, strict=True))
        else:
            limits = zip(encoding.first, encoding.last, encoding.limits_known, strict=True)
            within = [(first, last) if known else None for first, last, known in limits]
        centre = encoding.centre if own is None else (size[0] // 2, size[1] // 2)
        return cls(within, size, shift, centre, own is not None)

    def fewest(self) -> int:
        """Fewer than all lines within the limits, by the corners that elliptical scanning leaves out.

        Where there are no limits, those that partial Fourier takes at least.
        """
        limits = zip(self.within, self.size, strict=True)
        return int(0.7 * math.prod(within[1] - within[0] + 1 if within else size // 2 for within, size in limits))

    def missing(self, sampling: Sampling, elliptical: bool = True) -> np.ndarray:
        """Lines `(line, 2)` int64 of the lattice within the limits that are not among the sampled ones.

        Parameters
        ----------
        sampling : Sampling
            The lines that came, and their lattice.
        elliptical : bool
            Whether the scan may have left out corners.
        """
        lines, lattice, first = sampling
        low, high = lines.min(axis=0), lines.max(axis=0)
        for axis, within in enumerate(self.within):
            if within is not None:
                low[axis], high[axis] = (number + self.shift[axis] for number in within)
        if self.is_placed:
            low, high = np.maximum(low, 0), np.minimum(high, np.array(self.size) - 1)
            high = np.maximum(high, low - 1)
        shape = tuple(high + 1 - low)
        every = np.indices(shape).reshape(2, -1).T + low
        expected = on_lattice(every, lattice, first).reshape(shape)
        sampled = np.zeros(shape, bool)
        sampled[tuple((lines[np.all((lines >= low) & (lines <= high), axis=1)] - low).T)] = True
        missing: np.ndarray = np.argwhere(expected & ~sampled)
        if elliptical:
            missing = missing_lines(sampled, expected, tuple(np.array(self.centre) - low))
        missing += low
        return missing


def lent_lines(missing: np.ndarray, image: LineStore, calibration: LineStore) -> np.ndarray:
    """Lines that the image lacks and that came as calibration lines alone: some scanners flag so.

    Of a separate calibration with another contrast none are taken: there the image has lines of its own among them.

    Parameters
    ----------
    missing : ndarray
        `(line, 2)` int: those that it lacks.
    image, calibration : LineStore
        The lines of both; of the calibration, there are some.

    Returns
    -------
    ndarray
        `(line, 2)` int, some of `missing`.
    """
    low, high = (getattr(calibration.lines, end)(axis=0) for end in ("min", "max"))
    own = image.lines
    among = np.all((low <= own) & (own <= high), axis=1)
    has_both_ends = any(own[:, axis].min() < low[axis] and high[axis] < own[:, axis].max() for axis in (0, 1))
    if among.any() or not has_both_ends or not calibration.fits(image):
        return missing[:0]
    came = set(map(tuple, calibration.lines.tolist()))
    return missing[[tuple(line) in came for line in missing.tolist()]]
