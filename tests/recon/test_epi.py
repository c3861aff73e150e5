"""The trajectory of a readout, its operator, and what differs between the directions."""

import math

import numpy as np
import pytest
import torch

from snrstream.recon.epi import Readout, Trapezoid
from snrstream.recon.fft import to_kspace
from snrstream.recon.ghost import image_phase, linear_phase, navigator_phase
from tests.epi_scans import DWELL_US, Epi
from tests.scans import random_complex

N = 64
MOST_OFF = 1e-3  # of the sampling interval: the steps of the integral that is added up


def readout(sequence: Epi, is_reversed: bool = False) -> Readout:
    trapezoid = Trapezoid(sequence.ramp_us, sequence.flat_us, sequence.ramp_us, DWELL_US) if sequence.ramp_us else None
    n = sequence.n_samples
    return Readout(n, sequence.n, n, n - 1 - n // 2 if is_reversed else n // 2, trapezoid=trapezoid)


@pytest.mark.parametrize("late", [0.0, 0.7, -3.0])
def test_positions_are_the_area_under_the_gradient(late: float) -> None:
    sequence = Epi(late=late)
    assert np.allclose(readout(sequence).positions(late), sequence.k(False), atol=MOST_OFF)


def test_ramps_of_different_length() -> None:
    trapezoid = Trapezoid(200.0, 300.0, 50.0, 2.0)
    t = np.arange(550) + 0.5
    gradient = np.minimum(1, np.minimum(t / 200, (550 - t) / 50))
    area = np.interp(15 + 2 * (np.arange(260) + 0.5), t + 0.5, np.cumsum(gradient))
    low, high = np.interp([15, 535], t + 0.5, np.cumsum(gradient))
    assert np.allclose(trapezoid.positions(260), (area - gradient.sum() / 2) / (high - low), atol=1e-4)


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("sequence", [Epi(), Epi(ramp_us=160.0), Epi(n=65, n_samples=90), Epi(ramp_us=0.0)], ids=str)
def test_the_operator_finds_points(sequence: Epi, is_reversed: bool) -> None:
    """Each at its place with its phase; what lies beside the field of view folds in no more than by plain cropping."""
    perfect = Epi(n=sequence.n, n_samples=sequence.n_samples, ramp_us=sequence.ramp_us, late=0.0)
    operator = readout(perfect, is_reversed).operator(is_reversed)
    n, k = sequence.n, perfect.k(is_reversed)
    places = np.arange(n) - n // 2
    points = operator @ np.exp(-2j * np.pi / n * np.outer(k, places))
    points /= np.abs(points.diagonal()).mean()
    assert np.allclose(points, np.eye(n), atol=1e-3)
    if sequence.n_samples == 2 * n:
        inside, beside = (operator @ np.exp(-2j * np.pi * k * x) for x in (0.1, 0.62))
        assert np.square(np.abs(beside[5:-5])).sum() < 0.01 * np.square(np.abs(inside)).sum()


@pytest.mark.parametrize("sequence", [Epi(), Epi(ramp_us=160.0), Epi(ramp_us=0.0)], ids=str)
def test_noise_is_as_sample_sd_has_it(sequence: Epi) -> None:
    """Of the same power in all pixels; uncorrelated along k, but for neighbours at its ends."""
    made = readout(sequence)
    sd = made.sample_sd.numpy()
    fourier = to_kspace(torch.eye(N, dtype=torch.complex128), dims=(0,)).numpy()
    covariance = np.mean(
        [matrix @ matrix.conj().T for matrix in (fourier @ made.operator(r) for r in (False, True))], axis=0
    )
    assert np.allclose(np.sqrt(covariance.diagonal().real), sd, rtol=1e-4)
    correlation = np.abs(covariance / np.outer(sd, sd) - np.eye(N))
    assert correlation[2:-2, 2:-2].max() < 0.06
    for is_reversed in (False, True):
        power = np.square(np.abs(made.operator(is_reversed))).sum(axis=1)
        assert np.allclose(power, 1, atol=0.01)


def test_the_phase_of_noisy_values() -> None:
    x = np.arange(N) - N // 2
    weight = np.exp(-((x / 15) ** 2)) * 1000
    noise = random_complex(N).astype(complex)
    for intercept, slope in ((0.4, 0.2), (-3.0, -0.3), (3.1, 1.0)):
        found = linear_phase(weight * np.exp(1j * (intercept + slope * x)) + noise)
        assert math.remainder(found[0] - intercept, 2 * math.pi) == pytest.approx(0, abs=1e-3)
        assert found[1] == pytest.approx(slope, abs=2e-4)


@pytest.mark.parametrize("directions", ["+-+", "-+-", "+-", "-+", "+-+-+", "++-+"])
def test_the_phase_between_navigators(directions: str) -> None:
    """Drift is told from it where one lies between two others."""
    is_reversed = [sign == "-" for sign in directions]
    drift = 0.4 if len(directions) > 2 else 0.0
    x = np.arange(N)[:, None] - N // 2
    pixels = random_complex(N, 4)
    navigators = [
        pixels * np.exp(1j * ((-0.5 if r else 0.5) * (1.2 + 0.1 * x) + drift * p)) for p, r in enumerate(is_reversed)
    ]
    assert navigator_phase(navigators, is_reversed) == pytest.approx((1.2, 0.1, 1.0), abs=1e-6)
    for dark in range(len(directions)):  # one of noise alone
        noise = [random_complex(N, 4, seed=9) if p == dark else line for p, line in enumerate(navigators)]
        found = navigator_phase(noise, is_reversed)
        assert len(directions) > 3 or (found is not None and found[2] < 0.3)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_navigators_that_tell_nothing(value: float) -> None:
    assert navigator_phase([np.full((N, 2), value, complex)] * 3, [False, True, False]) is None
    assert navigator_phase([random_complex(N, 2)] * 3, [True, True, True]) is None


def test_the_phase_of_an_image() -> None:
    """Also where the lines of either direction come in pairs, as those of two shots do."""
    image, coils = Epi().object_and_coils()
    kspace = np.fft.fft(np.fft.ifftshift(image * coils, axes=1), axis=1).transpose(1, 0, 2) + random_complex(N, 6, N)
    x = np.arange(N) - N // 2
    for is_reversed in (np.arange(N) % 2 == 1, np.arange(N) // 2 % 2 == 1):
        turn = np.exp(1j * np.where(is_reversed, -0.5, 0.5)[:, None] * (0.9 - 0.06 * x))
        found = image_phase(kspace * turn[:, None], np.arange(N), is_reversed, N)
        assert found == pytest.approx((0.9, -0.06), abs=0.05)
