"""Local means survive a network; noise is not given back."""

import numpy as np
import pytest

from snrstream.denoising.local_means import keep_local_means

SHAPES = [(1, 256, 256), (2, 97, 130), (1, 40, 64)]


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("g", [1.0, 5.0])
def test_a_shade_that_a_network_adds_is_taken_away(shape, g) -> None:
    """A tenth of the noise SD, which no eye tells from noise in one pixel, stands out in the mean of many."""
    clean, gmap = np.full(shape, 3j, np.complex64), np.full(shape, g, np.float32)
    shade = 0.5 * g * np.exp(-(((np.arange(shape[-1]) - shape[-1] / 2) / 20) ** 2))
    mended = keep_local_means(clean + gmap * noise(shape), clean - shade.astype(np.complex64), gmap)
    assert np.abs(mended - clean).mean() < 0.35 * shade.mean()


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_that_was_taken_off_stays_off(shape) -> None:
    clean, gmap = np.full(shape, 10, np.complex64), np.full(shape, 2, np.float32)
    mended = keep_local_means(clean + gmap * noise(shape), clean, gmap)
    assert np.sqrt(np.mean(np.abs(mended - clean) ** 2)) < 0.05 * 2 * 2**0.5, "5 % of the noise"


def test_where_nothing_was_measured_nothing_is_added() -> None:
    zero, gmap = np.zeros((1, 30, 30), np.complex64), np.zeros((1, 30, 30), np.float32)
    assert not keep_local_means(zero, zero, gmap).any()
