"""The regular sampling that the lines of an image follow."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import ScanError
from ..recon.combine import Grid
from ..recon.lattice import Lattice
from ..recon.sampling import find_lattice, is_block, on_lattice, require_steps, steps_of
from .embedded_calibration import is_embedded
from .line_names import LineNames, named_acceleration


class Sampling(NamedTuple):
    """The image lines `(line, 2)` int64 that are on a lattice, the lattice, and one line of it."""

    lines: np.ndarray
    lattice: Lattice
    first: tuple[int, int]

    def grid(self, size: tuple[int, int]) -> Grid:
        """Only acquired lines along each axis where R divides k-space and the sampling does not shift, else all."""
        r1, r2 = self.lattice.acceleration
        step = (r2 if size[0] % r2 == 0 else 1, r1 if size[1] % r1 == 0 and self.lattice.shift == 0 else 1)
        return Grid(size, (self.first[0] % step[0], self.first[1] % step[1]), step)


@dataclass(frozen=True)
class ArrivedLines:
    """The lines of an image that are there: pairs (e2, e1).

    Attributes
    ----------
    image, calibration : ndarray
        `(line, 2)` int64, each once, in rising order.
    both : set of tuple of int
        Image lines that are calibration lines too.
    known : Lattice or None
        Of earlier images; where the lines fit, it is theirs.
    names : LineNames
        For messages.
    """

    image: np.ndarray
    calibration: np.ndarray
    both: set[tuple[int, int]]
    known: Lattice | None
    names: LineNames

    def image_only(self) -> np.ndarray:
        """Which image lines are no calibration lines: `(line,)` bool."""
        return np.array([tuple(line) not in self.both for line in self.image.tolist()])

    def sampling(self, acceleration: tuple[int, int]) -> Sampling:
        """The lattice of the image lines.

        Calibration lines between those of the lattice may be flagged as image lines too: they are left
        out, for unaliasing counts on zeros there. Anything else there is an error.

        Parameters
        ----------
        acceleration : tuple of int
            (R1, R2) that the header tells.

        Raises
        ------
        ScanError
            Where other lines lie between those of the lattice, or all are further apart.
        """
        lines, only = self.image, self.image_only()
        telling = lines[only] if only.any() else lines
        if self.known is not None and on_lattice(telling, self.known, tuple(telling[0])).all():
            lattice, first = self.known, (int(telling[0, 0]), int(telling[0, 1]))
        else:
            lattice, first = find_lattice(telling, acceleration)
        on = on_lattice(lines, lattice, first)
        stray = lines[only & ~on]
        every = np.concatenate([lines, self.calibration])
        if len(stray) and max(steps_of(telling)) <= 1 and is_block(every, lines.min(axis=0), lines.max(axis=0)):
            # All lines, whatever the header tells.
            return Sampling(lines, Lattice((1, 1)), (int(lines[0, 0]), int(lines[0, 1])))
        if len(stray) and (len(self.calibration) or not is_embedded(lines, stray, acceleration)):
            raise ScanError(
                f"line {self.names.extent(stray[:1])} lies between the image lines at "
                f"{named_acceleration(acceleration)}; expected none there"
            )
        require_steps(telling, lattice)
        return Sampling(lines[on], lattice, first)
