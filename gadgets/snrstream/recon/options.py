"""What can be chosen of a reconstruction: how kernels are fitted, and how coil maps are found."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .coil_maps import inati, referred
from .compression import compression_matrix
from .grappa import TIKHONOV
from .sampling import central


@dataclass(frozen=True)
class KernelOptions:
    """How a GRAPPA kernel is fitted.

    Parameters
    ----------
    n_lines, n_partitions, n_samples : int
        Its size in acquired lines, acquired partitions and readout samples: see `calibrate`.
    tikhonov : float
        Regularisation, as a fraction of the mean diagonal of the normal equations.
    """

    n_lines: int = 4
    n_partitions: int = 4
    n_samples: int = 5
    tikhonov: float = TIKHONOV


@dataclass(frozen=True)
class MapOptions:
    """How coil maps are found.

    Parameters
    ----------
    method : {"virtual", "walsh", "inati"}
        They differ in the phase of the maps. `virtual` refers it to the combination of channels that holds most of the
        signal, `walsh` to the channel that does; `inati` takes the image's own slowly varying phase into the maps.
    window : int
        Edge in pixels of the neighbourhood from which a pixel of the maps is found, odd.
    step : int
        Distance in pixels of those found; the others are interpolated.
    """

    method: Literal["virtual", "walsh", "inati"] = "virtual"
    window: int = 7
    step: int = 2

    @property
    def margin(self) -> int:
        """How many pixels beside a pixel count for its maps."""
        return self.window // 2 + self.step

    def reference(self, signal: Tensor) -> Tensor | None:
        """The channel, real or virtual, that the phase of the maps is referred to.

        Images whose phases are to be compared need one and the same.

        Parameters
        ----------
        signal : Tensor
            `(channel, e2, e1, ro)` complex64: k-space, its centre in the middle.

        Returns
        -------
        Tensor or None
            `(channel,)` complex64, its weights: see `referred`. None where the method takes each image's own phase.
        """
        if self.method == "inati":
            return None
        if self.method == "virtual":
            weights = compression_matrix(central(signal), 1)[0].conj()
            first = weights[weights.abs().argmax()]
            return weights * (first.conj() / first.abs())  # for its own phase is free
        one = torch.zeros(len(signal), dtype=signal.dtype, device=signal.device)
        one[torch.linalg.vector_norm(central(signal).flatten(1), dim=1).argmax()] = 1
        return one

    def finder(self, reference: Tensor | None) -> Callable[[Tensor], Tensor]:
        """What makes maps of coil images `(channel, e2, e1, ro)`, of the whole or of any part in it.

        Parameters
        ----------
        reference : Tensor or None
            As `reference` gives it.
        """
        if reference is None:
            return functools.partial(inati, window=self.window, step=self.step)
        return functools.partial(referred, reference=reference, window=self.window, step=self.step)


KERNEL, MAPS = KernelOptions(), MapOptions()
