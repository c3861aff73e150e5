"""Muon: momentum whose matrices are made orthogonal (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

It is not torch's own (torch.optim.Muon of 2.13) for two reasons: that takes matrices only and refuses the kernels of
convolutions and all biases, and it orthogonalises in bfloat16, which most CPUs do not have.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the authors' quintic iteration
N_ITERATIONS = 5
MATCHED_RMS = 0.2  # of AdamW's usual step: Liu et al. 2025 (arXiv 2502.16982), equation 4


class Muon(torch.optim.Optimizer):
    """`m = b m + g;  w -= lr (0.2 sqrt(max(rows, columns)) orthogonal(g + b m) + decay w)`, b = `momentum`.

    A convolution's weight is a matrix of one row per output channel. What has one dimension (biases, norms) takes
    AdamW's step with `betas` and `eps`. The factor 0.2 sqrt(...) gives matrices the RMS of AdamW's steps, so that both
    share lr.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95,
                 betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8,
                 weight_decay: float = 0.0) -> None:  # fmt: skip
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Of a run that was begun when eps was no setting, too."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("eps", self.defaults["eps"])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - there is no line search
        """Move all weights that have a gradient. closure: torch's; it is never called."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                step = self._matrix_step if weight.ndim > 1 else self._adam_step
                change = step(weight, weight.grad, group)
                weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change, alpha=group["lr"])

    def _matrix_step(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"].mul_(group["momentum"]).add_(gradient)
        matrix = orthogonal((gradient + group["momentum"] * momentum).flatten(1))
        scale: float = MATCHED_RMS * max(matrix.shape) ** 0.5
        return (scale * matrix).reshape(weight.shape)

    def _adam_step(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state, (b1, b2) = self.state[weight], group["betas"]
        if not state:
            state.update(step=0, mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
        state["step"] += 1
        mean: Tensor = state["mean"].lerp_(gradient, 1 - b1)
        square: Tensor = state["square"].lerp_(gradient.square(), 1 - b2)
        mean, square = mean / (1 - b1 ** state["step"]), square / (1 - b2 ** state["step"])
        step: Tensor = mean / (square.sqrt() + group["eps"])
        return step


def orthogonal(matrix: Tensor) -> Tensor:
    """`U V'` of a matrix `U S V'`, nearly: a Newton-Schulz iteration takes singular values to 0.7 ... 1.2."""
    a, b, c = COEFFICIENTS
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-12)
    for _ in range(N_ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
