"""Calibration lines that carry no flag: lines off the image's lattice, around k = 0."""

import numpy as np
import torch

from ..items import Calibration
from ..recon.sampling import is_block
from .calibration_block import copied_block
from .line_names import LineNames
from .line_store import LineStore


def is_embedded(lines: np.ndarray, stray: np.ndarray, acceleration: tuple[int, int]) -> bool:
    """Whether lines off the lattice are calibration lines without a flag: with others they fill a block.

    Parameters
    ----------
    lines, stray : ndarray
        `(line, 2)` int: pairs (e2, e1) of all image lines, and of those off the lattice.
    acceleration : tuple of int
        (R1, R2) that the header tells.
    """
    low, high = stray.min(axis=0), stray.max(axis=0)
    # With the lines of the lattice at both ends, as many as a kernel of four takes.
    enough = all(
        r == 1 or last - first + 3 > 3 * r for r, first, last in zip(reversed(acceleration), low, high, strict=True)
    )
    return enough and is_block(lines, low, high)


def embedded_calibration(
    image: LineStore, stray: np.ndarray, names: LineNames, device: torch.device, snr_units: bool
) -> Calibration | None:
    """The calibration of lines that carry no flag; None where there are none.

    Parameters
    ----------
    image : LineStore
        Holds the lines of the image, and keeps them.
    stray : ndarray
        `(line, 2)` int: those that are off the lattice.
    names : LineNames
        For messages; its size is that of k-space, with k = 0 at size // 2.
    device : torch.device
        Where it is to lie.
    snr_units : bool
        Whether the data is prewhitened.

    Raises
    ------
    ScanError
        Where they do not hold k = 0.
    """
    if len(stray) == 0:
        return None
    lines = image.lines
    low, high = stray.min(axis=0) - 1, stray.max(axis=0) + 1
    block = lines[np.all((low <= lines) & (lines <= high), axis=1)]
    return copied_block(image, block, names.size, names.extent, device, snr_units)
