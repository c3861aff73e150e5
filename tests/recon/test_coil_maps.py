"""Coil maps by batched products, as a GPU has them, are those of the processor's loop."""

import pytest
import torch

from snrstream.recon import batched_coil_maps, coil_maps
from snrstream.recon.fft import to_image

from .simulation import noisy_kspace


def batched(images: torch.Tensor, window: int, step: int) -> torch.Tensor:
    found = batched_coil_maps.leading_vectors(images, window, step, coil_maps.N_ITERATIONS)
    return batched_coil_maps.interpolated(found, step, tuple(images.shape[1:]))


@pytest.mark.parametrize(
    ("shape", "window", "step"), [((1, 40, 32), 7, 1), ((1, 41, 33), 7, 2), ((3, 30, 27), 5, 3), ((2, 9, 8), 1, 16)]
)
def test_batched_maps_are_those_of_the_loop(shape, window, step, monkeypatch) -> None:
    images = to_image(noisy_kspace(8, shape, snr=30), dims=(1, 2, 3))
    images[..., :9, :9] = 0  # pixels without any signal
    images[..., 9:12, :] *= 1e-15  # the squares of whose squares single precision has not
    expected = coil_maps.inati(images, window, step)
    assert torch.allclose(batched(images, window, step), expected, atol=3e-6)
    monkeypatch.setattr(batched_coil_maps, "MOST_BYTES", 1)  # a row at a time
    assert torch.allclose(batched(images, window, step), expected, atol=3e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("step", [1, 2])
def test_maps_of_images_on_a_gpu_are_made_there(step) -> None:
    images = to_image(noisy_kspace(8, (1, 64, 48), snr=30), dims=(1, 2, 3))
    found = coil_maps.inati(images.cuda(), 7, step)
    assert found.is_cuda and torch.allclose(found.cpu(), coil_maps.inati(images, 7, step), atol=1e-5)
