"""The noise process: unit SD through every filter, and a total SD of exactly g."""

import pytest
import torch

from snrtrain.methods.noise_process import (
    GAUSSIAN_SIGMAS,
    PARTIAL_FOURIER,
    RESOLUTION,
    NoiseRange,
    draw_filter,
    draw_kspace_filter,
    gaussian_filter,
    partial_fourier_filter,
    resolution_filter,
    unit_noise,
)
from tests.snrtrain.small_recipes import recipe

SIZE = 64
N_FIELDS = 64
# The narrowest window keeps about a tenth of k-space: 64 fields hold 64 * 64^2 * 2 / 10 = 52,000 independent
# values, so the SD is known to 1 / sqrt(2 * 52,000) = 0.3 %. Five times that.
TOLERANCE = 0.015

ALL_FILTERS = (
    [pytest.param(gaussian_filter, value, id=f"gaussian-{value}") for value in GAUSSIAN_SIGMAS]
    + [pytest.param(partial_fourier_filter, value, id=f"partial-fourier-{value}") for value in PARTIAL_FOURIER]
    + [pytest.param(resolution_filter, value, id=f"resolution-{value}") for value in RESOLUTION]
)


def fields(window: torch.Tensor | None, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([unit_noise((SIZE, SIZE), window, generator) for _ in range(N_FIELDS)])


@pytest.mark.parametrize(("make", "value"), ALL_FILTERS)
def test_filtered_noise_keeps_an_sd_of_one_per_part(make, value):
    line = make(SIZE, value)
    noise = fields(line[:, None] * line[None, :])
    assert float(noise.real.std()) == pytest.approx(1, rel=TOLERANCE)
    assert float(noise.imag.std()) == pytest.approx(1, rel=TOLERANCE)


def test_gaussian_filter_is_the_papers_formula():
    window = gaussian_filter(65, 1.5)
    assert float(window[32]) == 1.0
    assert float(window[-1]) == pytest.approx(float(torch.exp(torch.tensor(-(1.5**2) / 2))))


@pytest.mark.parametrize("fraction", PARTIAL_FOURIER)
def test_partial_fourier_cuts_one_side_and_resolution_both(fraction):
    kept = round(fraction * SIZE)
    one, both = partial_fourier_filter(SIZE, fraction), resolution_filter(SIZE, fraction)
    assert int((one > 0).sum()) == int((both > 0).sum()) == kept
    assert bool((one[: kept // 2] == 1).all()) and float(both[SIZE // 2]) == 1
    if fraction < 1:
        assert float(one[-1]) == float(both[0]) == float(both[-1]) == 0


def test_filters_are_drawn_independently_per_direction():
    generator = torch.Generator().manual_seed(3)
    windows = [draw_kspace_filter((SIZE, SIZE), NoiseRange(p_white=0.0), generator) for _ in range(20)]
    assert any(not torch.equal(window[SIZE // 2], window[:, SIZE // 2]) for window in windows)
    assert draw_kspace_filter((SIZE, SIZE), NoiseRange(p_white=1.0), generator) is None


def test_a_recipe_says_how_often_each_filter_comes():
    assert NoiseRange.of(recipe()) == NoiseRange()
    chosen = recipe(sigma_max=3.0, p_white=0.0, p_gaussian=0.1, p_partial_fourier=0.2, p_resolution=0.3)
    assert NoiseRange.of(chosen) == NoiseRange(3.0, 0.0, 0.1, 0.2, 0.3)


@pytest.mark.parametrize("name", ["p_gaussian", "p_partial_fourier", "p_resolution"])
def test_a_filter_that_never_comes_leaves_the_others_alone(name):
    """None of the three: no filter at all; one alone: its own windows, and at a probability of 1 in each draw."""
    generator = torch.Generator().manual_seed(2)
    none = dict.fromkeys(("p_gaussian", "p_partial_fourier", "p_resolution"), 0.0)
    assert torch.equal(draw_filter(SIZE, NoiseRange(**none), generator), torch.ones(SIZE))
    windows = {
        "p_gaussian": [gaussian_filter(SIZE, value) for value in GAUSSIAN_SIGMAS],
        "p_partial_fourier": [partial_fourier_filter(SIZE, value) for value in PARTIAL_FOURIER],
        "p_resolution": [resolution_filter(SIZE, value) for value in RESOLUTION],
    }[name]
    drawn = [draw_filter(SIZE, NoiseRange(**(none | {name: 1.0})), generator) for _ in range(40)]
    found = {next(n for n, w in enumerate(windows) if torch.equal(w, d) or torch.equal(w.flip(0), d)) for d in drawn}
    assert found == set(range(len(windows)))


def test_a_seed_fixes_the_noise():
    assert torch.equal(fields(None, seed=9), fields(None, seed=9))
