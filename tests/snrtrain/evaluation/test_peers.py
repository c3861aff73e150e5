"""Other people's denoisers: what they are given, and that they gain."""

import pytest
import torch

from snrtrain.evaluation import peers


def noisy_series(n: int = 12, size: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same image in all frames, its parts of either sign; noisy under a g-map of 1 to 2; the g-map."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, size)], indexing="ij")
    clean = torch.polar(10.0 * (x**2 + y**2 < 0.6) + 10, 2 * x).to(torch.complex64).repeat(n, 1, 1)
    gmap = 1.5 + 0.5 * y
    noise = torch.complex(*(torch.randn(clean.shape, generator=generator) for _ in range(2)))
    return clean, clean + gmap * noise, gmap


@pytest.mark.parametrize("name", ["MPPCA", "BM4D", "NLM", "wavelets"])
def test_each_takes_noise_off_under_its_gmap(name: str) -> None:
    pytest.importorskip("dipy" if name == "MPPCA" else "bm4d")
    clean, noisy, gmap = noisy_series(1 if name == "BM4D" else 12)  # which takes seconds even for one
    denoised = {**peers.STATIC, **peers.DYNAMIC}[name](noisy, gmap)
    before, after = ((image - clean).abs().square().mean() for image in (noisy, denoised))
    assert denoised.dtype == torch.complex64 and after < 0.5 * before


def test_demodulation_makes_an_image_of_smooth_phase_real() -> None:
    y, x = torch.meshgrid(*2 * [torch.linspace(-torch.pi, torch.pi, 65)[:-1]], indexing="ij")
    image = torch.polar(20.0 + 5 * torch.cos(3 * y), 1.5 * torch.sin(x) + torch.cos(y))
    real = (image * peers.smooth_phase(image).conj())[None]
    assert float(real.real.min()) > 14  # of 15 at least
    assert float(real.imag.abs().max()) < 1.5  # the low pass turns by what the magnitude's texture leaks
