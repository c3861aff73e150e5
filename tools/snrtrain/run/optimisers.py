"""Optimisers by name, and the learning rate's schedule."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from snrstream.errors import ConfigurationError
from snrtrain.recipe import Recipe
from snrtrain.run.muon import Muon

OPTIMISERS = ("adamw", "muon")


def build(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that a recipe names, with its learning_rate, betas, epsilon and weight_decay.

    Raises ConfigurationError where the name is unknown.
    """
    shared: dict[str, Any] = {"betas": recipe.betas, "eps": recipe.epsilon, "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(parameters, recipe.learning_rate, **shared)
    if recipe.optimiser == "muon":
        return Muon(parameters, recipe.learning_rate, **shared)
    raise ConfigurationError(f"optimiser is {recipe.optimiser!r}; expected {', '.join(OPTIMISERS)}")


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak learning rate, one cycle: linear up to `warmup`, then a cosine to zero; both from 0 to 1."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))


def lengthened_schedule(step: int, n_steps: int, warmup: float, since: int) -> float:
    """The same of a run of `n_steps`, whose number of steps was another one up to step `since` (0: never).

    The cycle is laid over the new number of steps, as if the run had had it from its start; after the change the rate
    climbs to that cycle in a straight line, over as many steps as the cycle's own warm-up has. Without it the rate of a
    run that had come to its end would jump from 0 to half of its peak.
    """
    rate = schedule(step / n_steps, warmup)
    ramp = warmup * n_steps
    return rate * min(1.0, (step - since) / ramp) if since and ramp else rate
