import pytest
import torch

from snrstream.recon.fft import to_image, to_kspace
from snrstream.recon.kspace_filter import filtered, gaussian, hanning
from snrstream.recon.spectrum import Spectrum

from .replicas import MOST_SPREAD, Reconstruction, lag_1
from .simulation import Shape, white_noise


@pytest.mark.parametrize("n", [1, 2, 15, 16])
def test_windows_are_1_at_the_centre_and_even(n: int) -> None:
    for window in (gaussian(n, 0.5), gaussian(n, 1.5), hanning(n, 0.3), hanning(n, 1)):
        assert window.dtype == torch.float64 and window.shape == (n,)
        assert window[n // 2] == 1 and float(window.min()) >= 0 and float(window.max()) == 1
        inner = window[1 - n % 2 :]  # -N/2 has no opposite
        assert torch.allclose(inner, inner.flip(0))


def test_windows_have_their_known_values() -> None:
    k = torch.arange(16, dtype=torch.float64) - 8
    assert torch.allclose(gaussian(16, 1.5), torch.exp(-((k / 8) ** 2) / 4.5))
    assert torch.allclose(hanning(16, 1), 0.5 + 0.5 * torch.cos(torch.pi * k / 8))
    narrow = hanning(16, 0.25)  # from |k| = 6 to 8
    assert torch.all(narrow[2:15] == 1) and float(narrow[1]) == pytest.approx(0.5) and abs(float(narrow[0])) < 1e-15


# R divides the lines: where not, the wrapped kernel writes onto an edge line that was acquired, whose noise, counted
# in g, a filter then takes away (1.2 % of SD for 23 of 45 lines).
FILTERED = [
    # R along e1 and e2, channels, shape, weights
    ((1, 1), 8, (1, 48, 40), (None, gaussian(48, 0.8), gaussian(40, 0.5))),
    ((2, 1), 8, (1, 46, 33), (None, hanning(46, 1), None)),
    ((3, 1), 12, (1, 45, 35), (None, hanning(45, 0.5), hanning(35, 1))),
    ((4, 1), 32, (1, 48, 24), (None, gaussian(48, 0.5), None)),
    ((2, 2), 16, (20, 24, 16), (hanning(20, 0.6), gaussian(24, 1.0), None)),
]


@pytest.mark.parametrize(("r", "n_channels", "shape", "weights"), FILTERED)
def test_the_noise_is_the_g_map(r: tuple[int, int], n_channels: int, shape: Shape, weights) -> None:
    reconstruction = Reconstruction.of(r, n_channels, shape, (0, 0, 0))
    ratio = reconstruction.sd_over_g(lambda *noisy: filtered(*noisy, weights))
    print(f"SD / g {float(ratio.mean()):.4f} +- {float(ratio.std()):.4f}")
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(ratio.std()) < MOST_SPREAD


def test_a_sharp_step_of_g_is_blurred_as_the_noise_is() -> None:
    gmap = torch.ones(1, 64, 48)
    gmap[:, 32:] = 3
    weights = (None, hanning(64, 1), None)
    generator = torch.Generator().manual_seed(0)
    power = torch.zeros(gmap.shape)
    for _ in range(256):
        image, after, _ = filtered(
            gmap * white_noise(generator, *gmap.shape), gmap, Spectrum.white((1, 64, 48)), weights
        )
        power += image.abs().square()
    rows = torch.sqrt((power / 512).mean(dim=2) / after.square().mean(dim=2))
    # 2 x 256 x 48 numbers in each row: an SD of 0.5 %, of which 64 rows may reach 4.
    assert float((rows - 1).abs().max()) < 0.02
    assert float((after / gmap).max()) > 1.5  # the g-map that came in would be wrong by this beside the step


@pytest.mark.parametrize("weights", [(None, gaussian(24, 0.4), hanning(20, 1)), (hanning(12, 0.8), None, None)])
def test_the_spectrum_tells_the_correlation(weights) -> None:
    lines = torch.ones(12, 24)
    lines[:, :6] = 0
    spectrum = Spectrum.of(lines, torch.ones(20))
    measured = lag_1(lambda *noisy: filtered(*noisy, weights), spectrum)
    image = torch.ones(12, 24, 20, dtype=torch.complex64)
    predicted = filtered(image, image.real, spectrum, weights)[2].correlation
    # 64 x 5760 pixels, correlated over up to a few: an SD of 0.3 %.
    assert measured == pytest.approx(predicted, abs=0.01)


def test_the_image_is_the_convolved_one_in_the_scale_of_its_noise() -> None:
    image = white_noise(torch.Generator().manual_seed(0), 1, 16, 12)
    window = gaussian(16, 0.5)
    out, gmap, spectrum = filtered(
        image, torch.full((1, 16, 12), 2.0), Spectrum.white((1, 16, 12)), (None, window, None)
    )
    expected = to_image(to_kspace(image) * window[:, None]) / window.square().mean().sqrt()
    assert torch.allclose(out, expected.to(torch.complex64), atol=1e-5)  # single precision
    assert torch.allclose(gmap, torch.full_like(gmap, 2.0))
    assert torch.allclose(spectrum.lines[0].double(), window / window.square().mean().sqrt(), atol=1e-6)
    assert (out.dtype, gmap.dtype, spectrum.lines.dtype) == (torch.complex64, torch.float32, torch.float32)


def test_inputs_are_not_changed() -> None:
    image, gmap, spectrum = torch.ones(1, 8, 8, dtype=torch.complex64), torch.ones(1, 8, 8), Spectrum.white((1, 8, 8))
    weights = (None, gaussian(8, 0.5), hanning(8, 1))
    inputs = [image, gmap, spectrum.lines, spectrum.samples, weights[1], weights[2]]
    kept = [t.clone() for t in inputs]
    filtered(image, gmap, spectrum, weights)
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))
