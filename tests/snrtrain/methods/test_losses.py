"""The losses against their formulas."""

import numpy as np
import pytest
import torch

from snrtrain.methods.losses import charbonnier, gradient_l1, perpendicular


def channels(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([values.real, values.imag], axis=1)).float()


def test_perpendicular_loss_is_its_formula():
    rng = np.random.default_rng(0)
    x, y = (20 * np.exp(1j * rng.uniform(0, 2 * np.pi, (4, 6, 5))) * rng.uniform(1, 3, (4, 6, 5)) for _ in range(2))
    p = np.abs(x.real * y.imag - x.imag * y.real) / np.abs(x)
    angle = np.angle(x * y.conj())
    expected = np.where(np.abs(angle) < np.pi / 2, p, 2 * np.abs(y) - p).mean()
    # The floor of 0.01 under |X|^2 >= 400 changes P by 1.3e-5.
    assert float(perpendicular(channels(x), channels(y))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("turn", "expected"), [(0, 0.0), (90, 10.0), (180, 20.0), (270, 10.0)])
def test_perpendicular_loss_grows_with_the_angle(turn, expected):
    y = np.full((1, 2, 2), 10 + 0j)
    x = y * np.exp(1j * np.deg2rad(turn))
    assert float(perpendicular(channels(x), channels(y))) == pytest.approx(expected, abs=0.01)


def test_perpendicular_loss_has_finite_gradients_at_zero():
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    perpendicular(x, torch.ones(1, 2, 3, 3)).backward()
    assert bool(torch.isfinite(x.grad).all())


def test_charbonnier_is_zero_at_the_target_and_the_distance_far_from_it():
    target = torch.zeros(2, 2, 4, 4)
    far = torch.zeros(2, 2, 4, 4)
    far[:, 0], far[:, 1] = 300.0, 400.0
    assert float(charbonnier(target, target, 0.5)) == 0
    assert float(charbonnier(far, target, 0.5)) == pytest.approx(500 - 0.5, abs=1e-3)


def test_gradient_loss_ignores_a_constant_and_counts_a_step():
    target = torch.zeros(1, 2, 4, 4)
    step = target.clone()
    step[..., 2:] = 3.0
    assert float(gradient_l1(target + 7, target)) == 0
    assert float(gradient_l1(step, target)) == pytest.approx(1.0)  # one of three differences along a row is 3
