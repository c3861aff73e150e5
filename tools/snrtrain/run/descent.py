"""Steps of a network down its loss, which a GPU takes one after the other without being waited for."""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from snrstream.errors import ConfigurationError
from snrtrain import networks
from snrtrain.methods.batch import Batch, Method
from snrtrain.recipe import Recipe
from snrtrain.run import optimisers
from snrtrain.run.average import Average
from snrtrain.run.processes import Processes


class Descent:
    """A network, its average and its optimiser.

    Raises ConfigurationError where the recipe's `trained` names what the network has not.
    The losses of its steps stay where they were computed until `losses` asks for them: each question makes the
    processor wait for all that a GPU has still to do.
    """

    def __init__(self, recipe: Recipe, processes: Processes) -> None:
        self._recipe, self._device = recipe, processes.device
        torch.manual_seed(recipe.seed)
        self.network = networks.build(recipe)
        _leave_others(self.network, recipe.trained)
        self._wrapped = processes.wrapped
        self._losses: list[Tensor] = []

    def begin(self) -> None:
        """Once the weights stand that are trained: the average begins with them."""
        self.network.to(self._device)
        if _is_2d(self.network):
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's types
        self.average = Average(self.network, self._recipe.ema)
        self.optimiser = optimisers.build(self._recipe, [w for w in self.network.parameters() if w.requires_grad])

    def state(self) -> dict[str, Any]:
        """Of network, average and optimiser: what steps change, but for the number of steps."""
        weights = self.average.module.state_dict()
        return {"network": self.network.state_dict(), "weights": weights, "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Go back to it, as it was after `step`. Raises what torch does where it is of another network or optimiser."""
        self.network.load_state_dict(state["network"])
        self.average.module.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.n = step

    def loss_of(self, method: Method) -> Callable[[Batch], Tensor]:
        """The loss of a batch, through the network of all processes; compiled where the recipe says so."""
        plain = functools.partial(self._loss, method, self._wrapped(self.network))
        made: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor] = (
            torch.compile(plain) if self._recipe.compile else plain
        )
        return lambda batch: made(batch.input, batch.target, batch.gmap, batch.causal)

    def plain_loss(self, method: Method, batch: Batch) -> Tensor:
        """The same of this process alone, not compiled."""
        return self._loss(method, self.network, batch.input, batch.target, batch.gmap, batch.causal)

    def _loss(
        self, method: Method, model: nn.Module, given: Tensor, target: Tensor, gmap: Tensor, causal: Tensor | None
    ) -> Tensor:
        batch, reduced = Batch(given, target, gmap, causal), self._recipe.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16) if reduced else contextlib.nullcontext():
            answer = batch.answer(model)
        return method.loss(answer.float(), batch)

    def step(self, loss_of: Callable[[Batch], Tensor], batch: Batch, rate: float) -> None:
        """One step at a learning rate. batch: anywhere."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of(batch.to(self._device))
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.clip)
        self.optimiser.step()
        self.average.follow()
        self._losses.append(loss.detach())

    def losses(self, step: int) -> list[float]:
        """Of the steps since the last question, the last of them `step`. Waits until they are done.

        Raises ConfigurationError at the first that is not finite.
        """
        values: list[float] = torch.stack(self._losses).tolist() if self._losses else []
        self._losses.clear()
        for number, value in enumerate(values, step - len(values) + 1):
            if not math.isfinite(value):
                raise ConfigurationError(
                    f"the loss is {value} at step {number}; expected a smaller learning_rate or sound data"
                )
        return values


def _leave_others(network: nn.Module, trained: Sequence[str]) -> None:
    """Train the weights alone whose names have one of these parts, or all where there is none."""
    names = [name for name, _ in network.named_parameters()]
    for part in trained:
        if not any(part in name for name in names):
            raise ConfigurationError(f"trained has {part!r}; expected a part of a weight's name, such as {names[0]}")
    for name, weight in network.named_parameters():
        weight.requires_grad_(not trained or any(part in name for part in trained))


def _is_2d(network: nn.Module) -> bool:
    return not any(isinstance(module, nn.Conv3d) for module in network.modules())
