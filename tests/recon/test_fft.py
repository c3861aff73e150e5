import math

import pytest
import torch

from snrstream.recon.fft import acquired_share, centred_slice, gridded_readouts, to_image, to_kspace

SIZES = [(8, 8), (7, 9), (6, 5), (1, 4)]


def random_complex(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SIZES)
def test_round_trip_and_unitarity(shape: tuple[int, int]) -> None:
    x, y = random_complex(3, *shape), random_complex(3, *shape, seed=1)
    assert torch.allclose(to_kspace(to_image(x)), x, atol=1e-12)
    assert torch.allclose(to_image(to_kspace(x)), x, atol=1e-12)
    # <F x, y> = <x, F^H y>, and the inverse of a unitary transform is its adjoint
    assert torch.allclose(torch.vdot(to_image(x).ravel(), y.ravel()), torch.vdot(x.ravel(), to_kspace(y).ravel()))


@pytest.mark.parametrize("n", [8, 7])
def test_against_the_dense_transform_with_its_centre_at_half(n: int) -> None:
    k = torch.arange(n, dtype=torch.float64) - n // 2
    dense = torch.exp(2j * math.pi * torch.outer(k, k) / n) / math.sqrt(n)
    x = random_complex(n)
    assert torch.allclose(to_image(x, dims=(-1,)), dense @ x, atol=1e-12)


@pytest.mark.parametrize(("size", "within"), [(4, 8), (5, 8), (4, 9), (5, 9), (1, 5)])
def test_centred_slice_keeps_the_centre(size: int, within: int) -> None:
    chosen = list(range(within))[centred_slice(size, within)]
    assert len(chosen) == size
    assert chosen[size // 2] == within // 2


@pytest.mark.parametrize(("size", "n_samples"), [(16, 8), (16, 7), (15, 8), (15, 7), (9, 9), (8, 8)])
def test_removing_oversampling_keeps_the_central_pixels(size: int, n_samples: int) -> None:
    kspace = random_complex(2, 3, size)
    before = kspace.clone()
    cropped = to_image(gridded_readouts(kspace, size // 2, size, n_samples), dims=(-1,))
    assert torch.allclose(cropped, to_image(kspace, dims=(-1,))[..., centred_slice(n_samples, size)], atol=1e-12)
    assert torch.equal(kspace, before)


@pytest.mark.parametrize(("size", "n_pixels"), [(16, 8), (15, 8), (16, 16), (15, 7)])
@pytest.mark.parametrize(("missing_before", "missing_after"), [(3, 0), (0, 4), (2, 2), (0, 0)])
def test_short_readouts_are_full_ones_with_zeros(
    size: int, n_pixels: int, missing_before: int, missing_after: int
) -> None:
    full = random_complex(2, 3, size)
    full[..., :missing_before] = 0
    full[..., size - missing_after :] = 0
    short = full[..., missing_before : size - missing_after]
    gridded = gridded_readouts(short, size // 2 - missing_before, size, n_pixels)
    assert torch.allclose(gridded, gridded_readouts(full, size // 2, size, n_pixels), atol=1e-12)
    share = acquired_share(short.shape[-1], size // 2 - missing_before, size, n_pixels)
    # Of k-space's ends, half a sample of the grid may lie beyond it, where the field of view was cropped.
    assert float(share.mean()) == pytest.approx(short.shape[-1] / size, abs=0.51 / n_pixels)
    if n_pixels == size:
        assert torch.equal(share > 0, (full != 0).all(dim=0).all(dim=0))


def test_removing_oversampling_keeps_the_noise() -> None:
    # 32,000 samples: the SD of an SD estimate is 1/sqrt(4 * 32000) = 0.3 %
    assert float(gridded_readouts(random_complex(1, 1000, 64), 32, 64, 32).std()) == pytest.approx(1.0, rel=0.012)
