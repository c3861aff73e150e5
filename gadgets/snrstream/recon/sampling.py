"""Which phase encodes a scan acquired: lattice, extent, calibration block. Lines are pairs (e2, e1)."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScanError
from .lattice import Lattice


def find_lattice(lines: np.ndarray, acceleration: int) -> tuple[Lattice, tuple[int, int]]:
    """The regular sampling with a net `acceleration` that holds most of `lines` `(line, 2)`, and one line of it.

    Any regular sampling of two dimensions, CAIPIRINHA's too whichever way it shifts, has the Hermite normal form
    of a `Lattice`: every R2-th partition, every R1-th line of it, moved by `shift` from one partition to the
    next. Of those that hold equally many lines, the one with the largest R2 and least shift.
    """
    e2, e1 = lines[:, 0].astype(np.int64), lines[:, 1].astype(np.int64)
    best, found = -1, (Lattice((1, 1)), (0, 0))
    for r2 in (r for r in range(acceleration, 0, -1) if acceleration % r == 0 and (r == 1 or np.ptp(e2) > 0)):
        r1 = acceleration // r2
        z0 = int(np.bincount(e2 % r2).argmax())
        on = e2 % r2 == z0
        if np.count_nonzero(on) <= best:
            continue
        for shift in range(r1 if np.ptp(e2) > 0 else 1):
            counts = np.bincount((e1[on] - (e2[on] - z0) // r2 * shift) % r1)
            if counts.max() > best:
                best, found = int(counts.max()), (Lattice((r1, r2), shift), (z0, int(counts.argmax())))
    return found


def on_lattice(lines: np.ndarray, lattice: Lattice, first: tuple[int, int]) -> np.ndarray:
    """Bool `(line,)`: which `lines` `(line, 2)` belong to the lattice through the line `first`."""
    r1, r2 = lattice.acceleration
    e2, e1 = lines[:, 0] - first[0], lines[:, 1] - first[1]
    result: np.ndarray = (e2 % r2 == 0) & ((e1 - e2 // r2 * lattice.shift) % r1 == 0)
    return result


def common_step(lines: np.ndarray) -> int:
    """The greatest distance along e1 of which all distances within a partition are multiples; 0 for single lines."""
    order = np.lexsort((lines[:, 1], lines[:, 0]))
    steps = np.diff(lines[order], axis=0)
    return int(np.gcd.reduce(steps[steps[:, 0] == 0, 1], initial=0))


def missing_lines(sampled: np.ndarray, expected: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
    """Pairs `(line, 2)` of `expected` that are not `sampled`, both bool `(e2, e1)`.

    Corners are not expected where a scan leaves out all that lies beyond an ellipse (elliptical scanning).
    """
    missing = np.argwhere(expected & ~sampled)
    if sampled.shape[0] == 1 or len(missing) == 0:
        return missing
    reach = np.maximum(np.abs(np.argwhere(expected) - centre).max(axis=0), 1)
    radius = np.linalg.norm((missing - centre) / reach, axis=1)
    return missing[:0] if radius.min() > 0.9 else missing


def covered(lines: Tensor, lattice: Lattice) -> Tensor:
    """Values of acquired lines, `(e2, e1)` float32, 0 elsewhere, given to the lines that GRAPPA makes around them."""
    r1, r2 = lattice.acceleration
    return F.max_pool2d(lines[None, None], (2 * r2 - 1, 2 * r1 - 1), stride=1, padding=(r2 - 1, r1 - 1))[0, 0]


def largest_block(sampled: np.ndarray) -> tuple[slice, slice]:
    """The largest rectangle (e2, e1) of bool `sampled` `(e2, e1)` that is true throughout; empty slices for none."""
    heights = np.zeros(sampled.shape[1], np.int64)
    best, block = 0, (slice(0, 0), slice(0, 0))
    for z, row in enumerate(sampled):
        heights = np.where(row, heights + 1, 0)
        for height in np.unique(heights[heights > 0]):
            first, size = _longest_run(heights >= height)
            if height * size > best:
                best, block = height * size, (slice(z + 1 - int(height), z + 1), slice(first, first + size))
    return block


def _longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(starts[longest]), int(lengths[longest])


def require_step(lines: np.ndarray, lattice: Lattice) -> None:
    """Raises ScanError where all lines are further apart than the lattice: the scan has more acceleration."""
    step = common_step(lines)
    if step > lattice.acceleration[0]:
        raise ScanError(
            f"image lines come every {step}th along e1; the header's acceleration lets expect every "
            f"{lattice.acceleration[0]}th"
        )
