import math

import pytest
import torch

from snrstream.recon.fft import to_image, to_kspace
from snrstream.recon.resize import resized
from snrstream.recon.spectrum import Spectrum

from .replicas import MOST_SPREAD, Reconstruction, lag_1
from .simulation import Shape, white_noise

RESIZED = [
    # R along e1 and e2, channels, shape, pixels over the field of view, pixels kept
    ((1, 1), 8, (1, 40, 32), (1, 64, 51), (1, 64, 51)),
    ((2, 1), 8, (1, 48, 33), (1, 48, 48), (1, 48, 48)),
    ((2, 1), 16, (1, 48, 40), (1, 39, 32), (1, 39, 32)),
    ((3, 1), 12, (1, 45, 35), (1, 64, 48), (1, 51, 48)),
    ((4, 1), 32, (1, 48, 24), (1, 48, 24), (1, 37, 24)),
    ((2, 2), 16, (20, 24, 16), (25, 20, 16), (22, 20, 15)),
]


@pytest.mark.parametrize(("r", "n_channels", "shape", "n_over_fov", "n_kept"), RESIZED)
def test_the_noise_is_the_g_map(
    r: tuple[int, int], n_channels: int, shape: Shape, n_over_fov: Shape, n_kept: Shape
) -> None:
    reconstruction = Reconstruction.of(r, n_channels, shape, (0, 0, 0))
    ratio = reconstruction.sd_over_g(lambda *noisy: resized(*noisy, n_over_fov, n_kept))
    print(f"SD / g {float(ratio.mean()):.4f} +- {float(ratio.std()):.4f}")
    assert ratio.shape == n_kept
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(ratio.std()) < MOST_SPREAD


@pytest.mark.parametrize(
    ("n_over_fov", "n_kept"),
    [((12, 40, 33), (12, 40, 33)), ((12, 20, 16), (12, 20, 16)), ((12, 36, 30), (10, 17, 14))],
)
def test_the_spectrum_tells_the_correlation(n_over_fov: Shape, n_kept: Shape) -> None:
    lines = torch.ones(12, 24)
    lines[:, :6] = 0
    spectrum = Spectrum.of(lines, torch.ones(20))
    measured = lag_1(lambda *noisy: resized(*noisy, n_over_fov, n_kept), spectrum)
    image = torch.ones(12, 24, 20, dtype=torch.complex64)
    _, _, after = resized(image, image.real, spectrum, n_over_fov, n_kept)
    assert (*after.lines.shape, len(after.samples)) == n_kept
    assert float(after.lines.square().mean()) == pytest.approx(1, abs=1e-5)  # single precision
    # 64 images of at least 2380 pixels, correlated over up to a few: an SD of 0.4 %.
    assert measured == pytest.approx(after.correlation, abs=0.015)


def wave(shape: Shape, k: tuple[int, int]) -> torch.Tensor:
    """A plane wave of k periods over the field of view, whose origin is pixel N // 2."""
    y, x = ((torch.arange(n, dtype=torch.float64) - n // 2) / n for n in shape[1:])
    angle = 2 * math.pi * (k[0] * y[:, None] + k[1] * x)
    return torch.polar(torch.ones_like(angle), angle)[None].to(torch.complex64)


@pytest.mark.parametrize("n_over_fov", [(1, 32, 27), (1, 41, 25), (1, 16, 15), (1, 11, 9)])
def test_a_wave_is_the_same_wave_on_other_pixels(n_over_fov: Shape) -> None:
    shape = (1, 16, 15)
    out, _, _ = resized(wave(shape, (-3, 4)), torch.ones(shape), Spectrum.white(shape), n_over_fov, n_over_fov)
    # More pixels keep the values; fewer raise them over the unit noise by the root of the larger pixel's area.
    gain = math.sqrt(math.prod(min(n / m, 1) ** -1 for n, m in zip(n_over_fov, shape, strict=True)))
    assert torch.allclose(out, gain * wave(n_over_fov, (-3, 4)), atol=1e-5)  # single precision


@pytest.mark.parametrize("larger", [(5, 30, 24), (5, 33, 25), (8, 17, 12)])
def test_up_and_down_again_gives_the_image_back(larger: Shape) -> None:
    shape = (5, 16, 11)
    image = white_noise(torch.Generator().manual_seed(0), *shape)
    gmap, spectrum = torch.full(shape, 1.5), Spectrum.white(shape)
    up = resized(image, gmap, spectrum, larger, larger)
    down, gmap_down, spectrum_down = resized(*up, shape, shape)
    assert float(torch.linalg.vector_norm(down - image) / torch.linalg.vector_norm(image)) < 1e-6
    assert torch.allclose(gmap_down, gmap)
    assert torch.allclose(spectrum_down.lines, spectrum.lines) and torch.allclose(spectrum_down.samples, torch.ones(11))


def test_the_field_of_view_is_cropped_around_its_centre() -> None:
    image = torch.zeros(1, 12, 11, dtype=torch.complex64)
    image[0, 6, 5] = 1
    gmap = 1 + image.real
    for n_kept in ((1, 6, 5), (1, 7, 6), (1, 12, 3)):
        out, g, _ = resized(image, gmap, Spectrum.white((1, 12, 11)), (1, 12, 11), n_kept)
        assert out.shape == g.shape == n_kept
        assert out[0, n_kept[1] // 2, n_kept[2] // 2] == 1 and g[0, n_kept[1] // 2, n_kept[2] // 2] == 2
        assert torch.count_nonzero(out) == 1


def test_a_sharp_step_of_g_is_interpolated_as_the_noise_is() -> None:
    """Twice the pixels: those on old ones keep their g, those between weigh their neighbours by sinc^2."""
    gmap = torch.ones(1, 32, 4)
    gmap[:, 16:] = 3
    image = torch.ones(1, 32, 4, dtype=torch.complex64)
    _, out, _ = resized(image, gmap, Spectrum.white((1, 32, 4)), (1, 64, 4), (1, 64, 4))
    assert torch.allclose(out[:, ::2], gmap)
    assert float(out[0, 31, 0]) == pytest.approx(math.sqrt((1 + 9) / 2))
    deltas = to_kspace(torch.eye(32, dtype=torch.complex128), dims=(0,))
    padded = torch.zeros(64, 32, dtype=torch.complex128)
    padded[16:48] = deltas
    response = to_image(padded, dims=(0,)) * math.sqrt(2)
    assert torch.allclose(out[0, :, 0].double(), (response.abs() ** 2 @ gmap[0, :, 0].double() ** 2).sqrt())


def test_inputs_are_not_changed_and_types_are_kept() -> None:
    image, gmap, spectrum = torch.ones(1, 8, 8, dtype=torch.complex64), torch.ones(1, 8, 8), Spectrum.white((1, 8, 8))
    inputs = [image, gmap, spectrum.lines, spectrum.samples]
    kept = [t.clone() for t in inputs]
    for n_over_fov, n_kept in (((1, 16, 6), (1, 12, 6)), ((1, 8, 8), (1, 8, 8))):
        out, g, after = resized(image, gmap, spectrum, n_over_fov, n_kept)
        assert (out.dtype, g.dtype, after.lines.dtype) == (torch.complex64, torch.float32, torch.float32)
        out.zero_(), g.zero_()
        assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))
