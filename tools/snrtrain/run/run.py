"""A training run, from its first step, or from where it was interrupted, to its last.

Each step draws from a generator of its own, seeded by recipe, process and step. So the data does not depend on who
draws it ahead of time, nor on whether the run was interrupted: a resumed run is bit for bit the uninterrupted one, on
the same kind of machine with the same number of threads and processes. One that is resumed with another number of
steps follows `Course` from there on.
"""

import contextlib
import copy
import functools
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from snrstream.errors import ConfigurationError
from snrtrain.methods.batch import Batch, Method
from snrtrain.recipe import Recipe, restored
from snrtrain.run import checkpoint
from snrtrain.run.descent import Descent
from snrtrain.run.feed import batches
from snrtrain.run.optimisers import Course
from snrtrain.run.pace import WARMING, Pace
from snrtrain.run.processes import Processes
from snrtrain.run.report import Report

SMOOTHING = 0.98  # of the loss that is shown
SECONDS_BETWEEN_LOSSES = 1.0  # a GPU is not asked more often how it stands
LAST, BEST = "last.pt", "best.pt"
Rehearsal = Callable[[dict[str, Any]], None]


@dataclass
class _State:
    """How far a run has come.

    stale: validations since the best one. since, at, progress: see `Course`.
    """

    step: int = 0
    best: float = -math.inf
    stale: int = 0
    loss: float | None = None
    since: int = 0
    at: int = 0
    progress: float = 0.0

    @property
    def course(self) -> Course:
        """Of the learning rate."""
        return Course(self.since, self.at, self.progress)


