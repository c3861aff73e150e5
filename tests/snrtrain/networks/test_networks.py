"""The networks' contracts: shapes, divisors, g-map, frames; their cost."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from snrstream.errors import ConfigurationError
from snrtrain.networks import build, divisor
from snrtrain.networks.cells import CELLS, Frames
from snrtrain.networks.whitened import WhitenedUNet
from snrtrain.run.checkpoint import load_weights
from tests.snrtrain.small_recipes import KINDS, recipe

WHITENED = ("unet2d", "cnnt", "unet3d", "magnitude")
DEFAULT = {"widths": (64, 96, 160), "depths": (1, 1, 2)}
ROUNDING = 1e-4  # sums of another order: a few float32 roundings of values near 30


def randomised(kind: str, **changes) -> nn.Module:
    """A small network with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    network = build(recipe(kind, **changes)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    return network


def scan(kind: str, n_batch: int, n_frames: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if kind == "unet25d":
        return torch.rand(n_batch, 7, height, width, generator=generator)
    n_parts = 1 if kind == "magnitude" else 2
    image = 10 * torch.randn(n_batch, n_parts, n_frames, height, width, generator=generator)
    gmap = 0.5 + torch.rand(n_batch, 1, n_frames, height, width, generator=generator)
    return torch.cat([image.abs() if n_parts == 1 else image, gmap], dim=1)


@pytest.mark.parametrize("kind", WHITENED)
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (2, 3, 40, 24), (1, 2, 64, 72)])
@torch.no_grad()
def test_shape_is_kept(kind, shape):
    n_batch, n_frames, height, width = shape
    assert divisor(recipe(kind)) == 8
    answer = randomised(kind)(scan(kind, *shape))
    assert answer.shape == (n_batch, 1 if kind == "magnitude" else 2, n_frames, height, width)


