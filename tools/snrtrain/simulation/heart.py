"""A beating heart in a thorax, in a short axis: blood pool and myocardium are known in every frame.

Analytic, so that it moves without interpolation. Lengths are shares of half the field of view.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from snrtrain.simulation.dynamic import breathing
from snrtrain.simulation.objects import covered

BLOOD, MYOCARDIUM = 1, 2  # labels
CORE = 0.9  # share of a tissue in a pixel that counts as its region
SHORTENING = 0.32  # of the left ventricle's inner radius, from diastole to systole
CONTRACTION, RELAXATION = 0.35, 0.45  # shares of a cycle
ENHANCED, CONTRAST = 0.5, 1.5  # of the brightest blood and over the myocardium: where a bolus is measured
CINE = {"fat": 1.1, "muscle": 0.35, "lung": 0.06, "bone": 0.45, "liver": 0.5}  # balanced SSFP: blood is 1
BOLUS = {"fat": 0.3, "muscle": 0.14, "lung": 0.03, "bone": 0.18, "liver": 0.22}  # saturation recovery: at its peak 1

Course = np.ndarray  # (frame,) of a signal, a share or a shift


@dataclass(frozen=True)
class Heart:
    """magnitude: `(frame, e1, ro)` float32, blood near 1 at its brightest. labels: the same shape, int64.

    Labels are `BLOOD` in the left ventricle, `MYOCARDIUM` in its wall, in pixels that the tissue fills, else 0.
    measured: `(frame,)` bool, those in which blood and myocardium are to be told apart.
    """

    magnitude: np.ndarray
    labels: np.ndarray
    measured: np.ndarray


def cine(shape: tuple[int, int], n_frames: int, rng: Generator) -> Heart:
    """One cycle in `n_frames`, from the end of diastole on: blood is bright, the wall thickens as it is expelled."""
    time = np.arange(n_frames) / n_frames
    falling = np.cos(np.pi / 2 * np.clip((time - CONTRACTION) / RELAXATION, 0, 1)) ** 2
    emptied = np.where(time < CONTRACTION, np.sin(np.pi / 2 * time / CONTRACTION) ** 2, falling)
    blood, myocardium = np.ones(n_frames), np.full(n_frames, rng.uniform(0.35, 0.5))
    heart = {"right": 0.95 * blood, "left": blood, "myocardium": myocardium}
    return _rendered(shape, emptied, 0.04 * emptied, CINE, heart, np.ones(n_frames, bool), rng)


def bolus(shape: tuple[int, int], n_frames: int, rng: Generator) -> Heart:
    """A contrast agent's first pass: right ventricle, left one, myocardium; one phase of the cycle, while breathing."""
    time = np.arange(n_frames) / max(1, n_frames - 1)
    right, left = (0.1 + 0.9 * _passage(time - start, width) for start, width in ((0.05, 0.13), (0.2, 0.2)))
    myocardium = 0.12 + rng.uniform(0.22, 0.34) * _passage(time - rng.uniform(0.32, 0.42), 0.35)
    shift = 0.02 * breathing(np.arange(n_frames), rng.uniform(4, 9), rng.uniform(0, 1), 1)
    heart = {"right": right, "left": left, "myocardium": myocardium}
    measured = (left >= ENHANCED * left.max()) & (left > CONTRAST * myocardium)
    return _rendered(shape, np.full(n_frames, rng.uniform(0, 0.4)), shift, BOLUS, heart, measured, rng)


def _passage(since: Course, width: float) -> Course:
    """A gamma variate, 1 at its peak `width` after the arrival; a tenth recirculates."""
    after = np.clip(since, 0, None) / width
    return np.asarray(np.maximum(after * np.exp(1 - after), 0.1 * (1 - np.exp(-after))))


