"""Noisy labels: independent of the input, and the alphas that they rank are those of the truth."""

import numpy as np
import pytest
from scipy import ndimage

from snrtrain.methods import noisy_labels
from tests.snrtrain.small_archive import blob

ALPHAS = tuple(n / 10 for n in range(11))
TISSUE = 15.0


@pytest.fixture(scope="module")
def scan() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth (a disc with fine stripes), the scan's complex image, drawn noise, and the pixels that count."""
    rng = np.random.default_rng(0)
    n_slices, edge = 40, 64
    stripes = 1 + 0.2 * np.sin(2 * np.pi * np.arange(edge) / 5)
    truth = np.repeat((TISSUE * blob() * stripes)[None], n_slices, axis=0)
    noise = rng.standard_normal((2, 2, n_slices, edge, edge))
    phase = np.exp(1j * np.linspace(0, 2, edge))
    own, drawn = (part[0] + 1j * part[1] for part in noise)
    return truth, (truth * phase + own).astype(np.complex64), drawn.astype(np.complex64), truth > 0.3 * TISSUE


def blurred(magnitude: np.ndarray) -> np.ndarray:
    """A denoiser that takes off noise, and the stripes with it."""
    return ndimage.gaussian_filter(magnitude, (0, 1.0, 1.0))


@pytest.mark.parametrize("added", noisy_labels.LEVELS)
def test_the_labels_noise_is_independent_of_the_inputs_and_of_known_size(scan, added: float) -> None:
    truth, whole, drawn, mask = scan
    given, label = np.abs(noisy_labels.noisier(whole, drawn, added)), noisy_labels.label(whole, drawn, added)
    errors = [(image - truth)[mask] for image in (given, label)]
    assert errors[0].std() == pytest.approx(np.sqrt(1 + added**2), rel=0.05)
    assert errors[1].std() == pytest.approx(np.sqrt(1 + added**-2), rel=0.05)
    assert abs(np.corrcoef(*errors)[0, 1]) < 3 / np.sqrt(mask.sum())
    assert abs(errors[1].mean()) < 4 * errors[1].std() / np.sqrt(mask.sum()), "no bias, as a magnitude would have"
    own = (np.abs(whole) - truth)[mask]
    assert abs(np.corrcoef(own, errors[1])[0, 1]) > 0.2, "the scan's own noise is in the label: it cannot be the input"


def test_the_curve_over_alpha_is_that_against_the_truth(scan) -> None:
    truth, whole, drawn, mask = scan
    best = []
    for added in noisy_labels.LEVELS:
        original, label = np.abs(noisy_labels.noisier(whole, drawn, added)), noisy_labels.label(whole, drawn, added)
        told, true = [], []
        for alpha in ALPHAS:
            blend = alpha * original + (1 - alpha) * blurred(original)
            inside = [image[mask] for image in (blend, original, label, drawn)]
            told.append(noisy_labels.psnr(*inside, added, TISSUE))
            true.append(10 * np.log10(TISSUE**2 / np.square((blend - truth)[mask]).mean()))
        assert np.allclose(told, true, atol=0.4)  # what the noise of the label leaves at 0.25 sigma
        assert abs(int(np.argmax(told)) - int(np.argmax(true))) <= 1
        best.append(int(np.argmax(true)))
    assert best[0] > best[-1], "the more noise, the less of the original: the levels tell them apart"


def test_alpha_is_the_best_on_average_that_does_no_harm_at_the_least_noise() -> None:
    helps = {0.25: {0.0: 31.0, 0.5: 33.0, 1.0: 32.0}, 2.0: {0.0: 28.0, 0.5: 27.0, 1.0: 25.0}}
    assert noisy_labels.averaged(helps) == {0.0: 29.5, 0.5: 30.0, 1.0: 28.5}
    assert noisy_labels.chosen(helps) == 0.5
    harms = {0.25: {0.0: 31.0, 0.5: 31.9, 1.0: 32.0}, 2.0: {0.0: 29.0, 0.5: 28.0, 1.0: 25.0}}
    assert noisy_labels.chosen(harms) == 1.0, "the original alone harms nothing"
    harmless = {0.25: {0.0: 32.0, 0.5: 33.0, 1.0: 32.0}, 2.0: {0.0: 29.0, 0.5: 27.0, 1.0: 25.0}}
    assert noisy_labels.chosen(harmless) == 0.0, "the best on average, not at the least noise"
    alike = {0.25: {0.0: 32.0, 0.1: 31.99, 0.2: 31.5, 1.0: 30.0}}
    assert noisy_labels.chosen(alike) == 0.1, "what is as good keeps more of the original"
