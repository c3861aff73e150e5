"""The safety nets: no sound denoiser is caught in them, and gross faults are."""

import numpy as np
import pytest

from snrstream.denoising.loaded import load_model
from snrstream.denoising.manifest_fields import Manifest
from snrstream.denoising.safety import check_input, check_output
from snrstream.errors import ModelError

from .conftest import PARSED, halving_model
from .images import random_image

PLAIN = Manifest(**PARSED)
RANGED = Manifest(**{**PARSED, "snr_range": (2.0, 100.0), "gfactor_range": (0.5, 6.0)})


def scene(snr: float, shape=(2, 48, 40), seed=0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """clean, noisy and g-map: an object with a phase, on air."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[1]), np.linspace(-1, 1, shape[2]), indexing="ij")
    clean = np.broadcast_to(snr * (x**2 + y**2 < 0.5) * np.exp(1j * x), shape).astype(np.complex64)
    gmap = np.broadcast_to(1 + np.exp(-4 * (x**2 + y**2)), shape).astype(np.float32)
    return clean, clean + gmap * random_image(shape, seed), gmap


@pytest.mark.parametrize("snr", [0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 500.0])
def test_no_sound_denoiser_is_refused(snr) -> None:
    for seed in range(20):
        for shape in ((1, 6, 5), (2, 48, 40)):
            clean, noisy, gmap = scene(snr, shape, seed)
            check_input(PLAIN, noisy, gmap)
            check_output(PLAIN, noisy, gmap, noisy)  # nothing taken off
            check_output(PLAIN, noisy, gmap, clean)  # all of the noise
            check_output(PLAIN, noisy, gmap, 0.5 * (clean + noisy))
            signal = np.abs(clean) ** 2
            check_output(PLAIN, noisy, gmap, (signal / (signal + 2 * gmap**2) * noisy).astype(np.complex64))


def test_even_the_wiener_filter_of_a_random_texture_is_not_refused() -> None:
    """White signal in white noise, which a Wiener filter scales down as a whole: more is lost of no other image."""
    rng = np.random.default_rng(0)
    for snr in np.geomspace(0.03, 30, 40):
        noise, texture = random_image((1, 64, 64)), snr * random_image((1, 64, 64), int(rng.integers(1000)) + 1)
        noisy = (texture + noise).astype(np.complex64)
        wiener = (snr**2 / (1 + snr**2) * noisy).astype(np.complex64)
        check_output(PLAIN, noisy, np.ones(noisy.shape, np.float32), wiener)


FAULTS = {
    "nan": (lambda x: x * np.float32("nan"), ", in frame 0, with NaN or infinite pixels"),
    "nothing": (lambda x: 0 * x, r"with 0 times the image's energy; expected at least 0\.\d+, as its signal has"),
    "percent": (lambda x: x * 100, "with 1e\\+04 times the image's energy; expected at most 1.2[5-9]"),
    "faint": (lambda x: x / 100, "with 0.0001 times the image's energy; expected at least"),
    "turned": (lambda x: -x, r"with a mean [\d.]+ off the image's, [\d.]+; expected at most"),
    "swapped": (lambda x: x.imag + 1j * x.real, r"with a mean [\d.]+ off"),
    "offset": (lambda x: x - 0.8 * x.mean(), r"with a mean [\d.]+ off"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_gross_faults_are_refused_with_what_was_found_and_expected(fault) -> None:
    spoil, match = FAULTS[fault]
    _, noisy, gmap = scene(20.0)
    with pytest.raises(ModelError, match=f"model tiny answered.*{match}"):
        check_output(PLAIN, noisy, gmap, spoil(noisy).astype(np.complex64))


def test_a_little_where_the_image_is_zero_is_no_fault() -> None:
    zeros, gmap = np.zeros((1, 48, 40), np.complex64), np.ones((1, 48, 40), np.float32)
    check_output(PLAIN, zeros, gmap, zeros + np.complex64(0.2))
    with pytest.raises(ModelError, match="with infinitely many times the image's energy"):
        check_output(PLAIN, zeros, gmap, zeros + np.complex64(1))
    assert np.abs(load_model("snraware_unet2d").denoise(zeros, gmap)).max() < 0.5  # noise SDs


def test_one_frame_of_many_that_is_spoilt_is_found() -> None:
    _, noisy, gmap = scene(20.0, (8, 48, 40))
    denoised = noisy.copy()
    denoised[5] = 0
    with pytest.raises(ModelError, match="answered, in frame 5, with 0 times the image's energy"):
        check_output(PLAIN, noisy, gmap, denoised)


@pytest.mark.parametrize(
    ("snr", "g", "match"),
    [
        (50, 1.0, ""),
        (0, 1.0, ""),  # noise alone
        (190, 1.0, ""),  # within twice the range
        (50000, 1.0, r"the brightest SNR is \S+; expected what it was trained on, 2 to 100, or within 2 times of it"),
        (50, 100.0, r"the g-map's median to 99th percentile is \S+ to \S+; expected what it was trained on, 0.5 to 6"),
        (50, 0.01, "the (brightest SNR|g-map)"),
    ],
)
def test_an_input_far_from_what_the_model_was_trained_on_is_refused(snr, g, match) -> None:
    _, noisy, gmap = scene(snr)
    gmap = gmap * np.float32(g)
    if not match:
        check_input(RANGED, noisy, gmap)
    else:
        with pytest.raises(ModelError, match=f"model tiny: {match}"):
            check_input(RANGED, noisy if g == 1 else noisy * np.float32(g), gmap)
    check_input(PLAIN, noisy, gmap)  # a manifest that tells no range takes all


def test_images_in_arbitrary_units_are_below_the_trained_range() -> None:
    _, noisy, gmap = scene(20.0)
    with pytest.raises(ModelError, match="the brightest SNR is 0.0"):
        check_input(RANGED, noisy * np.float32(1e-3), gmap)
    check_input(RANGED, 0 * noisy, gmap)  # an empty slice
    trained_on_much = Manifest(**{**PARSED, "snr_range": (20.0, 100.0)})
    check_input(trained_on_much, gmap * random_image(gmap.shape), gmap)  # noise alone


def test_images_that_are_not_finite_or_do_not_fit_their_gmap_are_refused() -> None:
    _, noisy, gmap = scene(20.0)
    broken, hole = noisy.copy(), gmap.copy()
    broken[0, 3, 4], hole[1, 2, 3] = np.inf, np.nan
    for image, g, what in ((broken, gmap, "image"), (noisy, hole, "g-map")):
        with pytest.raises(ModelError, match=f"model tiny: the {what} holds NaN or infinite pixels"):
            check_input(PLAIN, image, g)
    with pytest.raises(ModelError, match=r"shapes \(2, 48, 40\) and \(1, 48, 40\); expected one shape"):
        check_input(PLAIN, noisy, gmap[:1])


def test_a_model_is_held_against_its_nets(install) -> None:
    _, noisy, gmap = scene(20.0)
    install(halving_model(10.0))
    with pytest.raises(ModelError, match="model tiny answered, in frame 0, with 100 times the image's energy"):
        load_model("tiny").denoise(noisy, gmap)
    install(name="ranged", snr_range=[1, 5])
    with pytest.raises(ModelError, match=r"model ranged: the brightest SNR is \S+; .*, 1 to 5, or within 2 times"):
        load_model("ranged").denoise(noisy, gmap)