def _rendered(
    shape: tuple[int, int], emptied: Course, shift: Course, around: Mapping[str, float], heart: Mapping[str, Course],
    measured: np.ndarray, rng: Generator,
) -> Heart:  # fmt: skip
    """emptied: 0 at the end of diastole, 1 in systole. shift: of the heart along e1. around, heart: signals."""
    y, x = np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij")
    edge = min(shape) / 2
    still = _thorax(y, x, edge, around, rng)
    inner, wall = edge * rng.uniform(0.17, 0.2), edge * rng.uniform(0.07, 0.085)
    at_x, at_y, turn = edge * rng.uniform(0.02, 0.12), edge * rng.uniform(-0.2, -0.1), rng.uniform(0, 2 * np.pi)
    frames, labels = [], []
    for number, share in enumerate(emptied):
        own_y = y - at_y - edge * shift[number]
        radius = inner * (1 - SHORTENING * share)
        outer = np.sqrt(radius**2 + (inner + wall) ** 2 - inner**2)  # muscle keeps its area
        distance, angle = np.hypot(own_y, x - at_x), np.arctan2(own_y, x - at_x)
        right = 1.25 * (inner + wall) * (1 - 0.5 * SHORTENING * share)
        beside = np.hypot(own_y - 0.3 * inner, x - at_x + 1.25 * inner)
        left, whole = covered(radius - distance), covered(outer - distance)
        papillary = np.zeros(shape)
        for place in (turn, turn + 2.2):
            middle_y, middle_x = (0.62 * radius * f(place) for f in (np.sin, np.cos))
            papillary = np.maximum(papillary, covered(0.17 * inner - np.hypot(own_y - middle_y, x - at_x - middle_x)))
        muscle = heart["myocardium"][number] * (1 + 0.04 * np.cos(3 * angle + turn))
        frame = _over(still, covered(right + 0.3 * wall - beside), muscle)
        frame = _over(frame, covered(right - beside), heart["right"][number])
        frame = _over(_over(_over(frame, whole, muscle), left, heart["left"][number]), papillary * left, muscle)
        frames.append(frame)
        blood, ring = left * (1 - papillary) > CORE, whole - left > CORE
        labels.append(BLOOD * blood + MYOCARDIUM * ring)
    return Heart(np.stack(frames).astype(np.float32), np.stack(labels).astype(np.int64), measured)


def _thorax(y: np.ndarray, x: np.ndarray, edge: float, signal: Mapping[str, float], rng: Generator) -> np.ndarray:
    """Fat, muscle, lungs with their vessels, a vertebra, liver: `(e1, ro)`, what does not move."""
    axes = edge * rng.uniform(0.6, 0.66), edge * rng.uniform(0.84, 0.9)
    radius, mean = np.hypot(y / axes[0], x / axes[1]), (axes[0] + axes[1]) / 2
    image = _over(np.zeros(y.shape), covered((1 - radius) * mean), signal["fat"])
    texture = ndimage.gaussian_filter(rng.standard_normal(y.shape), 2.0)
    tissue = signal["muscle"] * (1 + 0.08 * texture / texture.std())
    image = _over(image, covered((0.92 - radius) * mean), tissue)
    for side in (-1, 1):
        lung = covered((1 - np.hypot(y / (0.43 * edge), (x - side * 0.47 * edge) / (0.26 * edge))) * 0.33 * edge)
        image = _over(image, lung, signal["lung"])
        for _ in range(8):
            at_y, at_x = rng.uniform(-0.25, 0.25) * edge, (side * 0.47 + rng.uniform(-0.15, 0.15)) * edge
            image = _over(image, covered(rng.uniform(0.6, 1.6) - np.hypot(y - at_y, x - at_x)) * lung, signal["liver"])
    image = _over(image, covered(0.13 * edge - np.hypot(y - 0.42 * edge, x)), signal["bone"])
    liver = covered((1 - np.hypot((y - 0.25 * edge) / (0.2 * edge), (x + 0.35 * edge) / (0.4 * edge))) * 0.3 * edge)
    return _over(image, liver, signal["liver"])


def _over(below: np.ndarray, share: np.ndarray, value: "np.ndarray | float") -> np.ndarray:
    return np.asarray(below * (1 - share) + share * value)
