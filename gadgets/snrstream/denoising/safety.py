"""What must hold of a model's input and output before an image goes out as denoised."""

import numpy as np

from ..errors import ModelError
from .manifest_fields import Manifest

BRIGHTEST = 99.9  # percentile of |image| / g, so that a few bright vessels or a spike do not count
LARGEST_G = 99.0  # percentile of the g-map
RANGE_SLACK = 2.0  # a network is no other one just beyond what it was trained on
NOISE_ALONE = 1.0  # less is not in SNR units: the brightest pixels of white noise reach 3.7
OVERFLOWING = 1e15  # sums of squares of a large image stay finite in single precision below
G_FLOOR = 1e-3  # g-maps may hold 0 where nothing was measured
MOST_ENERGY = 1.25  # of the output, over the input's
MOST_RESIDUE = 0.1  # of the output besides, over the noise's energy: what a network's biases give where the image is 0
LEAST_SIGNAL = 0.2  # of the input's energy beyond twice the noise's
MEAN_SHARE = 0.5  # how far the mean may move, as a share of itself
MEAN_NOISE = 0.5  # and besides in noise SDs
MEAN_SPREAD = 6.0  # and in SDs of the mean of white noise, for very small images


def check_input(manifest: Manifest, image: np.ndarray, gmap: np.ndarray) -> None:
    """Whether a stack is such as the network was trained on.

    Its brightest SNR (`BRIGHTEST`) and the g-map's median and `LARGEST_G` are compared with the manifest's ranges,
    widened by `RANGE_SLACK` on both sides: this is to find images in other units, g-maps in percent and scans of
    another kind, not to judge single pixels. So an image of noise alone (`NOISE_ALONE`) is not too dark, and one of
    zeros passes, for there is nothing to spoil.

    Parameters
    ----------
    image
        `(frame, e1, ro)` complex64, in SNR units.
    gmap
        `(frame, e1, ro)` float32.

    Raises
    ------
    ModelError
        It is not, or pixels are not finite, or the shapes differ.
    """
    name = manifest.name
    if image.ndim != 3 or not image.size or gmap.shape != image.shape:
        raise ModelError(f"model {name}: image and g-map have shapes {image.shape} and {gmap.shape}; expected one "
                         "shape (frame, e1, ro)")  # fmt: skip
    for what, pixels in (("image", image), ("g-map", gmap)):
        if not np.isfinite(pixels).all():
            raise ModelError(f"model {name}: the {what} holds NaN or infinite pixels; expected finite ones")
    magnitude = np.abs(image)
    if not magnitude.max() < OVERFLOWING:
        raise ModelError(f"model {name}: the image reaches {magnitude.max():.3g}; expected less than {OVERFLOWING:.0e}")
    if manifest.snr_range is not None and image.any():
        snr = float(np.percentile(magnitude / np.maximum(gmap, G_FLOOR), BRIGHTEST))
        _in_range(name, "the brightest SNR", snr, snr, manifest.snr_range, NOISE_ALONE)
    if manifest.gfactor_range is not None:
        median, largest = np.percentile(gmap, [50, LARGEST_G])
        _in_range(name, "the g-map's median to 99th percentile", float(median), float(largest), manifest.gfactor_range)


def check_output(manifest: Manifest, image: np.ndarray, gmap: np.ndarray, denoised: np.ndarray) -> None:
    """Whether the network's answer to `image` can be that of a denoiser, frame by frame.

    Let E be the frame's energy, N = 2 sum(g^2) that of its noise, s^2 = mean(g^2). No sound denoiser breaks these:

    - Every pixel is finite.
    - Energy at most 1.25 E + 0.1 N: noise goes, signal stays, so that any linear shrinkage and any mean over the
      possible images has less than E; the rest is room for a network that is a few per cent too bright, and for
      what its biases make of pixels that are 0.
    - Energy at least 0.2 (E - 2 N). Even the Wiener filter, which of all the image keeps the share S / (S + 1) of a
      component with S times the noise's energy, keeps S^2 / (S + 1) > (S - 1) / 2 noise energies, and by convexity
      on average too; that is (E - 2 N) / 2. An image of noise may lose all: there the bound is below 0.
    - The mean moves by at most half of itself and half of s, and six SDs of the mean of white noise: it is the
      component with the most signal, and the noise has no mean. Offsets, swapped parts and turned signs end here.

    Parameters
    ----------
    image, denoised
        `(frame, e1, ro)` complex64, in SNR units.
    gmap
        `(frame, e1, ro)` float32.

    Raises
    ------
    ModelError
        One is broken: what was found and expected.
    """
    for n, (before, after, g) in enumerate(zip(image, denoised, gmap, strict=True)):
        what = f"model {manifest.name} answered" + (f", in frame {n}," if len(image) > 1 else "")
        if not np.isfinite(after).all():
            raise ModelError(f"{what} with NaN or infinite pixels")
        energy, answered = _energy(before), _energy(after)
        noise = 2 * _energy(g)
        most_energy = MOST_ENERGY * energy + MOST_RESIDUE * noise
        if answered > most_energy:
            raise ModelError(f"{what} with {_ratio(answered, energy)} times the image's energy; expected at most "
                             f"{_ratio(most_energy, energy)}")  # fmt: skip
        least = LEAST_SIGNAL * (energy - 2 * noise)
        if answered < least:
            raise ModelError(f"{what} with {_ratio(answered, energy)} times the image's energy; expected at least "
                             f"{least / energy:.2g}, as its signal has")  # fmt: skip
        mean, moved = complex(before.mean()), abs(complex(after.mean()) - complex(before.mean()))
        sd = (noise / 2 / g.size) ** 0.5
        most = MEAN_SHARE * abs(mean) + MEAN_NOISE * sd + MEAN_SPREAD * sd / g.size**0.5
        if moved > most:
            raise ModelError(f"{what} with a mean {moved:.3g} off the image's, {abs(mean):.3g}; expected at most "
                             f"{most:.3g}")  # fmt: skip


def _energy(pixels: np.ndarray) -> float:
    flat = pixels.ravel()
    return float(np.vdot(flat, flat).real)


def _ratio(answered: float, energy: float) -> str:
    return f"{answered / energy:.3g}" if energy else "infinitely many"


def _in_range(
    name: str, what: str, low: float, high: float, trained: tuple[float, float], enough: float = float("inf")
) -> None:
    """enough: from there on, nothing is too low."""
    if low < min(trained[0] / RANGE_SLACK, enough) or high > trained[1] * RANGE_SLACK:
        found = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        raise ModelError(
            f"model {name}: {what} is {found}; expected what it was trained on, {trained[0]:g} to {trained[1]:g}, "
            f"or within {RANGE_SLACK:g} times of it"
        )
