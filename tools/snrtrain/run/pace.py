"""How many steps, and how many validations, fit into the time that a run has.

A run first takes steps for nothing, to learn how long one takes, then looks again and again: other runs on the same
machine come and go. What follows its last step, a validation and perhaps an export, is counted in.
"""

import math
import time
from collections.abc import Callable

from snrstream.errors import ConfigurationError

SHARE_OF_VALIDATIONS = 0.05  # of the time
MOST_VALIDATIONS = 20
MARGIN = 1.2  # on what follows the last step
SHARE_BETWEEN_LOOKS = 0.02  # of the time
LEAST_CHANGE = 0.02  # of the steps that are left: less is chance
WARMING, LEAST_MEASURED = 3, 3  # steps for nothing: those that compile and allocate, and those that are timed


class Pace:
    """The time of a run, from now on.

    minutes: all of it. clock: of seconds. validation, export: seconds that one validation takes, and what follows the
    last one; told before `plan` is asked.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._minutes, self.clock, self._begun = minutes, clock, clock()
        self.validation, self.export = 0.0, 0.0
        self._marked: tuple[int, float] = (0, self._begun)

    def measured(self, seconds: float, n_steps: int) -> bool:
        """Whether steps for nothing were timed for long enough: a share of the time, and a few of them."""
        return n_steps >= LEAST_MEASURED and seconds >= SHARE_BETWEEN_LOOKS * 60 * self._minutes

    def plan(self, step_seconds: float) -> tuple[int, int]:
        """Steps from now on, and between two validations. Raises ConfigurationError where not one fits."""
        left = self._left()
        if left < step_seconds:
            needed = (60 * self._minutes - left + step_seconds) / 60
            raise ConfigurationError(
                f"--minutes is {self._minutes:g}: of that {(self.clock() - self._begun):.0f} s are over, and the last "
                f"validation and the export take {MARGIN * (self.validation + self.export):.0f} s; expected more than "
                f"{math.ceil(100 * needed) / 100:g}"
            )
        n_validations = 1 + min(MOST_VALIDATIONS - 1, int(SHARE_OF_VALIDATIONS * left / max(self.validation, 1e-9)))
        n_steps = max(1, int((left - (n_validations - 1) * self.validation) / step_seconds))
        return n_steps, math.ceil(n_steps / n_validations)

    def begin(self, step: int) -> None:
        """The steps after `step` are timed from now on."""
        self._marked = step, self.clock()

    def validated(self, seconds: float) -> None:
        """That a validation took so long, which is no time of the steps'."""
        self.validation = seconds
        self._marked = self._marked[0], self._marked[1] + seconds

    def fitted(self, step: int, n_steps: int, validate_every: int) -> int:
        """The number of steps that fits, as the last ones took their time; `n_steps` where it is no other to speak of.

        The steps up to `step` must be done, not waiting on a GPU.
        """
        then, now = self._marked[1], self.clock()
        if step <= self._marked[0] or now - then < SHARE_BETWEEN_LOOKS * 60 * self._minutes:
            return n_steps
        step_seconds = max((now - then) / (step - self._marked[0]), 1e-9)
        self._marked = step, now
        to_come = (n_steps - 1) // validate_every - step // validate_every
        fits = step + max(1, int((self._left() - to_come * self.validation) / step_seconds))
        return fits if abs(fits - n_steps) > LEAST_CHANGE * (n_steps - step) else n_steps

    def _left(self) -> float:
        """Seconds for steps and all validations but the last."""
        return self._begun + 60 * self._minutes - self.clock() - MARGIN * (self.validation + self.export)
