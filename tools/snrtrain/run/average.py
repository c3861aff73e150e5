"""The exponential moving average of a network's weights: what is validated and exported."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """The average of a network, torch's, in its `module` a copy that nothing trains.

    decay: share of the average kept at each step, once the run is long. At first the average follows closely, or it
    would remember the untrained weights: after n steps it keeps min(decay, (2 + n) / (11 + n)) of itself. A run that
    goes on sets `n_averaged` to its step; the weights are all else that is to be kept.
    """

    def follow(means: Sequence[Tensor], weights: Sequence[Tensor], n_averaged: Tensor | int) -> None:
        n = int(n_averaged)
        get_ema_multi_avg_fn(min(decay, (2 + n) / (11 + n)))(means, weights, n_averaged)

    average = AveragedModel(network, multi_avg_fn=follow)
    average.module.requires_grad_(False).eval()
    return average
