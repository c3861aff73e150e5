"""Where the data itself has k = 0: the echo along an axis, as the energy of its lines or samples tells."""

from dataclasses import dataclass

import numpy as np

FEWEST = 5  # lines that have a shape
TIMES_ITS_NEIGHBOURS = 4.0  # what a line counts for at most: a spike has no strong lines beside it
# Mean of the three strongest neighbours over the quarter of the faintest. Noise alone, of one channel and 16 samples,
# reaches 2.5 among 300 lines; an image of SNR 2 from 8 channels has 11, one of SNR 1 has 3.8.
LEAST_CONTRAST = 3.0
LEAST_FALL = 4.0  # of the echo to both sides: a scan that ends before its echo rises towards its end
FAINTEST_SHARE = 25  # per cent
MOST_CANDIDATES = 64  # the strongest lines; an echo that stands out is among them


@dataclass(frozen=True)
class Echo:
    """The strongest line.

    Attributes
    ----------
    line : int
        Its number.
    spacing : int
        To the next acquired one, on the side where it is further away.
    """

    line: int
    spacing: int


def find_echo(numbers: np.ndarray, energy: np.ndarray) -> Echo | None:
    """The echo among lines, or samples, of one axis.

    The logarithm of their energy falls off to both sides of k = 0, whatever the object. First the line is found about
    which it falls most like `-log(1 + distance)`, which all lines tell together, then the strongest one near it. On
    real scans of heads and phantoms, whole, cut at either side or accelerated, both lie within one line of each other,
    with correlations above 0.94; phase of the object moves both from k = 0, by as many lines as it has cycles across
    the field of view.

    Parameters
    ----------
    numbers : ndarray
        `(line,)` int, rising; there may be gaps.
    energy : ndarray
        `(line,)` float, not negative.

    Returns
    -------
    Echo or None
        None where noise hides it, or the lines end before they have fallen off on both sides of it.
    """
    if len(numbers) < FEWEST:
        return None
    beside = np.maximum(np.append(energy[1:], 0), np.insert(energy[:-1], 0, 0))
    energy = np.minimum(energy, TIMES_ITS_NEIGHBOURS * beside)
    floor = float(np.percentile(energy, FAINTEST_SHARE))
    floor = floor if floor > 0 else float(energy[energy > 0].min(initial=np.inf))
    strongest = np.convolve(energy, np.ones(3) / 3, "valid").max()
    if not strongest >= LEAST_CONTRAST * floor:
        return None
    about = _about(numbers, np.log(np.maximum(energy / floor, 1)))
    gaps = np.diff(numbers)
    spacing = int(_gap(gaps, int(np.abs(numbers - about).argmin())))
    near = np.flatnonzero(np.abs(numbers - about) <= 2 + spacing)
    place = int(near[energy[near].argmax()])
    falls = [part.min(initial=np.inf) * LEAST_FALL < energy[place] for part in (energy[:place], energy[place + 1 :])]
    return Echo(int(numbers[place]), int(_gap(gaps, place))) if all(falls) else None


def energy_along(lines: np.ndarray, energy: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The energy of lines along one of their two axes.

    Parameters
    ----------
    lines : ndarray
        `(line, 2)` int: pairs (e2, e1).
    energy : ndarray
        `(line,)` float.
    axis : int
        0 for e2, 1 for e1.

    Returns
    -------
    numbers : ndarray
        `(n,)` int, rising.
    energy : ndarray
        `(n,)` float64: of each, the mean of its three strongest lines, for there may be more of one than of another.
    """
    order = np.lexsort((-energy, lines[:, axis]))
    numbers, first = np.unique(lines[order, axis], return_index=True)
    ends = np.append(first[1:], len(order))
    return numbers, np.array([energy[order[a : min(a + 3, b)]].mean() for a, b in zip(first, ends, strict=True)])


def _about(numbers: np.ndarray, log_energy: np.ndarray) -> int:
    """The line about which logarithms of energy are most like `-log(1 + distance)`."""
    candidates = numbers[np.argsort(log_energy, kind="stable")[-MOST_CANDIDATES:]]
    shape = -np.log1p(np.abs(numbers - candidates[:, None]))
    shape -= shape.mean(axis=1, keepdims=True)
    likeness = shape @ (log_energy - log_energy.mean()) / np.linalg.norm(shape, axis=1)
    return int(candidates[likeness.argmax()])


def _gap(gaps: np.ndarray, place: int) -> int:
    return int(gaps[max(place - 1, 0) : place + 1].max())
