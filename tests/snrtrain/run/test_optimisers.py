"""Optimisers against their papers' formulas; the schedule."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from snrstream.errors import ConfigurationError
from snrtrain.run.muon import Muon, orthogonal
from snrtrain.run.optimisers import OPTIMISERS, Course, build, schedule

CURVATURES = torch.tensor([1e-2, 1.0, 1e2])


def settings(name: str, **changes: Any) -> SimpleNamespace:
    return SimpleNamespace(
        **{"optimiser": name, "learning_rate": 0.05, "betas": (0.9, 0.99), "epsilon": 1e-8, "weight_decay": 0.0}
        | changes
    )


def descend(optimiser: torch.optim.Optimizer, weight: nn.Parameter, steps: range) -> None:
    """Minimise `sum(CURVATURES * weight^2) / 2`."""
    n_steps = 600
    for step in steps:
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * schedule(step / n_steps, 0.05)
        optimiser.zero_grad()
        (0.5 * CURVATURES * weight.square()).sum().backward()
        optimiser.step()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_badly_scaled_quadratic_is_minimised(name):
    weight = nn.Parameter(torch.tensor([3.0, -2.0, 1.0]))
    descend(build(settings(name), [weight]), weight, range(1, 601))
    assert float(weight.detach().abs().max()) < 0.02  # less than half of a first step


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_restored_state_gives_the_same_further_steps_bit_for_bit(name):
    weight = nn.Parameter(torch.tensor([3.0, -2.0, 1.0]))
    optimiser = build(settings(name, weight_decay=0.1), [weight])
    descend(optimiser, weight, range(1, 34))
    other = nn.Parameter(weight.detach().clone())
    resumed = build(settings(name, weight_decay=0.1), [other])
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    descend(optimiser, weight, range(34, 80))
    descend(resumed, other, range(34, 80))
    assert torch.equal(weight, other)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_betas_and_epsilon_are_those_of_the_recipe(name):
    """Steps of a bias, by Adam's formula: with an epsilon this large its square root hardly counts."""
    weight = nn.Parameter(torch.zeros(3))
    optimiser = build(settings(name, betas=(0.5, 0.75), epsilon=1e6), [weight])
    gradients = [torch.tensor([4.0, -2.0, 1.0]), torch.tensor([0.0, 6.0, 3.0])]
    for gradient in gradients:
        weight.grad = gradient
        optimiser.step()
    first, second = gradients[0], (0.25 * gradients[0] + 0.5 * gradients[1]) / 0.75
    assert torch.allclose(weight * 1e6, -0.05 * (first + second), rtol=1e-4)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_state_of_a_version_without_epsilon_goes_on(name):
    weight = nn.Parameter(torch.tensor([3.0, -2.0, 1.0]))
    optimiser = build(settings(name), [weight])
    descend(optimiser, weight, range(1, 5))
    state = copy.deepcopy(optimiser.state_dict())
    if name == "muon":
        del state["param_groups"][0]["eps"]
    resumed = build(settings(name), [weight])
    resumed.load_state_dict(state)
    descend(resumed, weight, range(5, 8))
    assert resumed.param_groups[0]["eps"] == 1e-8


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


def test_an_unknown_optimiser_is_named():
    with pytest.raises(ConfigurationError, match="optimiser is 'adam'; expected adamw, muon$"):
        build(settings("adam"), [nn.Parameter(torch.zeros(1))])


def test_the_schedule_is_one_cycle():
    assert schedule(0, 0.1) == 0 and schedule(0.05, 0.1) == pytest.approx(0.5)
    assert schedule(0.1, 0.1) == 1 and schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(1, 0.1) == pytest.approx(0, abs=1e-12)
    assert schedule(0, 0) == 1 and schedule(1, 1) == 1
    shares = [schedule(step / 100, 0.1) for step in range(10, 101)]
    assert shares == sorted(shares, reverse=True)


def test_a_run_that_is_lengthened_climbs_to_the_longer_cycle_and_follows_it():
    rates = [Course(since=100).rate(step, 200, 0.1) for step in range(101, 201)]
    cycle = [schedule(step / 200, 0.1) for step in range(101, 201)]
    assert rates[0] == pytest.approx(cycle[0] / 20), "the run had ended at a rate of 0"
    assert rates[9] == pytest.approx(cycle[9] / 2), "the warm-up of 200 steps is 20"
    assert rates[19:] == cycle[19:]
    unchanged = [Course().rate(step, 200, 0.1) for step in range(1, 201)]
    assert unchanged == [schedule(step / 200, 0.1) for step in range(1, 201)]
    assert Course(since=100).rate(101, 200, 0.0) == schedule(101 / 200, 0.0), "no warm-up, no climb"


def test_a_run_that_is_fitted_to_the_time_again_goes_on_at_the_rate_that_it_has():
    first = Course()
    again = Course(at=50, progress=first.passed(50, 200))
    assert again.rate(50, 80, 0.1) == first.rate(50, 200, 0.1) == schedule(0.25, 0.1)
    assert again.passed(65, 80) == pytest.approx(0.625), "half of what was left"
    assert again.rate(80, 80, 0.1) == pytest.approx(0, abs=1e-12)
    assert Course(at=80, progress=1.0).passed(80, 80) == 1, "that was the last one"


@pytest.mark.parametrize("channels_last", [False, True])
def test_muon_moves_weights_of_one_shape_as_it_moves_each_alone(channels_last):
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3, 3, 3), (4, 3, 3, 3), (6, 4, 1, 1), (5, 9), (4, 3, 3, 3), (7,)]
    together = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    gradients = [torch.randn(shape, generator=generator) for shape in shapes]
    alone = [nn.Parameter(weight.detach().clone()) for weight in together]
    if channels_last:
        together = [nn.Parameter(w.to(memory_format=torch.channels_last) if w.ndim == 4 else w) for w in together]
    optimisers = [
        Muon(together, lr=0.1, weight_decay=0.1),
        *(Muon([weight], lr=0.1, weight_decay=0.1) for weight in alone),
    ]
    for _ in range(3):
        for weights in (together, alone):
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient.clone()
        for optimiser in optimisers:
            optimiser.step()
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(together, alone, strict=True))
    assert not channels_last or together[0].is_contiguous(memory_format=torch.channels_last)
