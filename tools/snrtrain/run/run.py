"""A training run, from its first step, or from where it was interrupted, to its last.

Each step draws from a generator of its own, seeded by recipe, process and step. So the data does not depend on who
draws it ahead of time, nor on whether the run was interrupted: a resumed run is bit for bit the uninterrupted one, on
the same kind of machine with the same number of threads and processes. One that is resumed with another number of
steps follows `lengthened_schedule` from there on.
"""

import contextlib
import math
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from snrstream.errors import ConfigurationError
from snrtrain import networks
from snrtrain.methods.batch import Batch, Method, Validation
from snrtrain.recipe import Recipe, restored
from snrtrain.run import checkpoint, optimisers
from snrtrain.run.average import averaged
from snrtrain.run.processes import Processes
from snrtrain.run.report import Report

SMOOTHING = 0.98  # of the loss that is shown
LAST, BEST = "last.pt", "best.pt"


class _Batches(Dataset[Batch | ConfigurationError]):
    """The batch of each step."""

    def __init__(self, method: Method, seed: int, rank: int, n_patches: int) -> None:
        self._method, self._seed, self._rank, self._n_patches = method, seed, rank, n_patches

    def __getitem__(self, step: int) -> Batch | ConfigurationError:
        """An error is given, not raised: out of a worker it would come with the worker's traceback for a text."""
        seed = np.random.SeedSequence([self._seed, self._rank, step]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(seed >> np.uint64(1)))
        try:
            return self._method.batch(self._n_patches, generator)
        except ConfigurationError as error:
            return error


@dataclass
class _State:
    """How far a run has come.

    stale: validations since the best one. since: step at which the run got the number of steps that it has; 0: always.
    """

    step: int = 0
    best: float = -math.inf
    stale: int = 0
    loss: float | None = None
    since: int = 0


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
        torch.manual_seed(recipe.seed)
        self._network = networks.build(recipe)
        self._state, self._steps_before = _State(), 0
        if (folder / LAST).exists() and not resume:
            raise ConfigurationError(f"{folder} already holds a run; expected --resume, or another --folder")
        if (folder / BEST).exists() and not resume:
            raise ConfigurationError(f"{folder} already holds {BEST} of a run; expected another --folder")
        if start is not None and not resume:
            found = checkpoint.read(start)
            checkpoint.load_weights(self._network, found["weights"], start, shallower=True)
            self._steps_before = found["steps_before"] + found["step"]
        self._network.to(processes.device)
        if _is_2d(self._network):
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's types
        self._average = averaged(self._network, recipe.ema)
        self._optimiser = optimisers.build(recipe, self._network.parameters())
        if resume:
            self._resume(folder / LAST)

    def train(self, method: Method, n_workers: int = 0) -> None:
        """Go on to the last step, or until validation has gained nothing for the recipe's patience.

        Leaves best.pt, by validation PSNR, and last.pt. n_workers: processes that draw batches ahead. SIGINT and
        SIGTERM end it after the step at work, with last.pt written; it then raises KeyboardInterrupt.
        """
        recipe, state, processes = self.recipe, self._state, self._processes
        batches = _Batches(method, recipe.seed, processes.rank, processes.share_of(recipe.batch))
        steps = range(state.step + 1, recipe.steps + 1)
        loader = DataLoader(batches, batch_size=None, sampler=steps, num_workers=n_workers,
                            pin_memory=processes.device.type == "cuda")  # fmt: skip
        model = processes.wrapped(self._network)
        bar = tqdm(loader, recipe.name, recipe.steps, initial=state.step, disable=None if processes.is_first else True)
        first = processes.is_first
        report = Report(self.folder, state.step, recipe.method) if first else contextlib.nullcontext()
        begun, step_before = time.monotonic(), state.step
        with _stopping() as asked, report:
            for batch in bar:
                if isinstance(batch, ConfigurationError):
                    raise batch
                state.step += 1
                share = optimisers.lengthened_schedule(state.step, recipe.steps, recipe.warmup, state.since)
                rate = recipe.learning_rate * share
                loss = self._step(model, method, batch.to(processes.device), rate)
                state.loss = loss if state.loss is None else SMOOTHING * state.loss + (1 - SMOOTHING) * loss
                last = state.step == recipe.steps
                if state.step % recipe.validate_every == 0 or last:
                    if isinstance(report, Report):
                        found = self._validate(method, report, rate)
                        if bar.disable:  # there is no terminal
                            left = (recipe.steps - state.step) * (time.monotonic() - begun) / (state.step - step_before)
                            told = f"step {state.step} of {recipe.steps}, loss {state.loss:.4f}, {found.text}"
                            print(f"{recipe.name}: {told}, {left:.0f} s left", file=sys.stderr, flush=True)
                    last = last or processes.agreed(0 < recipe.patience <= state.stale)
                if first:
                    bar.set_postfix(loss=f"{state.loss:.4f}", psnr=f"{state.best:.2f}", refresh=False)
                if processes.agreed(bool(asked)):
                    self._save(LAST, None)
                    raise KeyboardInterrupt
                if last:
                    break
        bar.close()
        if first:
            print(f"{recipe.name}: best validation PSNR {state.best:.2f} dB, of {self.folder / BEST}", flush=True)

    def _step(self, model: nn.Module, method: Method, batch: Batch, rate: float) -> float:
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        loss = method.loss(self._answer(model, batch), batch)
        if not math.isfinite(loss.item()):
            raise ConfigurationError(
                f"the loss is {loss.item()} at step {self._state.step}; expected a smaller learning_rate or sound data"
            )
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), self.recipe.clip)
        self._optimiser.step()
        self._average.update_parameters(self._network)
        return loss.item()

    def _answer(self, model: nn.Module, batch: Batch) -> Tensor:
        reduced = self.recipe.precision == "bfloat16"
        with torch.autocast(self._processes.device.type, torch.bfloat16, enabled=reduced):
            answer: Tensor = model(batch.input)
        return answer.float()

    def _validate(self, method: Method, report: Report, rate: float) -> Validation:
        """What was measured, which is also told, and kept if it is the best."""
        state, network = self._state, self._average.module
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
        return found

    def _save(self, name: str, psnr: float | None) -> None:
        if not self._processes.is_first:
            return
        found = checkpoint.described(self.recipe, self._state.step, self._steps_before, psnr)
        found["weights"], found["archive"] = self._average.module.state_dict(), str(self._archive)
        if name == LAST:
            found["network"], found["optimiser"] = self._network.state_dict(), self._optimiser.state_dict()
            found["state"] = vars(self._state)
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
            checkpoint.load_weights(self._network, found["network"], path)
            checkpoint.load_weights(self._average.module, found["weights"], path)
            self._optimiser.load_state_dict(found["optimiser"])
            state = _State(**found["state"])
            if not isinstance(state.best, float) or {type(state.step), type(state.stale), type(state.since)} != {int}:
                raise TypeError("state")
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError):
            raise ConfigurationError(f"{path} cannot be resumed; expected the whole {LAST} of a run") from None
        if changed:
            if ours["steps"] <= state.step:
                raise ConfigurationError(
                    f"setting steps is {ours['steps']}; expected more: {path} is of step {state.step}"
                )
            state.since, state.stale = state.step, 0
        self._state, self._steps_before = state, found["steps_before"]
        self._average.n_averaged.fill_(state.step)


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


def _is_2d(network: nn.Module) -> bool:
    return not any(isinstance(module, nn.Conv3d) for module in network.modules())
