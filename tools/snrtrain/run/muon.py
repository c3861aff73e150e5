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
            moved = [weight for weight in group["params"] if weight.grad is not None]
            for weights, changes in (
                ([weight for weight in moved if weight.ndim > 1], self._matrix_changes),
                ([weight for weight in moved if weight.ndim <= 1], self._adam_changes),
            ):
                if weights:
                    found = changes(weights, [weight.grad for weight in weights], group)
                    torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                    torch._foreach_add_(weights, found, alpha=-group["lr"])

    def _matrix_changes(self, weights: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        momenta = [self.state[weight]["momentum"] for weight in weights]
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, gradients)
        ahead = torch._foreach_add(gradients, momenta, alpha=group["momentum"])
        matrices = [_matrix(change, weight) for change, weight in zip(ahead, weights, strict=True)]
        alike: dict[torch.Size, list[int]] = {}
        for number, matrix in enumerate(matrices):
            alike.setdefault(matrix.shape, []).append(number)
        for shape, numbers in alike.items():
            made = MATCHED_RMS * max(shape) ** 0.5 * orthogonal(torch.stack([matrices[number] for number in numbers]))
            for number, matrix in zip(numbers, made.unbind(), strict=True):
                matrices[number] = matrix
        return [_shaped(matrix, weight) for matrix, weight in zip(matrices, weights, strict=True)]

    def _adam_changes(self, weights: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        (b1, b2), states = group["betas"], [self.state[weight] for weight in weights]
        for state, weight in zip(states, weights, strict=True):
            if not state:
                state.update(step=0, mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
            state["step"] += 1
        means, squares = ([state[key] for state in states] for key in ("mean", "square"))
        torch._foreach_lerp_(means, gradients, 1 - b1)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - b2)
        roots = torch._foreach_sqrt(torch._foreach_div(squares, [1 - b2 ** state["step"] for state in states]))
        torch._foreach_add_(roots, group["eps"])
        changes = torch._foreach_div(means, [1 - b1 ** state["step"] for state in states])
        torch._foreach_div_(changes, roots)
        return list(changes)


def orthogonal(matrices: Tensor) -> Tensor:
    """`U V'` of matrices `U S V'`, nearly: a Newton-Schulz iteration takes singular values to 0.7 ... 1.2.

    matrices: `(..., rows, columns)`, each by itself.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide: Tensor = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
    for _ in range(N_ITERATIONS):
        square = wide @ wide.mT
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide.mT if tall else wide


def _matrix(change: Tensor, weight: Tensor) -> Tensor:
    """One row per output channel. Columns in the order of the weight's memory: no copy is made, and nothing changes."""
    return (change.permute(0, 2, 3, 1) if _channels_last(weight) else change).flatten(1)


def _shaped(matrix: Tensor, weight: Tensor) -> Tensor:
    """The inverse of `_matrix`."""
    if not _channels_last(weight):
        return matrix.reshape(weight.shape)
    n_out, n_in, height, width = weight.shape
    return matrix.reshape(n_out, height, width, n_in).permute(0, 3, 1, 2)


def _channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
