"""A run fits into its time, by a clock that the test turns."""

import itertools

import pytest

from snrstream.errors import ConfigurationError
from snrtrain.run.pace import MARGIN, MOST_VALIDATIONS, SHARE_BETWEEN_LOOKS, Pace


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def started(minutes: float, set_up: float = 0.0, validation: float = 2.0, export: float = 10.0) -> tuple[Pace, Clock]:
    clock = Clock()
    pace = Pace(minutes, clock)
    clock.now += set_up
    pace.validation, pace.export = validation, export
    return pace, clock


def simulated(pace: Pace, clock: Clock, step_seconds, first_guess: float) -> tuple[float, int, int]:
    """Seconds after which the run is over, its export included; its steps; how often they were fitted anew."""
    begun, (n_steps, every) = clock.now, pace.plan(first_guess)
    pace.begin(0)
    n_fitted = 0
    for step in itertools.count(1):
        clock.now += step_seconds(clock.now - begun)
        if step >= n_steps or step % every == 0:
            clock.now += 2.0
            pace.validated(2.0)
        if step >= n_steps:
            break
        fitted = pace.fitted(step, n_steps, every)
        n_fitted, n_steps = n_fitted + (fitted != n_steps), fitted
    clock.now += 10.0
    return clock.now - begun, n_steps, n_fitted


def test_steps_validations_and_export_fill_the_time():
    pace, _ = started(10, set_up=60)
    n_steps, every = pace.plan(0.1)
    n_validations = -(-n_steps // every)
    spent = 60 + 0.1 * n_steps + 2.0 * (n_validations - 1) + MARGIN * (2 + 10)
    assert spent == pytest.approx(600, abs=0.11)
    assert 2.0 * n_validations <= 0.06 * 540, "validations take a share of the time"


def test_a_short_run_is_validated_once_and_a_long_one_not_too_often():
    assert started(1, validation=20)[0].plan(0.1)[1] == started(1, validation=20)[0].plan(0.1)[0]
    n_steps, every = started(600)[0].plan(0.01)
    assert -(-n_steps // every) == MOST_VALIDATIONS


def test_a_time_that_is_too_short_is_told():
    pace, _ = started(0.25, set_up=5)
    with pytest.raises(
        ConfigurationError, match=r"0.25: of that 5 s are over, .* take 14 s; expected more than 0\.36$"
    ):
        pace.plan(2.0)


@pytest.mark.parametrize(
    ("real", "guess"),
    [(0.1, 0.1), (0.1, 0.3), (0.3, 0.1)],
    ids=["as guessed", "twice as fast and more", "a third as fast"],
)
def test_a_run_ends_on_time_whatever_was_guessed(real, guess):
    pace, clock = started(10)
    seconds, n_steps, n_fitted = simulated(pace, clock, lambda _: real, guess)
    assert 570 < seconds < 600 and n_steps > 500 / real * 0.9
    assert (n_fitted == 0) == (real == guess)


def test_a_run_ends_on_time_when_another_joins_it_halfway():
    pace, clock = started(10)
    seconds, n_steps, n_fitted = simulated(pace, clock, lambda now: 0.1 if now < 300 else 0.2, 0.1)
    assert 570 < seconds < 600 * (1 + SHARE_BETWEEN_LOOKS) and n_fitted > 0
    assert n_steps == pytest.approx(3000 + 1250, rel=0.1)


def test_a_machine_that_stands_still_ends_the_run_with_its_next_step():
    pace, clock = started(10)
    n_steps, every = pace.plan(0.1)
    pace.begin(0)
    clock.now += 900
    assert pace.fitted(5, n_steps, every) == 6
