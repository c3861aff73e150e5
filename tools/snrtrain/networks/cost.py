"""What a network costs."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from snrtrain.networks import PARTS, build
from snrtrain.recipe import Recipe

EDGE = 256  # pixels, of the image for which it is told


def flop(recipe: Recipe) -> int:
    """Operations for one image of `EDGE` x `EDGE`, of convolutions and matrix products.

    A multiplication and an addition are two. Nothing is computed. Raises ConfigurationError as `build`.
    """
    slices = recipe.inputs == "magnitude_slices"
    shape = (1, recipe.n_frames) if slices else (1, PARTS[recipe.inputs] + 1, 1)
    with torch.device("meta"):
        network, x = build(recipe), torch.empty(*shape, EDGE, EDGE)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x)
    return int(counter.get_total_flops())
