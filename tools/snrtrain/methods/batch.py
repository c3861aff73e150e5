"""What a network gets in one step, and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """What the network gets, and what its answer should be. All float32.

    input: by the network's contract. target: of its answer's shape. gmap: that the loss divides both by, `(N, 1, ...)`;
    ones where the method knows none. causal: that the network is told beside its input, `(1,)`, where it takes that.
    """

    input: Tensor
    target: Tensor
    gmap: Tensor
    causal: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device; itself where it is there."""
        input_, target, gmap = (part.to(device, non_blocking=True) for part in (self.input, self.target, self.gmap))
        causal = None if self.causal is None else self.causal.to(device, non_blocking=True)
        return Batch(input_, target, gmap, causal)

    def answer(self, network: nn.Module) -> Tensor:
        """What the network makes of it."""
        answer: Tensor = network(self.input) if self.causal is None else network(self.input, self.causal)
        return answer


@dataclass(frozen=True)
class Validation:
    """PSNR in dB on the validation data: that by which the best network is chosen, and others by their names."""

    psnr: float
    told: Mapping[str, float]

    @property
    def text(self) -> str:
        """For people, as `PSNR 31.20 dB (filtered 29.85)`."""
        beside = ", ".join(
            f"{name.removesuffix('_psnr')} {value:.2f}"
            for name, value in self.told.items()
            if name.endswith("_psnr") and value != self.psnr
        )
        return f"PSNR {self.psnr:.2f} dB" + f" ({beside})" * bool(beside)


class Method(Protocol):
    """A training method: what to learn from, and how to tell whether it helps."""

    def batch(self, n_patches: int, generator: torch.Generator) -> Batch:
        """`n_patches` independent patches of the training data, by a generator of the processor.

        Fewer where they have several frames each and others have one, for the cost of a step to stay the same.
        """

    def settle(self, device: torch.device) -> bool:
        """Whether batches come to lie on `device` from now on; where not, they lie in the processor's memory."""

    def loss(self, answer: Tensor, batch: Batch) -> Tensor:
        """Of the network's answer, a scalar."""

    def psnr(self, network: nn.Module, alpha: float = 0.0) -> float:
        """Mean PSNR in dB over the validation data, the original blended in by alpha."""

    def validation(self, network: nn.Module) -> Validation:
        """The network's own PSNR, and what else is measured of it."""

    def pictures(self, network: nn.Module) -> list[list[Tensor]]:
        """Rows of magnitude images `(e1, ro)` of validation data: noisy, denoised, reference."""
