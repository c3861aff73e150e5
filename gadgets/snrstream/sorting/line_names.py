"""What messages call lines of k-space."""

from dataclasses import dataclass

import numpy as np

MOST_LISTED = 20


@dataclass(frozen=True)
class LineNames:
    """Names lines as the scanner counts them; (e2, e1) of a volume.

    Attributes
    ----------
    size : tuple of int
        Lines (e2, e1) of k-space.
    shift : tuple of int
        What was added to line numbers to make them indices into k-space.
    """

    size: tuple[int, int]
    shift: tuple[int, int]

    def listed(self, lines: np.ndarray) -> str:
        """The first of the lines `(line, 2)` int."""
        numbers = (lines[:MOST_LISTED] - self.shift).tolist()
        names = [str(y) if self.size[0] == 1 else f"({z}, {y})" for z, y in numbers]
        return ", ".join(names) + (" ..." if len(lines) > MOST_LISTED else "")

    def extent(self, lines: np.ndarray) -> str:
        """From the first of the lines `(line, 2)` int to the last."""
        ends = [self.listed(line[None]) for line in (lines[0], lines[-1])]
        return ends[0] if len(lines) == 1 else " to ".join(ends)


def named_acceleration(acceleration: tuple[int, int]) -> str:
    """R1 along e1, and R2 along e2 where it is not 1."""
    r1, r2 = acceleration
    return f"R={r1}" if r2 == 1 else f"R={r1} x {r2}"
