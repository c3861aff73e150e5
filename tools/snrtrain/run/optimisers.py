"""Optimisers by name, and the learning rate's schedule."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
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
        return torch.optim.AdamW(parameters, recipe.learning_rate, fused=True, **shared)
    if recipe.optimiser == "muon":
        return Muon(parameters, recipe.learning_rate, **shared)
    raise ConfigurationError(f"optimiser is {recipe.optimiser!r}; expected {', '.join(OPTIMISERS)}")


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak learning rate, one cycle: linear up to `warmup`, then a cosine to zero; both from 0 to 1."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))


@dataclass(frozen=True)
class Course:
    """Where a run is in the cycle of the learning rate.

    since: step at which a run that had ended, or was to, got the number of steps that it has; 0: always. at, progress:
    the step at which the number of steps was last fitted to the time, and the share of the cycle that lay behind it.
    """

    since: int = 0
    at: int = 0
    progress: float = 0.0

    def passed(self, step: int, n_steps: int) -> float:
        """The share of the cycle that lies behind a step: from `progress` on in a straight line to 1."""
        return self.progress + (1 - self.progress) * (step - self.at) / max(n_steps - self.at, 1)

    def rate(self, step: int, n_steps: int, warmup: float) -> float:
        """Share of the peak learning rate at a step of a run of `n_steps`.

        The cycle of a lengthened run is laid over the new number of steps, as if it had had it from its start; after
        `since` the rate climbs to that cycle in a straight line, over as many steps as the cycle's own warm-up has.
        Without it the rate of a run that had come to its end would jump from 0 to half of its peak.
        """
        rate, ramp = schedule(self.passed(step, n_steps), warmup), warmup * n_steps
        return rate * min(1.0, (step - self.since) / ramp) if self.since and ramp else rate
