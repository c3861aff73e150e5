"""The exponential moving average of a network's weights: what is validated and exported."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """The average of a network, in its `module` a copy that nothing trains.

    decay: share of the average kept at each step, once the run is long. At first the average follows closely, or it
    would remember the untrained weights: after n steps it keeps min(decay, (2 + n) / (11 + n)) of itself. A run that
    goes on sets `n` to its step; the weights are all else that is to be kept.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module, self.n = copy.deepcopy(network).requires_grad_(False).eval(), 0
        self._decay = decay
        self._means: list[Tensor] = list(self.module.parameters())
        self._weights: list[Tensor] = list(network.parameters())
        self._buffers = list(zip(self.module.buffers(), network.buffers(), strict=True))

    @torch.no_grad()
    def follow(self) -> None:
        """Take in the network's weights as they are now; its buffers as they are."""
        if self.n:
            kept = min(self._decay, (2 + self.n) / (11 + self.n))
            torch._foreach_lerp_(self._means, self._weights, 1 - kept)
        else:
            torch._foreach_copy_(self._means, self._weights)
        for ours, theirs in self._buffers:
            ours.copy_(theirs)
        self.n += 1
