"""The average of a network's weights: close at first, slow later, the same when it goes on."""

import copy

import torch
from torch import nn

from snrtrain.run.average import Average


def changed(network: nn.Linear, by: float) -> nn.Linear:
    with torch.no_grad():
        network.weight.add_(by)
    return network


def test_the_average_follows_closely_first_and_slowly_later():
    network = nn.Linear(2, 1)
    average = Average(network, 0.9)
    changed(network, 1)
    average.follow()
    assert torch.equal(average.module.weight, network.weight), "nothing of the untrained weights"
    before = network.weight.detach().clone()
    changed(network, 1)
    average.follow()
    assert torch.allclose(average.module.weight, before + 9 / 12)  # keeps 3 / 12
    average.n = 10_000
    before = average.module.weight.clone()
    average.follow()
    assert torch.allclose(average.module.weight, 0.9 * before + 0.1 * network.weight)
    assert not average.module.weight.requires_grad and network.weight.requires_grad


def test_a_restored_average_goes_on_bit_for_bit():
    torch.manual_seed(0)
    network, weights = nn.Linear(3, 2), torch.randn(8, 2, 3)

    def follow(average: Average, some: torch.Tensor) -> None:
        for weight in some:
            with torch.no_grad():
                network.weight.copy_(weight)
            average.follow()

    average, resumed = Average(network, 0.5), Average(network, 0.5)
    follow(average, weights[:4])
    resumed.module.load_state_dict(copy.deepcopy(average.module.state_dict()))
    resumed.n = 4
    follow(average, weights[4:])
    follow(resumed, weights[4:])
    assert torch.equal(average.module.weight, resumed.module.weight)


def test_buffers_are_the_networks_own():
    network = nn.BatchNorm1d(2)
    average = Average(network, 0.9)
    network(torch.randn(5, 2, generator=torch.Generator().manual_seed(0)))
    average.follow()
    assert torch.equal(average.module.running_mean, network.running_mean) and not average.module.training
