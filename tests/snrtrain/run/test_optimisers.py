"""Optimisers against their papers' formulas; the average; the schedule."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from snrstream.errors import ConfigurationError
from snrtrain.run.average import Average
from snrtrain.run.muon import Muon, orthogonal
from snrtrain.run.optimisers import OPTIMISERS, Lion, Sophia, build, probe, schedule

CURVATURES = torch.tensor([1e-2, 1.0, 1e2])


def settings(name: str, learning_rate: float = 0.05, weight_decay: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(optimiser=name, learning_rate=learning_rate, weight_decay=weight_decay)


def descend(optimiser: torch.optim.Optimizer, weight: nn.Parameter, steps: range, generator: torch.Generator) -> None:
    """Minimise `sum(CURVATURES * weight^2) / 2`: the square of a linear prediction of the weights."""
    n_steps = 600
    for step in steps:
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * schedule(step / n_steps, 0.05)
        if isinstance(optimiser, Sophia) and optimiser.is_due(step):
            optimiser.zero_grad()
            probe(CURVATURES.sqrt() * weight, 1.0, generator).backward()
            optimiser.update_hessian()
        optimiser.zero_grad()
        (0.5 * CURVATURES * weight.square()).sum().backward()
        optimiser.step()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_badly_scaled_quadratic_is_minimised(name):
    weight = nn.Parameter(torch.tensor([3.0, -2.0, 1.0]))
    descend(build(settings(name), [weight]), weight, range(1, 601), torch.Generator().manual_seed(0))
    assert float(weight.detach().abs().max()) < 0.02  # less than half of a first step


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_restored_state_gives_the_same_further_steps_bit_for_bit(name):
    weight = nn.Parameter(torch.tensor([3.0, -2.0, 1.0]))
    optimiser, generator = build(settings(name, weight_decay=0.1), [weight]), torch.Generator().manual_seed(0)
    descend(optimiser, weight, range(1, 34), generator)
    other = nn.Parameter(weight.detach().clone())
    resumed = build(settings(name, weight_decay=0.1), [other])
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    again = torch.Generator()
    again.set_state(generator.get_state())
    descend(optimiser, weight, range(34, 80), generator)
    descend(resumed, other, range(34, 80), again)
    assert torch.equal(weight, other)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (1, 30)])
def test_orthogonal_evens_out_the_singular_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.logspace(-1, 1, shape[1])
    )
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    made = u.mT @ orthogonal(matrix) @ v.mT  # diagonal in the singular vectors of the matrix
    assert float(made.diagonal().min()) > 0.6 and float(made.diagonal().max()) < 1.25
    assert float((made - torch.diag(made.diagonal())).abs().max()) < 1e-4
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_muons_step_has_the_size_of_adams_for_matrices_and_is_adams_for_vectors():
    generator = torch.Generator().manual_seed(0)
    kernel, bias = nn.Parameter(torch.zeros(64, 64, 3, 3)), nn.Parameter(torch.zeros(64))
    optimiser = Muon([kernel, bias], lr=0.1)
    kernel.grad = 1e-3 * torch.randn(kernel.shape, generator=generator)
    bias.grad = 1e-3 * torch.randn(bias.shape, generator=generator)
    optimiser.step()
    assert float(kernel.detach().square().mean().sqrt()) == pytest.approx(0.1 * 0.2, rel=0.3)
    assert torch.allclose(bias, -0.1 * torch.sign(bias.grad), atol=1e-4)
    twin = nn.Parameter(torch.zeros(64))
    adam = torch.optim.AdamW([twin], lr=0.1, betas=(0.9, 0.99), weight_decay=0.0)
    twin.grad = bias.grad
    adam.step()
    for _ in range(3):
        bias.grad = twin.grad = torch.randn(64, generator=generator)
        optimiser.step()
        adam.step()
    assert torch.allclose(bias, twin, atol=1e-6)


def test_muons_momentum_is_nesterovs_and_the_decay_is_apart():
    gradients = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    weight = nn.Parameter(torch.ones(3, 5))
    optimiser = Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.5)
    for gradient in gradients:
        weight.grad, before = gradient, weight.detach().clone()
        optimiser.step()
    direction = gradients[1] + 0.9 * (gradients[1] + 0.9 * gradients[0])
    assert torch.allclose(weight, 0.95 * before - 0.1 * 0.2 * 5**0.5 * orthogonal(direction), atol=1e-6)


def test_lions_step_is_the_papers():
    weight = nn.Parameter(torch.tensor([1.0, 2.0, -3.0]))
    optimiser = Lion([weight], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5)
    weight.grad = torch.tensor([2.0, -4.0, 0.0])
    optimiser.step()
    # sign(0.1 g) = 1, -1, 0; the decay takes 0.05 of each weight; m = 0.01 g.
    assert torch.allclose(weight, torch.tensor([1 - 0.1 - 0.05, 2 + 0.1 - 0.1, -3 + 0.15]))
    weight.grad = torch.tensor([-0.1, 10.0, 1.0])
    before = weight.detach().clone()
    optimiser.step()
    # 0.9 m + 0.1 g = 0.018 - 0.01, -0.036 + 1, 0.1: the momentum outweighs the first gradient.
    expected = before - 0.1 * (torch.tensor([1.0, 1.0, 1.0]) + 0.5 * before)
    assert torch.allclose(weight, expected)
    assert torch.allclose(optimiser.state[weight]["momentum"], torch.tensor([0.0188, 0.0604, 0.01]))


def test_sophias_step_is_newtons_where_that_is_short_and_clipped_where_it_is_not():
    weight = nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    optimiser = Sophia([weight], lr=0.1, betas=(0.9, 0.99), gamma=0.05, weight_decay=0.5)
    weight.grad = torch.tensor([10.0, 1.0, 0.0])
    optimiser.update_hessian()  # h = 0.01 g^2 = 1, 0.01, 0
    weight.grad = torch.tensor([0.2, -3.0, 1e-9])
    optimiser.step()
    # m / (gamma h) = 0.02 / 0.05; -0.3 / 0.0005, clipped; 1e-10 / 1e-12, clipped: the sign of the momentum.
    assert torch.allclose(weight, torch.tensor([0.95 - 0.04, 0.95 + 0.1, 0.95 - 0.1]))


def test_without_its_hessian_sophia_is_the_sign_of_the_momentum():
    weight = nn.Parameter(torch.zeros(4))
    optimiser = Sophia([weight], lr=0.01)
    weight.grad = torch.tensor([1e-6, -1e-6, 1e3, -1e3])
    optimiser.step()
    assert torch.allclose(weight, -0.01 * torch.sign(weight.grad))
    assert [step for step in range(1, 25) if optimiser.is_due(step)] == [1, 11, 21]


def test_the_probes_squared_gradient_is_the_gauss_newton_diagonal():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(40, 5, generator=generator)
    curvature = torch.rand(40, generator=generator)
    weight = nn.Parameter(torch.zeros(5))

    def squared() -> Tensor:
        (gradient,) = torch.autograd.grad(probe(matrix @ weight, curvature, generator), weight)
        return gradient.square()

    n_draws = 2000
    mean = torch.stack([squared() for _ in range(n_draws)]).mean(dim=0)
    expected = (matrix.square() * curvature[:, None]).sum(dim=0)
    # A square of nearly normal numbers has an SD of 1.4 means: 3.2 % of the mean of 2000, four of which are 13 %.
    assert torch.allclose(mean, expected, rtol=0.13)


def test_processes_that_average_their_gradients_give_the_same_hessian_in_the_mean():
    generator = torch.Generator().manual_seed(0)

    def mean_hessian(n_processes: int) -> float:
        weight = nn.Parameter(torch.zeros(4000))
        weight.grad = torch.randn(n_processes, 4000, generator=generator).mean(dim=0)
        optimiser = Sophia([weight], lr=0.1, betas=(0.9, 0.0))  # h is the last estimate
        optimiser.update_hessian(n_processes)
        return float(optimiser.state[weight]["hessian"].mean())

    # 4000 squares of an SD of 1.4: 2.2 % of their mean.
    assert mean_hessian(1) == pytest.approx(1, rel=0.1) and mean_hessian(4) == pytest.approx(1, rel=0.1)


def test_an_unknown_optimiser_is_named():
    with pytest.raises(ConfigurationError, match="optimiser is 'adam'; expected adamw, muon, lion, sophia"):
        build(settings("adam"), [nn.Parameter(torch.zeros(1))])


def test_the_schedule_is_one_cycle():
    assert schedule(0, 0.1) == 0 and schedule(0.05, 0.1) == pytest.approx(0.5)
    assert schedule(0.1, 0.1) == 1 and schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(1, 0.1) == pytest.approx(0, abs=1e-12)
    assert schedule(0, 0) == 1 and schedule(1, 1) == 1
    shares = [schedule(step / 100, 0.1) for step in range(10, 101)]
    assert shares == sorted(shares, reverse=True)


def test_the_average_follows_closely_first_and_slowly_later():
    network = nn.Linear(2, 1)
    average = Average(network, 0.9)
    start = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.add_(1)
    average.update(network, 1)
    assert torch.allclose(average.network.weight, start + 9 / 11)  # keeps 2 / 11 of the start
    before = average.network.weight.clone()
    average.update(network, 10_000)
    assert torch.allclose(average.network.weight, 0.9 * before + 0.1 * network.weight)
    assert not average.network.weight.requires_grad


def test_a_restored_average_goes_on_bit_for_bit():
    torch.manual_seed(0)
    networks = [nn.Linear(3, 2) for _ in range(8)]
    average, resumed = Average(networks[0], 0.5), Average(nn.Linear(3, 2), 0.5)
    for step, network in enumerate(networks[:4], 1):
        average.update(network, step)
    resumed.load_state_dict(copy.deepcopy(average.state_dict()))
    for step, network in enumerate(networks[4:], 5):
        average.update(network, step)
        resumed.update(network, step)
    assert torch.equal(average.network.weight, resumed.network.weight)
