"""The average of a network's weights: close at first, slow later, the same when it goes on."""

import copy

import torch
from torch import nn

from snrtrain.run.average import averaged


def changed(network: nn.Linear, by: float) -> nn.Linear:
    with torch.no_grad():
        network.weight.add_(by)
    return network


def test_the_average_follows_closely_first_and_slowly_later():
    network = nn.Linear(2, 1)
    average = averaged(network, 0.9)
    average.update_parameters(changed(network, 1))
    assert torch.equal(average.module.weight, network.weight), "nothing of the untrained weights"
    before = network.weight.detach().clone()
    average.update_parameters(changed(network, 1))
    assert torch.allclose(average.module.weight, before + 9 / 12)  # keeps 3 / 12
    average.n_averaged.fill_(10_000)
    before = average.module.weight.clone()
    average.update_parameters(network)
    assert torch.allclose(average.module.weight, 0.9 * before + 0.1 * network.weight)
    assert not average.module.weight.requires_grad and network.weight.requires_grad


def test_a_restored_average_goes_on_bit_for_bit():
    torch.manual_seed(0)
    networks = [nn.Linear(3, 2) for _ in range(8)]
    average, resumed = averaged(networks[0], 0.5), averaged(nn.Linear(3, 2), 0.5)
    for network in networks[:4]:
        average.update_parameters(network)
    resumed.module.load_state_dict(copy.deepcopy(average.module.state_dict()))
    resumed.n_averaged.fill_(4)
    for network in networks[4:]:
        average.update_parameters(network)
        resumed.update_parameters(network)
    assert torch.equal(average.module.weight, resumed.module.weight)
