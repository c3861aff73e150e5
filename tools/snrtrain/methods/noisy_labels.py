"""How good a denoised image is, told from noisy scans alone: what alpha is chosen by.

At the scanner the whole scan's image y goes in, and its noise is in both of sN2N's halves: against neither can it be
judged. One half against the other can, but a half is noisier than the whole and has aliasing of its own, and the alpha
that suits it is too small for the whole. So noise z, reconstructed with the whole scan's kernel and maps and as strong
as its own (SD sigma), makes two images of one scan (Pang et al., "Recorrupted-to-Recorrupted", CVPR 2021):

    input y + s z,  label y - z / s

The covariance of their noise is sigma^2 (1 - s / s) = 0: the label's is independent of the input's, of SD sigma
sqrt(1 + 1 / s^2). The input is what the scanner gets where s sigma of noise is added to k-space, as in table 2 of
sN2N's paper; at s = 0.25 it has 3 % more than the scan itself. For any image m made of the input

    E (m - label)^2 = E (m - truth)^2 + the label's noise,

so that differences between blends are those against the truth. The error of the input itself is its noise where that is
small, else told by the label, whose noise is the smaller one then. Nothing is seen of aliasing, and of what else input
and label share. The label is the real part under the input's slowly varying phase: a magnitude of so much noise would
be too bright.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from scipy import ndimage

from snrstream.denoising.smooth_phase import smooth_phase
from snrtrain.metrics import PEAK_QUANTILE, object_mask

LEVELS = (0.25, 1.0, 2.0, 3.0)  # sigma that are added
LEAST_SHARE = 0.01  # of the input's error: what is left of it, where chance makes it none
ALIKE = 0.05  # dB, less than other validation scans would change
WINDOW = 7  # pixels an edge, by which an object shows through the noise
LEAST_OBJECT = 0.01  # of the pixels of a slice that counts
Curves = dict[float, dict[float, float]]  # PSNR in dB by added noise and alpha


def noisier(whole: np.ndarray, noise: np.ndarray, added: float) -> np.ndarray:
    """The input: images `(slice, e1, ro)` complex64, with `added` sigma more noise."""
    return np.asarray(whole + np.float32(added) * noise, np.complex64)


def label(whole: np.ndarray, noise: np.ndarray, added: float) -> np.ndarray:
    """What an image made of `noisier` is held against: `(slice, e1, ro)` float32, of either sign."""
    other = whole - noise / np.float32(added)
    seen = noisier(whole, noise, added)
    return np.asarray((other * smooth_phase(seen, np.ones(seen.shape, np.float32)).conj()).real, np.float32)


def psnr(
    image: np.ndarray, original: np.ndarray, held_against: np.ndarray, noise: np.ndarray, added: float, peak: float
) -> float:
    """Of a magnitude in dB: 20 log10 of `peak` over its RMS error, both in one unit.

    image, original (the input's magnitude), held_against (its `label`), noise: the pixels that count.
    """
    own = float(np.square(np.abs(noise), dtype=np.float64).mean()) / 2
    from_label, from_label_before = (
        float(np.square(part - held_against, dtype=np.float64).mean()) for part in (image, original)
    )
    before = own * (1 + added**2)
    if added >= 1:  # a magnitude's error is less than its noise where there is more noise than signal
        before = from_label_before - own * (1 + added**-2)
    return float(10 * np.log10(peak**2 / max(before + from_label - from_label_before, LEAST_SHARE * before)))


def by_alpha(
    alphas: Sequence[float], original: np.ndarray, denoised: np.ndarray, held_against: np.ndarray, noise: np.ndarray,
    whole: np.ndarray, added: float,
) -> dict[float, float]:  # fmt: skip
    """PSNR of the blends of one slice `(e1, ro)` inside the object, which the image of the `whole` scan shows.

    {} of air.
    """
    mask = object_mask(torch.from_numpy(_smoothed(whole))).numpy()
    peak = float(np.quantile(np.abs(whole), PEAK_QUANTILE))
    first, last, label_, noise_ = (part[mask] for part in (original, denoised, held_against, noise))
    return {
        alpha: psnr(alpha * first + (1 - alpha) * last, first, label_, noise_, added, peak)
        for alpha in (alphas if mask.mean() >= LEAST_OBJECT else ())
    }


def collected(values: Iterable[tuple[float, Mapping[float, float]]]) -> Curves:
    """The mean over slices of what `by_alpha` gives, each with the noise that was added; {} where all are of air."""
    found: dict[float, list[Mapping[float, float]]] = {}
    for added, of_slice in values:
        if of_slice:
            found.setdefault(added, []).append(of_slice)
    return {
        added: {alpha: sum(row[alpha] for row in rows) / len(rows) for alpha in rows[0]}
        for added, rows in found.items()
    }


def averaged(curves: Mapping[float, Mapping[float, float]]) -> dict[float, float]:
    """The mean over the levels, by alpha."""
    levels = list(curves.values())
    return {alpha: sum(level[alpha] for level in levels) / len(levels) for alpha in levels[0]}


def chosen(curves: Mapping[float, Mapping[float, float]]) -> float:
    """The alpha that is best on average, of those that do no harm at the least noise.

    Harm: a smaller PSNR than that of alpha 1, the original, which is always among them. Of those within `ALIKE` of the
    best the largest is taken, which keeps most of the original.
    """
    lowest, mean = curves[min(curves)], averaged(curves)
    harmless = [alpha for alpha, value in lowest.items() if value >= lowest[max(lowest)]]
    best = max(mean[alpha] for alpha in harmless)
    return max(alpha for alpha in harmless if mean[alpha] >= best - ALIKE)


def _smoothed(whole: np.ndarray) -> np.ndarray:
    """Magnitude `(e1, ro)` float32 of the mean over neighbours: what is object shows through the noise."""
    parts = [ndimage.uniform_filter(part, WINDOW, mode="nearest") for part in (whole.real, whole.imag)]
    return np.asarray(np.hypot(*parts), np.float32)