@pytest.mark.parametrize("widths", [[8, 8], [8, 8, 8], [8, 12, 16, 24]])
@torch.no_grad()
def test_sizes_are_multiples_of_the_divisor_which_follows_from_the_levels(widths):
    n_levels = len(widths)
    step = divisor(recipe("unet25d", widths=widths))
    assert step == 2 ** (n_levels - 1)
    answer = randomised("unet25d", widths=widths)(torch.rand(2, 7, 3 * step, 5 * step))
    assert answer.shape == (2, 1, 3 * step, 5 * step)
    levels = {"widths": widths, "depths": [1] * n_levels, "cells": ["conv"] * n_levels}
    step = divisor(recipe(**levels))
    assert step == 2**n_levels
    assert randomised("unet2d", **levels)(scan("unet2d", 1, 1, 3 * step, step)).shape == (1, 2, 1, 3 * step, step)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_size_off_the_divisor_is_refused(kind):
    with pytest.raises(RuntimeError):
        randomised(kind)(scan(kind, 1, 1, 64 + divisor(recipe(kind)) // 2, 64))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_an_untrained_network_returns_its_input(kind):
    x = scan(kind, 1, 3, 64, 64)
    expected = x[:, 3:4] if kind == "unet25d" else x[:, :-1]
    assert torch.allclose(build(recipe(kind))(x), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", WHITENED)
@torch.no_grad()
def test_the_change_is_bounded_by_the_noise(kind):
    network, x = randomised(kind), scan(kind, 1, 2, 64, 64)
    x[:, :-1] *= 1000
    change = (network(x) - x[:, :-1]).abs() / x[:, -1:]
    assert float(change.max()) > 1, "it does something"
    # float32 at 10^4 noise SDs resolves 10^-3 of one.
    assert float(change.max()) <= WhitenedUNet.LARGEST_RESIDUAL + 0.02
    assert bool(torch.isfinite(network(x)).all())


@pytest.mark.parametrize("kind", WHITENED)
@torch.no_grad()
def test_a_zero_in_the_gmap_stays_finite(kind):
    x = scan(kind, 1, 1, 64, 64)
    x[:, -1, :, :32] = 0
    assert bool(torch.isfinite(randomised(kind)(x)).all())


@pytest.mark.parametrize("kind", WHITENED)
@torch.no_grad()
def test_a_network_without_gmap_takes_it_for_one_whatever_is_given(kind):
    x = scan(kind, 1, 1, 64, 64)
    ones = torch.cat([x[:, :-1], torch.ones_like(x[:, -1:])], dim=1)
    blind, seeing = randomised(kind, gmap_known=False), randomised(kind)
    assert torch.equal(blind(x), blind(ones)) and torch.equal(blind(ones), seeing(ones))
    assert not torch.equal(seeing(x), seeing(ones))


@pytest.mark.parametrize("kind", ["unet2d", "magnitude"])
@torch.no_grad()
def test_folded_frames_are_independent_of_each_other_and_of_the_batch(kind):
    network, x = randomised(kind), scan(kind, 2, 3, 64, 64)
    together = network(x)
    for batch in range(2):
        for frame in range(3):
            alone = network(x[batch : batch + 1, :, frame : frame + 1])
            assert torch.allclose(together[batch, :, frame], alone[0, :, 0], atol=ROUNDING)


@pytest.mark.parametrize("kind", ["cnnt", "unet3d"])
@torch.no_grad()
def test_mixing_networks_mix_the_frames_of_a_scan_but_not_scans(kind):
    network, x = randomised(kind), scan(kind, 2, 5, 32, 32)
    together = network(x)
    assert torch.allclose(together[1:], network(x[1:]), atol=ROUNDING)
    other = x.clone()
    other[0, :2, 0] += 5
    moved = (network(other) - together).abs().amax(dim=(1, 3, 4))  # (scan, frame)
    assert float(moved[0, 1]) > 10 * ROUNDING, "the frame beside it"
    assert float(moved[1].max()) <= ROUNDING


@torch.no_grad()
def test_3d_convolutions_know_before_from_after_and_reach_as_far_as_there_are():
    network, x = randomised("unet3d"), scan("unet3d", 1, 25, 16, 16)
    other = x.clone()
    other[0, :2, 0] += 5
    moved = (network(other) - network(x)).abs().amax(dim=(0, 1, 3, 4))
    assert float(moved[11:].max()) == 0, "5 cells of 2 convolutions reach 10 frames"
    assert not torch.allclose(network(x.flip(2)), network(x).flip(2), atol=100 * ROUNDING)


@torch.no_grad()
def test_attention_knows_distances_but_no_direction():
    """Frames backwards give the answer backwards; shuffled, the shuffled answer only if distances do not count."""
    network, x = randomised("cnnt"), scan("cnnt", 1, 5, 32, 32)
    shuffled = torch.tensor([3, 0, 4, 1, 2])
    answer = network(x)
    assert torch.allclose(network(x.flip(2)), answer.flip(2), atol=ROUNDING)
    assert not torch.allclose(network(x[:, :, shuffled]), answer[:, :, shuffled], atol=10 * ROUNDING)
    for cell in network.backbone.bottom.cells:
        cell.slope.fill_(-50.0)  # softplus gives 0
    assert torch.allclose(network(x[:, :, shuffled]), network(x)[:, :, shuffled], atol=ROUNDING)


@torch.no_grad()
def test_attention_weighs_alike_frames_alike():
    """Equal frames give equal answers, those of one frame alone, where distances do not count."""
    network, one = randomised("cnnt"), scan("cnnt", 1, 1, 32, 32)
    for cell in network.backbone.bottom.cells:
        cell.slope.fill_(-50.0)
    answer = network(one.expand(-1, -1, 6, -1, -1))
    assert torch.allclose(answer, network(one).expand(-1, -1, 6, -1, -1), atol=ROUNDING)


@pytest.mark.parametrize("kind", WHITENED)
@torch.no_grad()
def test_shifting_by_the_divisor_shifts_the_output(kind):
    network, x = randomised(kind), scan(kind, 1, 2, 192, 192)
    shifted = torch.roll(x, (8, -8), dims=(-2, -1))
    inside = slice(80, 112)  # further from every edge than the receptive field
    expected = torch.roll(network(x), (8, -8), dims=(-2, -1))
    assert torch.allclose(network(shifted)[..., inside, inside], expected[..., inside, inside], atol=ROUNDING)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@torch.no_grad()
def test_slices_in_another_unit_give_the_answer_in_it(factor):
    network, x = randomised("unet25d"), scan("unet25d", 2, 1, 32, 40)
    assert float((network(x) - x[:, 3:4]).abs().max()) > 0.01, "it does something"
    assert torch.allclose(network(factor * x), factor * network(x), rtol=1e-4, atol=factor * 1e-5)
    assert float(network(torch.zeros_like(x)).abs().max()) < 1e-9


@pytest.mark.parametrize(
    ("kind", "changes", "most_gflop", "millions"),
    [
        ("unet2d", {}, 25, 1.59),
        ("cnnt", {}, 25, 3.03),
        ("magnitude", {}, 25, 1.58),
        ("unet3d", {"widths": (32, 48, 80)}, 25, 1.10),
        ("unet25d", {"widths": (32, 64, 128)}, 25, 0.47),
    ],
)
@torch.no_grad()
def test_a_frame_costs_what_the_scanner_can_afford(kind, changes, most_gflop, millions):
    """25 GFLOP a frame of 256 x 256 are about 50 ms on two cores."""
    network = build(recipe(kind, **{**DEFAULT, **changes}))
    with FlopCounterMode(display=False) as counter:
        network(scan(kind, 1, 1, 256, 256))
    assert 5e9 < counter.get_total_flops() <= most_gflop * 1e9
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("kind", WHITENED)
@torch.no_grad()
def test_a_network_that_grows_by_cells_answers_as_before(kind):
    small, grown = randomised(kind, depths=(1, 0, 2)), build(recipe(kind, depths=(1, 2, 3))).eval()
    load_weights(grown, small.state_dict(), Path("small.pt"), shallower=True)
    x = scan(kind, 2, 3, 16, 24)
    assert torch.equal(grown(x), small(x))


@pytest.mark.parametrize("changes", [{"depths": (1, 1, 1)}, {"widths": (8, 12, 12), "depths": (2, 2, 3)}])
def test_weights_of_a_deeper_or_another_network_are_refused(changes):
    weights = randomised("unet2d", depths=(1, 1, 2)).state_dict()
    with pytest.raises(ConfigurationError, match=r"checkpoint given.pt holds another network than the recipe"):
        load_weights(build(recipe("unet2d", **changes)), weights, Path("given.pt"), shallower=True)


def test_every_cell_is_the_identity_at_first_and_learns():
    for name, cell in CELLS.items():
        torch.manual_seed(0)
        cell = cell(8)
        x = torch.randn(6, 8, 5, 4)
        frames = Frames(3, torch.zeros(1), 0, [], [])
        assert torch.equal(cell(x, frames), x), name
        cell(x, frames).square().sum().backward()
        assert any(parameter.grad.any() for parameter in cell.parameters()), name


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("unet2d", {"network": "unet4d"}, "network is 'unet4d'; expected unet2d, unet3d, unet25d"),
        ("unet2d", {"cells": ["conv", "swin", "conv"]}, "cells names 'swin'; expected conv, conv3d, cnnt"),
        ("unet2d", {"cells": ["conv", "conv", "cnnt"]}, "cell cnnt mixes frames, but frames is 'none'"),
        ("unet3d", {"cells": ["conv3d", "conv", "cnnt"]}, "cells of unet3d names 'conv'; expected conv3d or cnnt"),
        ("cnnt", {"widths": [8, 8, 10]}, "width of a cnnt level is 10; expected a multiple of 4"),
        ("unet2d", {"inputs": "magnitude_slices", "method": "sn2n"}, "inputs of unet2d is 'magnitude_slices'"),
        ("unet2d", {"widths": [8, 8]}, "hold 2, 3 and 3 levels; expected as many each"),
        ("unet2d", {"widths": [8, 8, 8_000_000]}, r"widths is \[8, 8, 8000000\]; expected .* to 4096"),
        ("unet2d", {"depths": [1, 1, 10**9]}, "depths is .*; expected numbers of 0 or more, to 100"),
        ("unet2d", {"widths": [8]}, r"widths is \[8\]; expected 2 or more"),
        ("unet2d", {"depths": [1, -1, 1]}, r"depths is \[1, -1, 1\]"),
        ("unet25d", {"n_frames": 6}, "n_frames of unet25d is 6; expected an odd number"),
        ("unet25d", {"frames": "time"}, "inputs and frames of unet25d are 'magnitude_slices' and 'time'"),
    ],
)
def test_a_recipe_that_does_not_go_together_is_named(kind, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        build(recipe(kind, **changes))
