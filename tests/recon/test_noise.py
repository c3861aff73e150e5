import math

import pytest
import torch

from snrstream.errors import ScanError
from snrstream.recon.noise import dead_and_hot, noise_covariance, prewhitening_matrix, whitening_bias

from .simulation import white_noise


def correlated_noise(n_channels: int, n_samples: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.eye(n_channels) + 0.3 * white_noise(generator, n_channels, n_channels)
    return mix @ white_noise(generator, n_channels, n_samples), mix


def test_the_true_covariance_whitens_to_sd_1_per_part() -> None:
    noise, mix = correlated_noise(8, 200_000)
    covariance = 2 * mix.to(torch.complex128) @ mix.mH.to(torch.complex128)
    white = prewhitening_matrix(covariance, 10, 10, 1.0) @ noise
    # 200,000 samples: correlations scatter by 1/sqrt(N) = 0.22 %, five of them allowed
    parts = torch.cat([white.real, white.imag])
    assert torch.allclose(parts @ parts.T / parts.shape[1], torch.eye(16), atol=0.012)


def test_estimated_covariance_of_its_own_samples_gives_exactly_unit_power() -> None:
    noise, _ = correlated_noise(6, 500)
    white = prewhitening_matrix(noise_covariance(noise), 5, 5, 1.0) @ noise
    assert torch.allclose(white @ white.mH / 500, 2 * torch.eye(6, dtype=torch.complex64), atol=1e-4)


@pytest.mark.parametrize(
    ("scan", "noise", "bandwidth", "factor"),
    [(2.4, 20.0, 0.793, math.sqrt(2.4 / 20 * 0.793)), (20, 20, 0.93, math.sqrt(0.93)), (0, 20, 1, 1), (5, 0, 1, 1)],
)
def test_dwell_times_and_bandwidth_scale_the_matrix(scan, noise, bandwidth, factor) -> None:
    covariance = noise_covariance(correlated_noise(4, 100)[0])
    plain = prewhitening_matrix(covariance, 1, 1, 1)
    assert torch.allclose(prewhitening_matrix(covariance, scan, noise, bandwidth), factor * plain, rtol=1e-6)


def test_dead_channels_are_left_out_of_the_matrix() -> None:
    noise, _ = correlated_noise(6, 500)
    covariance = noise_covariance(torch.cat([noise[:2], 1e-5 * noise[:1], noise[2:], 0 * noise[:1]]))
    assert dead_and_hot(covariance) == ([2, 7], [])
    matrix = prewhitening_matrix(covariance, 1, 1, 1)
    live = torch.tensor([0, 1, 3, 4, 5, 6])
    assert torch.equal(matrix[live][:, live], prewhitening_matrix(noise_covariance(noise), 1, 1, 1))
    assert torch.count_nonzero(matrix[[2, 7]]) == torch.count_nonzero(matrix[:, [2, 7]]) == 0


def test_bias_of_an_estimated_covariance() -> None:
    """Fresh noise, whitened by a covariance of few samples, is too strong by the predicted factor."""
    n_channels, n_samples = 8, 80
    powers = []
    for seed in range(200):
        noise, _ = correlated_noise(n_channels, n_samples + 1000, seed)
        matrix = prewhitening_matrix(noise_covariance(noise[:, :n_samples]), 1, 1, 1)
        powers.append((matrix @ noise[:, n_samples:]).abs().square().mean() / 2)
    assert math.sqrt(torch.stack(powers).mean()) == pytest.approx(whitening_bias(n_samples, n_channels), rel=0.01)


def test_errors_name_what_is_wrong() -> None:
    noise, _ = correlated_noise(4, 100)
    with pytest.raises(ScanError, match="4 samples for 4 channels"):
        noise_covariance(noise[:, :4])
    with pytest.raises(ScanError, match="zero in all 4 channels"):
        noise_covariance(0 * noise)
    broken = noise.clone()
    broken[2, 5] = float("nan")
    with pytest.raises(ScanError, match="NaN"):
        noise_covariance(broken)
    twin = torch.cat([noise, noise[:1]])
    with pytest.raises(ScanError, match="singular"):
        prewhitening_matrix(noise_covariance(twin), 1, 1, 1)
