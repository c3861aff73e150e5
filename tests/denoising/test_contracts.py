"""What goes into networks of each contract, and what becomes of their answers."""

import numpy as np
import pytest

from snrstream.denoising.contracts import mirrored
from snrstream.denoising.loaded import load_model

from .images import random_image
from .networks import Magnitude, Neighbours, torchscript

CLOSE = 1e-5  # float32, values up to 10


@pytest.mark.parametrize("shape", [(1, 13, 18), (11, 20, 70)])
@pytest.mark.parametrize("patch", [None, [1, 16, 32]])
def test_a_magnitude_network_keeps_the_originals_phase(install, shape, patch) -> None:
    overlap = patch and [0, 4, 8]
    install(torchscript(Magnitude()), format="torchscript", input="magnitude_gmap", layout="B,2,T,H,W",
            patch=patch, overlap=overlap)  # fmt: skip
    image = random_image(shape)
    image[0, 3, 4] = 0
    gmap = np.linspace(0.7, 0.9, image.size, dtype=np.float32).reshape(shape)
    denoised = load_model("tiny").denoise(image, gmap)
    assert denoised.dtype == np.complex64 and np.abs(denoised - image * gmap).max() < CLOSE


def test_a_negative_magnitude_counts_as_zero(install) -> None:
    install(torchscript(Magnitude()), format="torchscript", input="magnitude_gmap", layout="B,2,T,H,W")
    image = random_image()
    gmap = np.ones(image.shape, np.float32)
    gmap[0, :2] = -1  # the network multiplies by it
    denoised = load_model("tiny").denoise(image, gmap)
    assert not denoised[0, :2].any() and np.abs(denoised[0, 2:] - image[0, 2:]).max() < CLOSE


@pytest.mark.parametrize("scale", ["snr_units", "normalised_magnitude"])
@pytest.mark.parametrize("n_frames", [1, 2, 3, 12])
def test_neighbouring_slices_go_in_and_the_centre_one_comes_out(install, scale, n_frames) -> None:
    install(torchscript(Neighbours()), format="torchscript", input="magnitude_slices", layout="B,S,H,W",
            frames="slice", n_frames=5, scale=scale)  # fmt: skip
    image = random_image((n_frames, 13, 18))
    denoised = load_model("tiny").denoise(image, np.ones(image.shape, np.float32))
    magnitude = np.abs(image)
    padded = np.pad(magnitude, ((2, 2), (0, 0), (0, 0)), mode="reflect") if n_frames > 1 else magnitude.repeat(5, 0)
    weights = (0.1, 0.2, 0.4, 0.2, 0.1)
    expected = sum(w * padded[n : n + n_frames] for n, w in enumerate(weights)) * image / magnitude
    assert np.abs(denoised - expected).max() < CLOSE


@pytest.mark.parametrize("n_frames", [1, 5, 8, 9])
def test_a_network_of_a_fixed_number_of_frames_takes_any_number(install, n_frames) -> None:
    install(frames="time", n_frames=8)
    image = random_image((n_frames, 12, 12))
    denoised = load_model("tiny").denoise(image, np.ones(image.shape, np.float32))
    assert np.abs(denoised - 0.5 * image).max() < 1e-6


def test_a_stack_is_mirrored_about_its_outermost_frames() -> None:
    assert mirrored(range(-4, 8), 3) == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert mirrored(range(-2, 3), 1) == [0] * 5


def test_an_image_of_zeros_stays_one(install) -> None:
    install(torchscript(Neighbours()), format="torchscript", input="magnitude_slices", layout="B,S,H,W",
            frames="slice", n_frames=5, scale="normalised_magnitude")  # fmt: skip
    image = np.zeros((3, 8, 8), np.complex64)
    assert not load_model("tiny").denoise(image, np.ones(image.shape, np.float32)).any()
