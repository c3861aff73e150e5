"""Optimisers by name, and the learning rate's schedule.

Lion and Sophia are a formula each; the packages that have them bring forty thousand lines along.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from snrstream.errors import ConfigurationError
from snrtrain.recipe import Recipe
from snrtrain.run.muon import Muon


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, "Symbolic discovery of optimization algorithms", algorithm 2.

    `c = b1 m + (1 - b1) g;  w -= lr (sign(c) + decay w);  m = b2 m + (1 - b2) g`. Each weight moves by lr, so that lr
    is to be 3 to 10 times smaller than AdamW's, and the decay as many times larger.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float] = (0.9, 0.99),
                 weight_decay: float = 0.0) -> None:  # fmt: skip
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            lr, (b1, b2) = group["lr"], group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = _state(self, weight, "momentum")
                direction = torch.sign(momentum.lerp(weight.grad, 1 - b1))
                weight.mul_(1 - lr * group["weight_decay"]).sub_(direction, alpha=lr)
                momentum.lerp_(weight.grad, 1 - b2)


class Sophia(torch.optim.Optimizer):
    """Sophia-G (Liu et al. 2023, "Sophia: a scalable stochastic second-order optimizer", algorithms 2 and 3).

    `m = b1 m + (1 - b1) g;  w -= lr decay w;  w -= lr clip(m / max(gamma h, eps), 1)`, and at every `every`th step
    `h = b2 h + (1 - b2) diag(J' H J)`, the Gauss-Newton part of the Hessian: J the derivative of the prediction with
    respect to the weights, H that of the loss with respect to the prediction, twice. The paper samples labels for it,
    for classes; of a regression H is known, and `probe` samples its square root:

        if optimiser.is_due(step):
            optimiser.zero_grad()
            probe(network(x), curvature, generator).backward()
            optimiser.update_hessian()
            optimiser.zero_grad()
        loss(network(x)).backward() ...

    SNRAware's released code names Sophia but never updates h: with h = 0 it is the sign of the momentum.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float] = (0.96, 0.99),
                 gamma: float = 0.05, weight_decay: float = 0.0, every: int = 10) -> None:  # fmt: skip
        super().__init__(parameters, {"lr": lr, "betas": betas, "gamma": gamma, "weight_decay": weight_decay})
        self.every = every

    def is_due(self, step: int) -> bool:
        """Whether h is to be updated before step 1, 2, ..."""
        return (step - 1) % self.every == 0

    @torch.no_grad()
    def update_hessian(self, n_processes: int = 1) -> None:
        """Take the gradients of a `probe` into h.

        n_processes: over how many the gradients have been averaged; the square of a mean is as many times too small.
        """
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    _state(self, weight, "hessian").lerp_(n_processes * weight.grad.square(), 1 - group["betas"][1])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            lr = group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = _state(self, weight, "momentum").lerp_(weight.grad, 1 - group["betas"][0])
                scale = (group["gamma"] * _state(self, weight, "hessian")).clamp(min=1e-12)
                weight.mul_(1 - lr * group["weight_decay"]).sub_((momentum / scale).clamp(-1, 1), alpha=lr)


def probe(prediction: Tensor, curvature: Tensor | float, generator: torch.Generator) -> Tensor:
    """A scalar whose gradient, squared, has the expectation diag(J' H J); see `Sophia`.

    curvature: H, diagonal, of the prediction's shape or a number; 0 or more. The mean of n squares has 2 / n; a mean
    of n terms sqrt(|d|^2 + e^2) has 1 / (n sqrt(|d|^2 + e^2)), with which the quadratic that touches it from above
    bends. generator: of random signs; on the prediction's device.
    """
    sign = torch.randint(0, 2, prediction.shape, generator=generator, device=prediction.device) * 2 - 1
    root = torch.as_tensor(curvature, dtype=prediction.dtype, device=prediction.device).detach().sqrt()
    return (prediction * root * sign).sum()


OPTIMISERS = {"adamw": torch.optim.AdamW, "muon": Muon, "lion": Lion, "sophia": Sophia}


def build(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that a recipe names, with its learning_rate and weight_decay.

    Raises ConfigurationError where the name is unknown.
    """
    if recipe.optimiser not in OPTIMISERS:
        raise ConfigurationError(f"optimiser is {recipe.optimiser!r}; expected {', '.join(OPTIMISERS)}")
    settings = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "adamw":
        settings["betas"] = (0.9, 0.99)  # short runs: 0.999 averages over more steps than their schedule allows for
    return OPTIMISERS[recipe.optimiser](parameters, **settings)


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak learning rate, one cycle: linear up to `warmup`, then a cosine to zero; both from 0 to 1."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))


def _state(optimiser: torch.optim.Optimizer, weight: Tensor, name: str) -> Tensor:
    state = optimiser.state[weight]
    if name not in state:
        state[name] = torch.zeros_like(weight)
    return state[name]
