"""What differs between forward and reversed readouts of EPI, and makes the N/2 ghost: a phase that is linear along x.

Sources: Bruder, Fischer, Reinfelder and Schmitt, MRM 23:311 (1992): navigator echoes; the weighting over channels and
pixels and the drift between navigators are those of Gadgetron's EPICorrGadget. Without navigators: least entropy, after
Clare, Proc. ISMRM 16:1454 (2008).
"""

import math
from collections.abc import Sequence

import numpy as np

MOST_SHIFT = 2.0  # samples between the echoes of both directions, where the image itself tells


def linear_phase(product: np.ndarray) -> tuple[float, float]:
    """The phase `intercept + slope x` of complex values, each weighted by its magnitude.

    Parameters
    ----------
    product : ndarray
        `(x,)` complex; x = 0 in its middle, at `len // 2`.

    Returns
    -------
    intercept : float
        In rad, from -pi to pi.
    slope : float
        In rad per pixel.
    """
    x = np.arange(len(product)) - len(product) // 2
    slope = float(np.angle(np.vdot(product[:-1], product[1:])))
    flat = product * np.exp(-1j * slope * x)
    intercept = float(np.angle(flat.sum()))
    rest, weight = np.angle(flat * np.exp(-1j * intercept)), np.abs(product)
    if weight.sum() > 0:
        mean = np.average(x, weights=weight)
        spread = float((weight * (x - mean) ** 2).sum())
        more = float((weight * (x - mean) * rest).sum()) / spread if spread > 0 else 0.0
        slope, intercept = slope + more, intercept + float(np.average(rest, weights=weight)) - more * mean
    return math.remainder(intercept, 2 * math.pi), slope


def navigator_phase(navigators: Sequence[np.ndarray], is_reversed: Sequence[bool]) -> tuple[float, float, float] | None:
    """The phase of forward over reversed readouts, from lines without phase encoding.

    Where one lies between two of the other direction, the scanner's phase drift, which goes on from echo to echo, is
    told from it.

    Parameters
    ----------
    navigators : sequence of ndarray
        Of one train, in the order of time: pixels `(x, channel)` complex.
    is_reversed : sequence of bool
        The direction of each.

    Returns
    -------
    tuple of float or None
        Intercept and slope, as `linear_phase` has them, and how well lines of both directions agree once they are
        corrected by it: 1 where they are alike but for a factor, close to 0 where one is noise. None where all go the
        same way, or hold no signal or no number.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        total, most, of_drift = _forward_over_reversed(navigators, is_reversed)
        if not (total.any() and np.isfinite(total).all()):
            return None
        intercept, slope = linear_phase(total)
    return intercept, slope, min(of_drift, _agreement(total, slope, most))


def _agreement(product: np.ndarray, slope: float, most: float) -> float:
    x = np.arange(len(product)) - len(product) // 2
    return float(np.abs((product * np.exp(-1j * slope * x)).sum()) / most) if most > 0 else 0.0


def _forward_over_reversed(
    navigators: Sequence[np.ndarray], is_reversed: Sequence[bool]
) -> tuple[np.ndarray, float, float]:
    """Summed over channels and navigators: `(x,)` complex; the most that its sum can be; how well drift was told."""
    n, x = len(navigators), np.arange(len(navigators[0])) - len(navigators[0]) // 2
    between = [p for p in range(1, n - 1) if is_reversed[p - 1] == is_reversed[p + 1] != is_reversed[p]]
    pairs = [(p, navigators[p - 1]) for p in range(1, n) if is_reversed[p - 1] != is_reversed[p]]
    of_drift = 1.0
    if between:
        drift = np.asarray(sum((navigators[p - 1].conj() * navigators[p + 1]).sum(axis=1) for p in between))
        intercept, slope = linear_phase(drift)
        norms = [np.linalg.norm(navigators[p - 1]) * np.linalg.norm(navigators[p + 1]) for p in between]
        of_drift = _agreement(drift, slope, float(sum(norms)))
        turn = np.exp(0.5j * (intercept + slope * x))[:, None]
        pairs = [(p, navigators[p - 1] * turn + navigators[p + 1] * turn.conj()) for p in between]
    products = [(p, (others * navigators[p].conj()).sum(axis=1)) for p, others in pairs]
    most = sum(float(np.linalg.norm(others) * np.linalg.norm(navigators[p])) for p, others in pairs)
    return (
        np.asarray(sum(product if is_reversed[p] else product.conj() for p, product in products), complex),
        most,
        of_drift,
    )


def image_phase(lines: np.ndarray, places: np.ndarray, is_reversed: np.ndarray, n_lines: int) -> tuple[float, float]:
    """The phase of forward over reversed readouts, from an image without acceleration: that of least entropy.

    A phase that is larger by pi moves the image by half its field of view and cannot be told: the smaller is meant.

    Parameters
    ----------
    lines : ndarray
        `(line, channel, x)` complex, pixels along x.
    places : ndarray
        `(line,)` int: where in k-space along y each lies.
    is_reversed : ndarray
        `(line,)` bool.
    n_lines : int
        Of k-space along y.

    Returns
    -------
    tuple of float
        Intercept and slope, as `linear_phase` has them.
    """
    halves = []
    for direction in (False, True):
        kspace = np.zeros((n_lines, *lines.shape[1:]), complex)
        kspace[places[is_reversed == direction]] = lines[is_reversed == direction]
        halves.append(np.fft.fft(kspace, axis=0))
    power = sum(np.square(np.abs(half)).sum(axis=1) for half in halves)
    mixed = 2 * (halves[0].conj() * halves[1]).sum(axis=1)
    n_x = lines.shape[-1]
    x = np.arange(n_x) - n_x // 2

    def entropy(intercept: float, slope: float) -> float:
        share = np.maximum(power + (mixed * np.exp(1j * (intercept + slope * x))).real, 0)
        share = np.sqrt(share / max(share.sum(), 1e-300))
        return float(-(share * np.log(share + 1e-30)).sum())

    steps = math.pi / 16, 2 * math.pi * MOST_SHIFT / n_x / 16
    best = min(
        ((i * steps[0], s * steps[1]) for i in range(-7, 9) for s in range(-16, 17)), key=lambda pair: entropy(*pair)
    )
    for _ in range(7):
        steps = steps[0] / 2, steps[1] / 2
        near = [(best[0] + i * steps[0], best[1] + s * steps[1]) for i in (-1, 0, 1) for s in (-1, 0, 1)]
        best = min(near, key=lambda pair: entropy(*pair))
    return best
