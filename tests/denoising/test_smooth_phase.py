"""The phase that is taken out before a network sees an image: the object's, not the noise's."""

import numpy as np
import pytest

from snrstream.denoising.smooth_phase import smooth_phase

SHAPES = [(1, 256, 256), (2, 128, 96), (1, 320, 81)]


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def grid(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[-2:]), indexing="ij")
    return y, x


def bright(shape: tuple[int, ...]) -> np.ndarray:
    """Where an object is, well within."""
    return np.broadcast_to(np.hypot(*grid(shape)) < 0.6, shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("turns", [0.5, 2.0])
def test_it_is_that_of_the_object(shape, turns) -> None:
    """Two radians and more from the centre to the edge, as scans have it."""
    y, x = grid(shape)
    image = ((np.hypot(y, x) < 0.8) * 10 * np.exp(1j * turns * (x - 0.5 * y))).astype(np.complex64)
    phase = smooth_phase(image + noise(shape), np.ones(shape, np.float32))
    assert phase.shape == shape and phase.dtype == np.complex64 and np.allclose(np.abs(phase), 1, atol=1e-5)
    flat = (image * phase.conj())[bright(shape)]
    assert np.abs(np.angle(flat)).max() < 0.3


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_stays_as_it_is(shape) -> None:
    """Not turned towards the positive: a network would take that for signal."""
    white = noise(shape)
    turned = white * smooth_phase(white, np.ones(shape, np.float32)).conj()
    assert turned.real.mean() < 0.1, "a window of 7 x 7 gave 0.18"
    assert abs(turned.real.std() - 1) < 0.03 and abs(turned.imag.std() - 1) < 0.03


def test_noisy_pixels_have_little_say() -> None:
    """Where the g-map is 20, noise hides the phase of what lies beside it."""
    shape = 1, 128, 128
    gmap = np.ones(shape, np.float32)
    gmap[..., ::2] = 20
    image = np.full(shape, 3 * np.exp(0.5j), np.complex64)
    phase = smooth_phase(image + gmap * noise(shape), gmap)
    assert np.abs(np.angle(phase) - 0.5).max() < 0.4


def test_where_nothing_was_measured_it_is_1() -> None:
    zero = np.zeros((1, 40, 50), np.complex64)
    assert np.array_equal(smooth_phase(zero, np.zeros(zero.shape, np.float32)), zero + 1)
