"""The exponential moving average of a network's weights: what is validated and exported."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """network: a copy that nothing trains. decay: share of the average kept at each step, once the run is long."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take the weights of step 1, 2, ... in. At first the average follows closely, or it would remember the
        untrained weights: it keeps min(decay, (1 + step) / (10 + step)) of itself."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(weight, 1 - keep)

    def state_dict(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)
