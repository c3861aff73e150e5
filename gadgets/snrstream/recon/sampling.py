"""Which phase encodes a scan acquired: lattice, extent, calibration block. Lines are pairs (e2, e1)."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScanError
from .lattice import Lattice


def find_lattice(lines: np.ndarray, acceleration: tuple[int, int]) -> tuple[Lattice, tuple[int, int]]:
    """The regular sampling with the net acceleration R1 R2 that holds most of `lines` `(line, 2)`, and one line of it.

    Any regular sampling of two dimensions, CAIPIRINHA's too whichever way it shifts, has the Hermite normal form
    of a `Lattice`: every R2-th partition, every R1-th line of it, moved by `shift` from one partition to the
    next. Of those that hold equally many lines, the one with the R2 that is told, then the largest R2, and least
    shift. Lines of a single partition do not tell R2.
    """
    e2, e1 = lines[:, 0].astype(np.int64), lines[:, 1].astype(np.int64)
    net = acceleration[0] * acceleration[1]
    one_partition = np.ptp(e2) == 0
    others = [] if one_partition else [r for r in range(net, 0, -1) if net % r == 0]
    best, found = -1, (Lattice((1, 1)), (0, 0))
    for r2 in (acceleration[1], *others):
        r1 = net // r2
        z0 = int(np.bincount(e2 % r2).argmax())
        on = e2 % r2 == z0
        if np.count_nonzero(on) <= best:
            continue
        for shift in range(1 if one_partition else r1):
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


def require_steps(lines: np.ndarray, lattice: Lattice) -> None:
    """Raises ScanError where `lines` `(line, 2)` are all further apart than the lattice: there is more acceleration."""
    order = np.lexsort((lines[:, 1], lines[:, 0]))
    within = np.diff(lines[order], axis=0)
    along_e1 = int(np.gcd.reduce(within[within[:, 0] == 0, 1], initial=0))
    along_e2 = int(np.gcd.reduce(np.diff(np.unique(lines[:, 0])), initial=0))
    for axis, found, told in zip(("e1", "e2"), (along_e1, along_e2), lattice.acceleration, strict=True):
        if found > told:
            raise ScanError(
                f"image lines come in steps of {found} along {axis}; the header's acceleration expects {told}"
            )


def missing_lines(sampled: np.ndarray, expected: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
    """Pairs `(line, 2)` of `expected` that are not `sampled`, both bool `(e2, e1)`.

    Corners are not expected of a scan that leaves out what lies beyond an ellipse (elliptical scanning).
    """
    missing = np.argwhere(expected & ~sampled)
    if sampled.shape[0] == 1 or len(missing) == 0:
        return missing
    reach = np.maximum(np.abs(np.argwhere(expected) - centre).max(axis=0), 1)
    corners = np.linalg.norm((np.argwhere(expected) - centre) / reach, axis=1) > 1
    left_out = np.linalg.norm((missing - centre) / reach, axis=1) > 1
    is_elliptical = np.count_nonzero(left_out) > 0.9 * np.count_nonzero(corners)
    return missing[~left_out] if is_elliptical else missing


def covered(lines: Tensor, lattice: Lattice) -> Tensor:
    """Values of acquired lines, `(e2, e1)` float32, 0 elsewhere, given to the lines that GRAPPA makes around them."""
    r1, r2 = lattice.acceleration
    return F.max_pool2d(lines[None, None], (2 * r2 - 1, 2 * r1 - 1), stride=1, padding=(r2 - 1, r1 - 1))[0, 0]


def central_block(sampled: np.ndarray) -> tuple[slice, slice]:
    """The largest rectangle (e2, e1) around k = 0 that is true throughout in bool `sampled` `(e2, e1)`.

    Empty slices where k = 0, at index N // 2, is not among them.
    """
    z, y = (n // 2 for n in sampled.shape)
    best, block = 0, (slice(0, 0), slice(0, 0))
    low = z
    while low >= 0 and sampled[low, y]:
        high = z
        while high < len(sampled) and sampled[high, y]:
            full = np.asarray(sampled[low : high + 1].all(axis=0))
            gaps = np.flatnonzero(~full)
            first, stop = gaps[gaps < y].max(initial=-1) + 1, gaps[gaps > y].min(initial=len(full))
            if (high + 1 - low) * (stop - first) > best:
                best = (high + 1 - low) * (stop - first)
                block = slice(low, high + 1), slice(int(first), int(stop))
            high += 1
        low -= 1
    return block


def central_window(block: slice, size: int, most: int) -> slice:
    """Of the lines `block` along an axis of `size`, `most` or what there is: those around k = 0, at index size // 2."""
    first = max(block.start, min(size // 2 - most // 2, block.stop - most))
    return slice(first, min(block.stop, first + most))
