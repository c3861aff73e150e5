"""How far a network sees: which pixels of its input have a say in one of its output."""

import dataclasses

import torch
from torch import Tensor, nn

from snrtrain.networks import PARTS, build, divisor
from snrtrain.recipe import Recipe

LENGTHS = (128, 256, 512, 1024)  # of the strips on which it is looked for


def receptive_field(recipe: Recipe) -> tuple[int, int, int]:
    """`(T, H, W)` in pixels, 0 where it is all of the input or more than 512.

    Measured on a network of the same build but narrow, with weights that hide nothing: all are positive and so is its
    input, so that no ReLU is shut and no two ways cancel out. The gradient of one pixel of the output is then 0 only
    where no way leads to. Resampling makes it differ from pixel to pixel; the widest counts, taken as symmetric.
    """
    network = _open(recipe)
    height, width = (_along(network, recipe, axis, divisor(recipe)) for axis in (-2, -1))
    if recipe.inputs == "magnitude_slices":
        return recipe.n_frames, height, width
    return 1 if recipe.frames == "none" else _along(network, recipe, -3, 1), height, width


def _along(network: nn.Module, recipe: Recipe, axis: int, step: int) -> int:
    """axis: -3, -2 or -1, T, H or W. step: after which the network repeats."""
    for length in LENGTHS:
        centre = length // 2
        reaches = [_reach(network, recipe, axis, length, centre + phase) for phase in range(step)]
        if max(reaches) < centre - step:  # none has come to an end of the strip
            return 2 * max(reaches) + 1
    return 0


def _reach(network: nn.Module, recipe: Recipe, axis: int, length: int, at: int) -> int:
    """The distance of the furthest pixel that has a say in pixel `at` of a strip."""
    x = _input(recipe, axis, length).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x).transpose(axis, -1)[..., at].sum(), x)
    seen = gradient.transpose(axis, -1).flatten(0, -2).ne(0).any(dim=0).nonzero()
    return int((seen - at).abs().max())


def _input(recipe: Recipe, axis: int, length: int) -> Tensor:
    """1e-3 everywhere, where nothing saturates; g is 1."""
    shape = [1, 1, 2 * divisor(recipe), 2 * divisor(recipe)]
    if recipe.inputs == "magnitude_slices":
        shape[1] = recipe.n_frames
        shape[axis] = length
        # Where all are alike an instance norm gives 0, and shuts what follows.
        return 1e-3 * (1 + torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    shape.insert(1, PARTS[recipe.inputs] + 1)
    shape[axis] = length
    x = torch.full(shape, 1e-3, dtype=torch.float64)
    x[:, -1] = 1
    return x


def _open(recipe: Recipe) -> nn.Module:
    network = build(dataclasses.replace(recipe, widths=(4,) * len(recipe.widths))).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            # A mean over what comes in: values keep their size.
            parameter.fill_(1 / parameter[0].numel() if parameter.dim() > 1 else 0.01)
    return network.requires_grad_(False)
