"""The regular sampling of phase encodes, in two dimensions.

Source: Breuer et al., "Controlled aliasing in volumetric parallel imaging (2D CAIPIRINHA)", MRM 55:549 (2006).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lattice:
    """The regular sampling of phase encodes: every R1-th line of every R2-th partition.

    Parameters
    ----------
    acceleration : tuple of int
        (R1, R2), along e1 and e2.
    shift : int
        How many lines the sampling moves along e1 from one acquired partition to the next (CAIPIRINHA).
    """

    acceleration: tuple[int, int]
    shift: int = 0

    def missing(self) -> tuple[tuple[int, int], ...]:
        """Distances (e2, e1) from an acquired line to the R1 R2 - 1 missing ones of its cell."""
        r1, r2 = self.acceleration
        return tuple((z, y) for z in range(r2) for y in range(r1) if (z, y) != (0, 0))

    def neighbours(self, n_lines: int, n_partitions: int) -> tuple[tuple[int, int], ...]:
        """Distances (e2, e1) from an acquired line to the acquired ones around its cell, itself included.

        A rectangle; where the sampling is shifted, as many lines, the nearest ones.

        Parameters
        ----------
        n_lines, n_partitions : int
            Of the rectangle; 1 along an axis that is not accelerated, where there is no shift.
        """
        r1, r2 = self.acceleration
        if self.shift == 0:
            n_lines, n_partitions = n_lines if r1 > 1 else 1, n_partitions if r2 > 1 else 1
            partitions = [j - (n_partitions - 1) // 2 for j in range(n_partitions)]
            lines = [i - (n_lines - 1) // 2 for i in range(n_lines)]
            return tuple((j * r2, i * r1) for j in partitions for i in lines)
        reach = 2 * n_lines * n_partitions
        near = [
            (j * r2, i * r1 + (j * self.shift) % r1)
            for j in range(-n_partitions, n_partitions + 1)
            for i in range(-reach, reach + 1)
        ]
        middle = ((r2 - 1) / 2, (r1 - 1) / 2)
        near.sort(key=lambda line: ((line[0] - middle[0]) ** 2 + (line[1] - middle[1]) ** 2, line))
        return tuple(sorted(near[: n_lines * n_partitions]))