class Run:
    """One run in its folder: network, average, optimiser, and how far they are.

    archive: that it trains on, for its checkpoints to tell. start: a checkpoint whose weights it begins with, of
    this network or one of fewer cells. resume: go on from last.pt; the recipe may have another number of steps then.
    Raises ConfigurationError where the folder already holds a run and is not to be resumed, or holds none that could
    be, or one of another recipe, or one that has come further than the recipe's steps.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, archive: Path, processes: Processes, start: Path | None = None,
        resume: bool = False,
    ) -> None:  # fmt: skip
        self.recipe, self.folder, self._archive, self._processes = recipe, folder, archive, processes
        self._descent = Descent(recipe, processes)
        self._state, self._steps_before = _State(), 0
        if (folder / LAST).exists() and not resume:
            raise ConfigurationError(f"{folder} already holds a run; expected --resume, or another --folder")
        if (folder / BEST).exists() and not resume:
            raise ConfigurationError(f"{folder} already holds {BEST} of a run; expected another --folder")
        if start is not None and not resume:
            found = checkpoint.read(start)
            checkpoint.load_weights(self._descent.network, found["weights"], start, shallower=True)
            self._steps_before = found["steps_before"] + found["step"]
        self._descent.begin()
        if resume:
            self._resume(folder / LAST)

    def train(
        self, method: Method, n_workers: int = 0, pace: Pace | None = None, rehearsal: Rehearsal | None = None
    ) -> None:
        """Go on to the last step, or until validation has gained nothing for the recipe's patience.

        Leaves best.pt, by validation PSNR, and last.pt. n_workers: processes that draw batches ahead, where the
        processor draws them. pace: that the number of steps, and of validations, is fitted to. rehearsal: of what will
        be done to a checkpoint when the run is over; its time is counted in. SIGINT and SIGTERM end it after the step
        at work, with last.pt written; it then raises KeyboardInterrupt.
        """
        state, processes = self._state, self._processes
        feed = functools.partial(batches, method, self.recipe.seed, self.recipe.batch, processes=processes,
                                 n_workers=n_workers, settled=method.settle(processes.device))  # fmt: skip
        loss_of = self._descent.loss_of(method)
        if pace is not None:
            self._fit(pace, method, loss_of, feed(first=state.step + 1), rehearsal)
        with _stopping() as asked, self._report() as report, self._bar() as bar:
            read = time.monotonic()
            for batch in feed(first=state.step + 1):
                rate = self._step(loss_of, batch)
                last, n_steps = state.step >= self.recipe.steps, self.recipe.steps
                due = last or state.step % self.recipe.validate_every == 0
                if due or asked or time.monotonic() - read > SECONDS_BETWEEN_LOSSES:
                    self._read_losses()
                    read = time.monotonic()
                    bar.set_postfix(loss=f"{state.loss:.4f}", psnr=f"{state.best:.2f}", refresh=False)
                    if pace is not None and not due:
                        n_steps = pace.fitted(state.step, n_steps, self.recipe.validate_every)
                if due:
                    if report is not None:
                        self._validate(method, report, rate, quiet=not bar.disable)
                    if pace is not None:
                        pace.validated(time.monotonic() - read)
                    last = last or bool(processes.told(int(0 < self.recipe.patience <= state.stale)))
                bar.update()
                n_steps = processes.told(0 if asked else n_steps)
                if not n_steps:
                    self._read_losses()
                    self._save(LAST, None)
                    raise KeyboardInterrupt
                if last:
                    break
                bar.total = self._lengthen(n_steps)
        if processes.is_first:
            print(f"{self.recipe.name}: best validation PSNR {state.best:.2f} dB, of {self.folder / BEST}", flush=True)

    def _fit(
        self, pace: Pace, method: Method, loss_of: Callable[[Batch], Tensor], feed: Iterator[Batch],
        rehearsal: Rehearsal | None,
    ) -> None:  # fmt: skip
        """Fit the number of steps and of validations to the time.

        Takes a few steps, a validation and the rehearsal for nothing: then network, average and optimiser are as
        before, so that a run is the same as one that was given these numbers.
        """
        descent, processes = self._descent, self._processes
        before, n_timed, begun = copy.deepcopy(descent.state()), 0, 0.0
        for n_taken, batch in enumerate(feed, 1):
            descent.step(loss_of, batch, self.recipe.learning_rate * self.recipe.warmup)
            if n_taken >= WARMING:
                descent.losses(self._state.step + n_taken)
                begun, n_timed = (begun or pace.clock()), n_taken - WARMING
                if processes.told(int(pace.measured(pace.clock() - begun, n_timed))):
                    break
        step_seconds = (pace.clock() - begun) / n_timed
        if processes.is_first:
            then = pace.clock()
            method.validation(descent.average.module)
            method.pictures(descent.average.module)
            pace.validation = pace.clock() - then
            if rehearsal is not None:
                rehearsal(self._described(None))
                pace.export = pace.clock() - then - pace.validation
        descent.restore(before, self._state.step)
        n_steps, every = map(processes.told, pace.plan(step_seconds) if processes.is_first else (0, 0))
        state, self.recipe = self._state, replace(self.recipe, validate_every=every)
        if state.step:
            state.since, state.stale, state.at, state.progress = state.step, 0, 0, 0.0
        self.recipe = replace(self.recipe, steps=state.step + n_steps)
        pace.begin(state.step)
        if processes.is_first:
            print(
                f"{self.recipe.name}: {n_steps} steps of {1000 * step_seconds:.1f} ms fit into the time, validated "
                f"after each {every} in {pace.validation:.1f} s, and the export in {pace.export:.1f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip

    def _step(self, loss_of: Callable[[Batch], Tensor], batch: Batch) -> float:
        """The learning rate of the step that is taken."""
        recipe, state = self.recipe, self._state
        state.step += 1
        rate = recipe.learning_rate * state.course.rate(state.step, recipe.steps, recipe.warmup)
        self._descent.step(loss_of, batch, rate)
        return rate

    def _read_losses(self) -> None:
        state = self._state
        for loss in self._descent.losses(state.step):
            state.loss = loss if state.loss is None else SMOOTHING * state.loss + (1 - SMOOTHING) * loss

    def _lengthen(self, n_steps: int) -> int:
        """Go on to another number of steps, from the same share of the learning rate's cycle; that number."""
        state = self._state
        if n_steps != self.recipe.steps:
            state.at, state.progress = state.step, state.course.passed(state.step, self.recipe.steps)
            self.recipe = replace(self.recipe, steps=n_steps)
        return n_steps

    def _bar(self) -> "tqdm[Any]":
        hidden = None if self._processes.is_first else True
        return tqdm(desc=self.recipe.name, total=self.recipe.steps, initial=self._state.step, disable=hidden)

    def _report(self) -> contextlib.AbstractContextManager[Report | None]:
        if not self._processes.is_first:
            return contextlib.nullcontext()
        return Report(self.folder, self._state.step, self.recipe.method)

    def _validate(self, method: Method, report: Report, rate: float, quiet: bool) -> None:
        """Tell the PSNR, and keep the network if it is the best. quiet: on a terminal, whose bar has the time."""
        state, network = self._state, self._descent.average.module
        found = method.validation(network)
        psnr = found.psnr
        if math.isnan(psnr):
            raise ConfigurationError(
                f"the validation PSNR is nan at step {state.step}; expected a smaller learning_rate or sound data"
            )
        report.validated(state.step, state.loss or 0.0, rate, found, method.pictures(network))
        state.stale += 1
        if psnr > state.best:
            state.best, state.stale = psnr, 0
            self._save(BEST, psnr)
        self._save(LAST, psnr)
        told = f"{self.recipe.name}: step {state.step} of {self.recipe.steps}, loss {state.loss:.4f}, {found.text}"
        if quiet:
            tqdm.write(told, file=sys.stderr)
        else:
            left = report.seconds_left(state.step, self.recipe.steps)
            print(f"{told}, {left:.0f} s left", file=sys.stderr, flush=True)

    def _described(self, psnr: float | None) -> dict[str, Any]:
        """A checkpoint of which a model can be made."""
        found = checkpoint.described(self.recipe, self._state.step, self._steps_before, psnr)
        return {**found, "weights": self._descent.average.module.state_dict(), "archive": str(self._archive)}

    def _save(self, name: str, psnr: float | None) -> None:
        if not self._processes.is_first:
            return
        found = self._described(psnr)
        if name == LAST:
            found |= self._descent.state() | {"state": vars(self._state)}
        checkpoint.write(self.folder / name, found)

    def _resume(self, path: Path) -> None:
        found = checkpoint.read(path)
        if "optimiser" not in found:
            raise ConfigurationError(f"{path} cannot be resumed; expected the {LAST} of a run")
        theirs, ours = vars(restored(found["recipe"])), vars(self.recipe)
        changed = [key for key in ours if theirs[key] != ours[key]]
        others = ", ".join(f"{key} {theirs[key]} and {ours[key]}" for key in changed if key != "steps")
        if others:
            raise ConfigurationError(
                f"{path} is of another recipe: {others}; expected the same one to resume, but for steps"
            )
        try:
            state = _State(**found["state"])
            whole = (state.step, state.stale, state.since, state.at)
            if {type(state.best), type(state.progress)} != {float} or set(map(type, whole)) != {int}:
                raise TypeError("state")
            for network, key in ((self._descent.network, "network"), (self._descent.average.module, "weights")):
                checkpoint.load_weights(network, found[key], path)
            self._descent.restore({key: found[key] for key in ("network", "weights", "optimiser")}, state.step)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError):
            raise ConfigurationError(f"{path} cannot be resumed; expected the whole {LAST} of a run") from None
        if changed:
            if ours["steps"] <= state.step:
                raise ConfigurationError(
                    f"setting steps is {ours['steps']}; expected more: {path} is of step {state.step}"
                )
            state.since, state.stale, state.at, state.progress = state.step, 0, 0, 0.0
        self._state, self._steps_before = state, found["steps_before"]


@contextlib.contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that is filled once SIGINT or SIGTERM has come; a second one interrupts at once."""
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
