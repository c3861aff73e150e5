"""Readouts of echo-planar imaging along x: ramp sampling, both directions, and what differs between these.

Source: the trajectory is that of Gadgetron's EPIReconXObjectTrapezoid (S. Inati), balanced: k = 0 halfway through the
trapezoid. Samples are taken in the middle of their dwell time.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from .fft import acquired_share, gridded_readouts, to_image

SUPPORT = 0.95  # of the widest field of view that the samples tell apart; noise rises beyond
REGULARISATION = 1e-3  # of the kernel's diagonal: 0.1 % of the signal
LATE_STEP = 0.02  # of a dwell time: trajectories that differ by less are one


@dataclass(frozen=True)
class Trapezoid:
    """The gradient lobe of one readout, and the samples that are taken in its middle.

    Attributes
    ----------
    ramp_up_us, flat_top_us, ramp_down_us : float
        Its parts, in us.
    dwell_us : float
        From one sample to the next.
    """

    ramp_up_us: float
    flat_top_us: float
    ramp_down_us: float
    dwell_us: float

    @property
    def total_us(self) -> float:
        """How long the lobe lasts."""
        return self.ramp_up_us + self.flat_top_us + self.ramp_down_us

    def samples_ramps(self, n_samples: int) -> bool:
        """Whether so many samples reach into the ramps."""
        return n_samples * self.dwell_us > self.flat_top_us * (1 + 1e-6)

    def positions(self, n_samples: int, late: float = 0.0) -> np.ndarray:
        """Where in k-space the samples of a forward readout lie.

        Parameters
        ----------
        n_samples : int
            Of the readout.
        late : float
            By how many dwell times the gradient comes late.

        Returns
        -------
        ndarray
            `(n_samples,)` float64, rising, in units of what all samples cover; k = 0 halfway through the lobe.
        """
        start = (self.total_us - n_samples * self.dwell_us) / 2
        edges = self._area(start + self.dwell_us * np.array([0.0, n_samples]))
        t = start + self.dwell_us * (np.arange(n_samples) + 0.5 - late)
        k: np.ndarray = (self._area(t) - self._area(np.array(self.total_us)) / 2) / (edges[1] - edges[0])
        return k

    def _area(self, t: np.ndarray) -> np.ndarray:
        """Under the lobe up to a time, its height being 1."""
        up, flat, down = self.ramp_up_us, self.flat_top_us, self.ramp_down_us
        within = np.clip(t, 0, self.total_us)
        rising = np.minimum(within, up) ** 2 / (2 * up) if up else 0.0
        left = np.clip(self.total_us - within, 0, down)
        falling = (down**2 - left**2) / (2 * down) if down else 0.0
        return np.asarray(rising + np.clip(within - up, 0, flat) + falling)


@dataclass(frozen=True)
class Readout:
    """How the samples of one kind of readout become pixels along x.

    Attributes
    ----------
    n_samples : int
        That count.
    n_pixels : int
        Of the field of view.
    n_encoded : int
        Samples of a full readout of even spacing, no fewer than there are.
    centre : int
        The sample, in the order of time, that holds k = 0; of no account with ramps.
    discarded : tuple of int
        Samples before and after those that count.
    trapezoid : Trapezoid or None
        Where ramps are sampled.
    """

    n_samples: int
    n_pixels: int
    n_encoded: int
    centre: int
    discarded: tuple[int, int] = (0, 0)
    trapezoid: Trapezoid | None = None

    def positions(self, late: float = 0.0) -> np.ndarray:
        """Where forward samples with ramps lie: `(n_samples,)` float64, in cycles per field of view."""
        if self.trapezoid is None:
            raise ValueError("the readout has no trapezoid; expected one")
        before, after = self.discarded
        k = self.trapezoid.positions(before + self.n_samples + after, late)
        return self.n_pixels * k[before : before + self.n_samples]

    def operator(self, is_reversed: bool, late: float = 0.0) -> np.ndarray:
        """From samples in the order of time to pixels.

        Parameters
        ----------
        is_reversed : bool
            Whether the gradient is negative.
        late : float
            By how many dwell times a trapezoid comes late.

        Returns
        -------
        ndarray
            `(n_pixels, n_samples)` complex128. White noise of SD 1 stays stationary, of mean power 1.
        """
        return _operator(self, is_reversed, round(late / LATE_STEP) * LATE_STEP)

    @functools.cached_property
    def sample_sd(self) -> torch.Tensor:
        """The noise's SD along k of the pixels: `(n_pixels,)` float32; with ramps, its mean square is 1."""
        if self.trapezoid is None:
            return acquired_share(self.n_samples, self.centre, self.n_encoded, self.n_pixels).sqrt()
        powers = [np.square(np.abs(_fourier(self.n_pixels) @ self.operator(r))).sum(axis=1) for r in (False, True)]
        return torch.from_numpy(np.sqrt(np.mean(powers, axis=0)).astype(np.float32))

    def late_of(self, slope: float) -> float:
        """How many dwell times late the trapezoid comes where `linear_phase` finds `slope` between the directions."""
        if self.trapezoid is None:
            return 0.0
        fastest = np.diff(self.positions()).max()
        return float(slope * self.n_pixels / (4 * math.pi) / fastest)

    def corrected(self, is_reversed: bool, phase: "OddEven") -> np.ndarray:
        """From samples in the order of time to k-space along x, free of what differs between the directions.

        Parameters
        ----------
        is_reversed : bool
            Whether the gradient is negative.
        phase : OddEven
            What differs.

        Returns
        -------
        ndarray
            `(n_pixels, n_samples)` complex64; k = 0 at `n_pixels // 2`.
        """
        x = np.arange(self.n_pixels) - self.n_pixels // 2
        turn = np.exp((0.5j if is_reversed else -0.5j) * (phase.intercept + phase.slope * x))
        pixels = turn[:, None] * self.operator(is_reversed, phase.late)
        return np.asarray(_fourier(self.n_pixels) @ pixels, np.complex64)


