"""The lines of an image put in place, with those that its calibration lends."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import ScanError
from ..recon.combine import Grid
from .image_lattice import Sampling
from .line_store import LineStore
from .missing import lent_lines

LEAST_SHARE = 0.02  # of the lines that the header lets expect
FAINTEST = 1e-12  # of whitened data and of data in units of its own; squares of less are lost to float32


@dataclass(frozen=True)
class ImageKspace:
    """K-space of one image.

    Attributes
    ----------
    kspace : Tensor
        `(channel, e2, e1, ro)` complex64, the lines of the grid.
    line_sd : Tensor
        `(e2, e1)` float32: the noise's SD in each line; 0 where there is none.
    grid : Grid
        Which lines of k-space are stored.
    n_lines, n_lent : int
        Image lines that are there, and those of them that came as calibration lines.
    missing : ndarray
        `(line, 2)` int64: those that lack.
    peak : float
        The largest magnitude in the line nearest to k = 0.
    """

    kspace: Tensor
    line_sd: Tensor
    grid: Grid
    n_lines: int
    n_lent: int
    missing: np.ndarray
    peak: float


def put_in_place(
    image: LineStore, calibration: LineStore, sampling: Sampling, missing: np.ndarray, size: tuple[int, int]
) -> ImageKspace:
    """Make k-space of an image. Its lines are given away.

    Parameters
    ----------
    image, calibration : LineStore
        The lines, by their indices in k-space.
    sampling : Sampling
        Of the image.
    missing : ndarray
        `(line, 2)` int64: those that lack.
    size : tuple of int
        Lines (e2, e1) of k-space, with k = 0 at size // 2.

    Raises
    ------
    ScanError
        Where there are too few lines, or they take too much memory, or hold next to no signal.
    """
    lines = sampling.lines
    if len(lines) < LEAST_SHARE * (len(lines) + len(missing)):
        # A few lines of a large volume are no image of it, and would take its memory and time.
        raise ScanError(
            f"{len(lines)} of {len(lines) + len(missing)} image lines came; expected at least "
            f"{100 * LEAST_SHARE:g} % of them"
        )
    lent = lent_lines(missing, image, calibration) if len(calibration) and len(missing) else missing[:0]
    if len(lent):
        lines = np.concatenate([lines, lent])
        missing = missing[~(missing[:, None] == lent).all(axis=-1).any(axis=1)]
    grid = sampling.grid(size)
    stored = (lines - grid.first) // grid.step
    n_stored = grid.stored
    rows = {(z, y): j * n_stored[1] + i for (z, y), (j, i) in zip(lines.tolist(), stored.tolist(), strict=True)}
    kspace, sd = image.take(rows, math.prod(n_stored))
    if len(lent):
        lent_rows = {(z, y): rows[z, y] for z, y in lent.tolist()}
        kspace = kspace + calibration.copy(lent_rows, len(sd))
        sd[list(lent_rows.values())] = 1
    nearest = min(rows, key=lambda line: from_centre(line, size))
    peak = float(kspace[:, rows[nearest]].abs().max())
    if 0 < peak < FAINTEST:
        raise ScanError(f"the central line has a signal of {peak:.2g}; expected {FAINTEST:g} or more")
    kspace = kspace.reshape(len(kspace), *n_stored, -1)
    return ImageKspace(kspace, sd.reshape(n_stored), grid, len(lines), len(lent), missing, peak)


def from_centre(line: tuple[int, int], size: tuple[int, int]) -> float:
    """How many lines a line (e2, e1) is away from k = 0."""
    return math.hypot(line[0] - size[0] // 2, line[1] - size[1] // 2)
