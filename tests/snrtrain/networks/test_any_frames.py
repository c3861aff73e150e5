"""One network for single images, series and stacks: what it remembers, how far it looks, what it grows from."""

from pathlib import Path

import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain.networks import build, remembered
from snrtrain.run.checkpoint import load_weights
from tests.snrtrain.networks.test_networks import ROUNDING, randomised, scan
from tests.snrtrain.small_recipes import recipe

WINDOW = 4
ALL, CAUSAL = torch.zeros(1), torch.ones(1)
ALONE = {"cells": ("conv", "conv", "cnnt"), "depths": (1, 1, 1)}  # one cell that attends


def nothing(n_batch: int, height: int, width: int, **changes) -> list[torch.Tensor]:
    """A past of no frames."""
    return [torch.zeros(n_batch, 0, c, height // d, width // d) for c, d in remembered(recipe("any", **changes))]


@pytest.mark.parametrize("at_once", [1, 2, 3])
@torch.no_grad()
def test_a_stream_gets_the_images_of_the_whole_series(at_once):
    network, x = randomised("any"), scan("any", 2, 9, 16, 24)
    whole, _ = network.remembering(x, CAUSAL, nothing(2, 16, 24))
    past, streamed = nothing(2, 16, 24), []
    for frames in x.split(at_once, dim=2):
        answer, present = network.remembering(frames, CAUSAL, past)
        streamed.append(answer)
        past = [torch.cat(both, dim=1)[:, 1 - WINDOW :] for both in zip(past, present, strict=True)]
    assert torch.allclose(torch.cat(streamed, dim=2), whole, atol=ROUNDING)
    assert torch.equal(network(x, CAUSAL), whole), "with nothing to remember"
    assert not torch.allclose(network(x), whole, atol=100 * ROUNDING), "which is another answer than that to all frames"


def test_what_is_remembered_is_told_cell_by_cell():
    network, x = randomised("any"), scan("any", 2, 3, 16, 24)
    assert remembered(recipe("any")) == [(16, 4), (16, 8), (16, 4)], "down, at the bottom, up"
    _, present = network.remembering(x, ALL, nothing(2, 16, 24))
    expected = [(2, 3, c, 16 // d, 24 // d) for c, d in remembered(recipe("any"))]
    assert [part.shape for part in present] == expected
    assert remembered(recipe("cnnt")) == []


@pytest.mark.parametrize("causal", [ALL, CAUSAL])
@torch.no_grad()
def test_attention_looks_as_far_as_its_window_and_forward_only_if_it_may(causal):
    network, x = randomised("any", **ALONE), scan("any", 1, 12, 16, 16)
    other = x.clone()
    other[:, :2, 6] += 5
    moved = (network(other, causal) - network(x, causal)).abs().amax(dim=(0, 1, 3, 4))
    seen = range(6 if causal is CAUSAL else 6 - WINDOW + 1, 6 + WINDOW)
    for frame in range(12):
        assert (float(moved[frame]) > 0) == (frame in seen), frame


@torch.no_grad()
def test_one_frame_alone_is_the_same_causal_or_not():
    network, x = randomised("any"), scan("any", 1, 1, 16, 16)
    assert torch.equal(network(x, CAUSAL), network(x))


@pytest.mark.parametrize("cells", [("conv", "conv", "cnnt"), ("conv", "conv", "conv+cnnt"), ("conv", "cnnt", "cnnt")])
@torch.no_grad()
def test_a_network_of_single_images_becomes_one_for_any_frames_with_its_own_answer(cells):
    """The layout is that of the deeper single-image network: widths 64, 96, 160, depths 2, 2, 4, divided by 8."""
    sizes = {"widths": (8, 12, 20), "depths": (2, 2, 4)}
    alone, grown = randomised("unet2d", **sizes), build(recipe("any", cells=cells, **sizes)).eval()
    load_weights(grown, alone.state_dict(), Path("alone.pt"), shallower=True)
    x = scan("any", 2, 5, 16, 24)
    for causal in (ALL, CAUSAL):
        assert torch.allclose(grown(x, causal), alone(x), atol=ROUNDING / 10)
    with pytest.raises(ConfigurationError, match="holds another network"):
        load_weights(grown, alone.state_dict(), Path("alone.pt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": ("conv", "conv", "conv")}, "expected cnnt in one, for frames is 'any'"),
        ({"cells": ("conv", "conv", "conv+cnnt"), "depths": (1, 1, 0)}, "expected cnnt in one"),
        ({"cells": ("conv", "conv3d", "cnnt")}, "cells names 'conv3d', but frames is 'any'"),
        ({"cells": ("conv", "conv", "conv+cnnt+conv")}, "expected one kind, or two"),
        ({"cells": ("conv", "conv", "conv+swin")}, "cells names 'swin'"),
        ({"cells": ("conv", "conv", "conv+")}, "cells names ''"),
        ({"window": 1}, "setting window is 1; expected 2 or more"),
        ({"p_causal": 1.5}, "setting p_causal is 1.5; expected 0 to 1"),
        ({"frames": "time"}, "setting window is 4; expected 0, unless frames is any"),
        ({"frames": "time", "window": 0}, "setting p_causal is 0.5; expected 0, unless frames is any"),
    ],
)
def test_a_recipe_for_any_frames_that_does_not_go_together_is_named(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        build(recipe("any", **changes))