@dataclass(frozen=True)
class OddEven:
    """The phase of forward over reversed readouts, `intercept + slope x`; half of it belongs to either.

    Attributes
    ----------
    intercept : float
        In rad, at the central pixel.
    slope : float
        In rad per pixel: what `late` leaves of it.
    late : float
        By how many dwell times the trapezoid comes late.
    """

    intercept: float = 0.0
    slope: float = 0.0
    late: float = 0.0


@functools.lru_cache(16)
def _operator(readout: Readout, is_reversed: bool, late: float) -> np.ndarray:
    n = readout.n_samples
    if readout.trapezoid is not None:
        k = readout.positions(late)
        return _regridding(-k if is_reversed else k, readout.n_pixels)
    centre = n - 1 - readout.centre if is_reversed else readout.centre
    lines = gridded_readouts(torch.eye(n, dtype=torch.complex128), centre, readout.n_encoded, readout.n_pixels)
    operator = to_image(lines, dims=(-1,)).T.numpy()
    return np.ascontiguousarray(operator[:, ::-1] if is_reversed else operator)


def _regridding(k: np.ndarray, n_pixels: int) -> np.ndarray:
    """Least squares on a field of view as wide as the samples tell apart, of which the middle is kept.

    What lies beside the field of view then stays there, and noise is stationary, as it is where readout oversampling
    is removed. `k`: cycles per field of view.
    """
    n_grid = max(n_pixels, int(SUPPORT * n_pixels / np.abs(np.diff(k)).max())) | 1  # odd: no sample at the very edge
    width = n_grid / n_pixels
    grid = (np.arange(n_grid) - n_grid // 2) / width
    kernel = np.sinc(width * (k[:, None] - k)) + REGULARISATION * np.eye(len(k))
    to_grid = np.linalg.solve(kernel, np.sinc(width * (k[:, None] - grid))).T
    start = n_grid // 2 - n_pixels // 2
    operator = _fourier(n_grid).conj().T[start : start + n_pixels] @ to_grid
    return np.asarray(operator * np.sqrt(n_pixels / np.square(np.abs(operator)).sum()))


@functools.lru_cache(4)
def _fourier(n: int) -> np.ndarray:
    """Centred and orthonormal, image to k-space: `(n, n)` complex128."""
    index = np.arange(n) - n // 2
    return np.asarray(np.exp(-2j * np.pi / n * np.outer(index, index)) / np.sqrt(n))
