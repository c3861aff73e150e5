"""Which phase encodes a scan acquired: lattice, extent, calibration block. Lines are pairs (e2, e1)."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..errors import ScanError
from .lattice import Lattice

SHARE_OF_ELLIPSE = 0.75  # of the rectangle around it: pi / 4, less some for the grid


def find_lattice(lines: np.ndarray, acceleration: tuple[int, int]) -> tuple[Lattice, tuple[int, int]]:
    """The regular sampling that holds most of the lines, and one line of it.

    Any regular sampling of two dimensions, CAIPIRINHA's too whichever way it shifts, has the Hermite normal form of a
    `Lattice`: every R2-th partition, every R1-th line of it, moved by `shift` from one partition to the next. Of those
    that hold equally many lines, the one with the R2 that is told, then the largest R2, and least shift. Lines of a
    single partition do not tell R2.

    Parameters
    ----------
    lines : ndarray
        `(line, 2)` int: pairs (e2, e1).
    acceleration : tuple of int
        (R1, R2), of which the product counts.

    Returns
    -------
    lattice : Lattice
        Of the net acceleration R1 R2.
    first : tuple of int
        A line (e2, e1) of it.
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
    """Which lines belong to a lattice.

    Parameters
    ----------
    lines : ndarray
        `(line, 2)` int: pairs (e2, e1).
    lattice : Lattice
        The regular sampling.
    first : tuple of int
        A line (e2, e1) of it.

    Returns
    -------
    ndarray
        `(line,)` bool.
    """
    r1, r2 = lattice.acceleration
    e2, e1 = lines[:, 0] - first[0], lines[:, 1] - first[1]
    result: np.ndarray = (e2 % r2 == 0) & ((e1 - e2 // r2 * lattice.shift) % r1 == 0)
    return result


def steps_of(lines: np.ndarray) -> tuple[int, int]:
    """The largest steps that all lines keep.

    Parameters
    ----------
    lines : ndarray
        `(line, 2)` int: pairs (e2, e1).

    Returns
    -------
    tuple of int
        Along e1, within partitions, and along e2; 0 where there are not two to compare.
    """
    order = np.lexsort((lines[:, 1], lines[:, 0]))
    within = np.diff(lines[order], axis=0)
    along_e1 = int(np.gcd.reduce(within[within[:, 0] == 0, 1], initial=0))
    return along_e1, int(np.gcd.reduce(np.diff(np.unique(lines[:, 0])), initial=0))


def require_steps(lines: np.ndarray, lattice: Lattice) -> None:
    """Refuse lines that are all further apart than the lattice: there is more acceleration.

    Parameters
    ----------
    lines : ndarray
        `(line, 2)` int: pairs (e2, e1).
    lattice : Lattice
        The sampling that is expected of them.

    Raises
    ------
    ScanError
        Where they are.
    """
    for axis, found, told in zip(("e1", "e2"), steps_of(lines), lattice.acceleration, strict=True):
        if found > told:
            raise ScanError(
                f"image lines come in steps of {found} along {axis}; the header's acceleration expects {told}"
            )


def missing_lines(sampled: np.ndarray, expected: np.ndarray, centre: tuple[int, int]) -> np.ndarray:
    """Lines that were expected and did not come.

    Corners are not expected of a scan that leaves out what lies beyond an ellipse (elliptical scanning).

    Parameters
    ----------
    sampled, expected : ndarray
        `(e2, e1)` bool.
    centre : tuple of int
        The line (e2, e1) that holds k = 0.

    Returns
    -------
    ndarray
        `(line, 2)` int: pairs (e2, e1).
    """
    missing = np.argwhere(expected & ~sampled)
    if sampled.shape[0] == 1 or len(missing) == 0:
        return missing
    reach = np.maximum(np.abs(np.argwhere(expected) - centre).max(axis=0), 1)
    corners = np.linalg.norm((np.argwhere(expected) - centre) / reach, axis=1) > 1
    left_out = np.linalg.norm((missing - centre) / reach, axis=1) > 1
    is_elliptical = np.count_nonzero(left_out) > 0.9 * np.count_nonzero(corners)
    return missing[~left_out] if is_elliptical else missing


def central(kspace: Tensor, most: int = 24) -> Tensor:
    """The lines and partitions around k = 0, which hold most of the signal.

    Parameters
    ----------
    kspace : Tensor
        `(channel, e2, e1, ro)`, with k = 0 in its middle.
    most : int
        How many of each are wanted.

    Returns
    -------
    Tensor
        A view.
    """
    z, y = (central_window(slice(0, n), n, most) for n in kspace.shape[1:3])
    return kspace[:, z, y]


def covered(lines: Tensor, lattice: Lattice) -> Tensor:
    """Values of acquired lines, given to the lines that GRAPPA makes around them.

    Parameters
    ----------
    lines : Tensor
        `(e2, e1)` float32, not negative, 0 where nothing was acquired.
    lattice : Lattice
        The sampling that the acquired ones follow.

    Returns
    -------
    Tensor
        `(e2, e1)` float32: the largest value within a cell.
    """
    r1, r2 = lattice.acceleration
    return F.max_pool2d(lines[None, None], (2 * r2 - 1, 2 * r1 - 1), stride=1, padding=(r2 - 1, r1 - 1))[0, 0]


def is_block(lines: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether lines fill a block; of one along e1 and e2, the corners may lack that an ellipse leaves out.

    Parameters
    ----------
    lines : ndarray
        `(line, 2)` int: pairs (e2, e1), also outside of the block.
    low, high : ndarray
        `(2,)` int: the first and the last line of the block.
    """
    sampled = np.zeros(high + 1 - low, bool)
    within = np.all((low <= lines) & (lines <= high), axis=1)
    sampled[tuple((lines[within] - low).T)] = True
    return bool(sampled.all()) or (min(sampled.shape) > 1 and float(sampled.mean()) > SHARE_OF_ELLIPSE)


def central_block(sampled: np.ndarray) -> tuple[slice, slice]:
    """The largest rectangle around k = 0 that was sampled throughout.

    Parameters
    ----------
    sampled : ndarray
        `(e2, e1)` bool, with k = 0 at index N // 2.

    Returns
    -------
    tuple of slice
        Along e2 and e1; empty where k = 0 was not sampled.
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
    """Of the lines of a block along one axis, those around k = 0.

    Parameters
    ----------
    block : slice
        The lines that there are.
    size : int
        Of the axis, with k = 0 at size // 2.
    most : int
        How many are wanted; all that there are, where they are fewer.
    """
    first = max(block.start, min(size // 2 - most // 2, block.stop - most))
    return slice(first, min(block.stop, first + most))
