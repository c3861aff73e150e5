import pytest
import torch

from snrstream.errors import ScanError
from snrstream.recon.compression import compressed, compression_matrix, kept_share

from .simulation import noisy_kspace, white_noise


def test_rows_are_orthonormal_and_white_noise_stays_white() -> None:
    kspace = noisy_kspace(12, (1, 24, 20), snr=50)
    matrix = compression_matrix(kspace, 5)
    assert torch.allclose(matrix @ matrix.mH, torch.eye(5, dtype=torch.complex64), atol=1e-6)
    noise = compressed(matrix, white_noise(torch.Generator().manual_seed(1), 12, 100_000))
    covariance = noise @ noise.mH / noise.shape[1]
    # Entries of a covariance of 100,000 samples of variance 2 have an SD of 2 / sqrt(100,000) = 0.006.
    assert torch.allclose(covariance, 2 * torch.eye(5, dtype=torch.complex64), atol=0.03)


def test_the_leading_channels_hold_what_the_singular_values_say() -> None:
    kspace = noisy_kspace(12, (1, 24, 20), snr=50)
    energy = torch.linalg.svdvals(kspace.flatten(1)).square()
    for n in (1, 4, 12):
        share = kept_share(compression_matrix(kspace, n), kspace)
        assert share == pytest.approx(float(energy[:n].sum() / energy.sum()), abs=1e-5)


def test_more_virtual_channels_than_channels() -> None:
    with pytest.raises(ScanError, match="scan has 4 channels; 5 virtual ones were asked for"):
        compression_matrix(noisy_kspace(4, (1, 8, 8), snr=10), 5)
