"""The network's contract: shapes, divisor, g-map, frames."""

import pytest
import torch

from tools.training.network import DIVISOR, LARGEST_RESIDUAL, UNet


@pytest.fixture
def network() -> UNet:
    """A small network with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    network = UNet((8, 8, 8), (1, 1, 1)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    return network


def scan(n_batch: int, n_frames: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    image = 10 * torch.randn(n_batch, 2, n_frames, height, width, generator=generator)
    gmap = 0.5 + torch.rand(n_batch, 1, n_frames, height, width, generator=generator)
    return torch.cat([image, gmap], dim=1)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (2, 3, 40, 24), (1, 2, 64, 72)])
@torch.no_grad()
def test_shape_is_kept(network, shape):
    n_batch, n_frames, height, width = shape
    assert network(scan(*shape)).shape == (n_batch, 2, n_frames, height, width)


@torch.no_grad()
def test_a_size_off_the_divisor_is_refused(network):
    with pytest.raises(RuntimeError):
        network(scan(1, 1, 64 + DIVISOR // 2, 64))


@torch.no_grad()
def test_an_untrained_network_returns_its_input():
    x = scan(1, 1, 64, 64)
    assert torch.allclose(UNet((8, 8, 8), (1, 1, 1))(x), x[:, :2], rtol=1e-6, atol=1e-5)


@torch.no_grad()
def test_the_change_is_bounded_by_the_noise(network):
    x = scan(1, 2, 64, 64)
    x[:, :2] *= 1000
    change = (network(x) - x[:, :2]).abs() / x[:, 2:]
    # float32 at 10^4 noise SDs resolves 10^-3 of one.
    assert float(change.max()) <= LARGEST_RESIDUAL + 0.02
    assert bool(torch.isfinite(network(x)).all())


@torch.no_grad()
def test_a_zero_in_the_gmap_stays_finite(network):
    x = scan(1, 1, 64, 64)
    x[:, 2, :, :32] = 0
    assert bool(torch.isfinite(network(x)).all())


@torch.no_grad()
def test_frames_are_independent_of_each_other_and_of_the_batch(network):
    x = scan(2, 3, 64, 64)
    together = network(x)
    for batch in range(2):
        for frame in range(3):
            alone = network(x[batch : batch + 1, :, frame : frame + 1])
            # Sums of another batch size may be ordered otherwise: a few float32 roundings of values near 30.
            assert torch.allclose(together[batch, :, frame], alone[0, :, 0], atol=1e-4)


@torch.no_grad()
def test_shifting_by_the_divisor_shifts_the_output(network):
    x = scan(1, 1, 192, 192)
    shifted = torch.roll(x, (DIVISOR, -DIVISOR), dims=(-2, -1))
    inside = slice(80, 112)  # further from every edge than the receptive field
    expected = torch.roll(network(x), (DIVISOR, -DIVISOR), dims=(-2, -1))
    assert torch.allclose(network(shifted)[..., inside, inside], expected[..., inside, inside], atol=1e-4)
