"""Dynamic series: motion that moves and does not fold, contrast that follows its curves."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from snrtrain.simulation import dynamic
from snrtrain.simulation.phantom import shepp_logan

SEEDS = range(12)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.polar(shepp_logan(80), torch.full((80, 80), 0.3))


def test_a_whole_pixel_shift_is_a_roll(image):
    frames = image.numpy()[None].repeat(2, axis=0)
    displacement = np.zeros((2, 2, 80, 80))
    displacement[1, 0], displacement[1, 1] = 3, -2
    moved = dynamic.moved(frames, displacement)
    # Cubic splines pass through their samples, but for the rounding of float64.
    assert np.allclose(moved[0], frames[0], atol=1e-6)
    assert np.allclose(moved[1], np.roll(frames[1], (-3, 2), axis=(0, 1)), atol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_motion_folds_tissue(seed):
    field = dynamic.draw_displacement((10, 60, 48), np.random.default_rng(seed))
    assert field.shape == (10, 2, 60, 48)
    (yy, yx), (xy, xx) = (np.gradient(field[:, part], axis=(1, 2)) for part in (0, 1))
    jacobian = (1 + yy) * (1 + xx) - yx * xy
    assert float(jacobian.min()) > 0.05
    assert float(np.abs(np.diff(field, axis=0)).max()) > 0.05  # pixels, from one frame to the next


def test_breathing_returns_after_its_period():
    time = np.arange(24)
    course = dynamic.breathing(time, 6.0, 0.2, 2)
    assert np.allclose(course[6:], course[:-6]) and -1 <= course.min() < -0.5 < 0.5 < course.max() <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_every_course_stays_within_bounds_and_moves(seed):
    course = dynamic.draw_course(12, np.random.default_rng(seed))
    assert course.shape == (12,) and np.abs(course).max() <= 1 and np.ptp(course) > 0.3


def test_memberships_sum_to_one(image):
    parts = dynamic.memberships(image.abs().numpy(), 4, np.random.default_rng(0))
    assert np.allclose(parts.sum(axis=0), 1) and parts.min() >= 0
    assert (parts.max(axis=(1, 2)) > 0).sum() >= 2  # the phantom is of several classes


def test_a_pixel_wholly_of_one_class_follows_its_curve():
    magnitude = np.zeros((40, 40))
    magnitude[10:30, 10:30] = 2.0  # brighter than every level: the last class
    curves = dynamic.draw_curves(9, 3, np.random.default_rng(1))
    factor = dynamic.contrast(magnitude, curves, np.random.default_rng(2))
    assert np.allclose(factor[:, 20, 20], curves[2], atol=1e-6)
    assert np.allclose(factor[:, 0, 0], curves[0], atol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_curves_differ_between_classes_and_change_over_time(seed):
    curves = dynamic.draw_curves(10, 5, np.random.default_rng(seed))
    assert curves.shape == (5, 10) and np.abs(curves).max() == pytest.approx(1)
    assert np.ptp(curves, axis=1).max() > 0.1 and np.ptp(curves, axis=0).max() > 0.05


def test_all_kinds_of_curves_are_drawn_and_inversion_starts_negative():
    curves = [dynamic.draw_curves(10, 4, np.random.default_rng(seed)) for seed in range(40)]
    negative = [c for c in curves if c.min() < 0]
    assert 5 < len(negative) < 25
    for c in negative:
        assert (c[:, 0] < 0).all() and (np.diff(c, axis=1) >= 0).all()  # magnetisation recovers
    assert any((np.diff(c, axis=1) < 0).all() for c in curves)  # echoes decay


def test_a_series_comes_from_its_seed_and_keeps_air_dark(image):
    first, second = (dynamic.draw_series(image, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(first, second) and first.dtype == torch.complex64
    assert not torch.equal(first, dynamic.draw_series(image, np.random.default_rng(8)))
    air = ~ndimage.binary_dilation(image.abs().numpy() > 0, iterations=12)
    # Splines ring at the edge by a few percent and no further than a few pixels.
    assert float(first.abs().numpy()[:, air].max()) < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_of_a_series_differ_and_stay_bounded(image, seed):
    series = dynamic.draw_series(image, np.random.default_rng(seed))
    assert dynamic.FEWEST_FRAMES <= len(series) <= dynamic.MOST_FRAMES
    spread = float(series.abs().std(dim=0).max())
    assert spread > 0.05 and float(series.abs().max()) < 1.5
