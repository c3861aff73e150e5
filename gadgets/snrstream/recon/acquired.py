"""What an image acquired of k-space, as one value: scale and spectrum follow from it, caches go by it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .combine import Grid
from .lattice import Lattice
from .sampling import covered
from .spectrum import Spectrum
from .unmixing import snr_scale


@dataclass(frozen=True, eq=False)
class Acquired:
    """The samples of k-space that an image has, and their noise. Equal, as keys of a cache too, where all of it is.

    Parameters
    ----------
    grid : Grid
        Where the stored lines lie.
    lattice : Lattice
        The regular sampling that they follow, which may lack some at the edges.
    line_sd : Tensor
        `(e2, e1)` float32 on the CPU: the noise's SD in each stored line, 0 where nothing was acquired. 1 is the SD of
        a sample that was acquired once.
    sample_sd : Tensor
        `(ro,)` float32 on the CPU: the same along the readout.
    """

    grid: Grid
    lattice: Lattice
    line_sd: Tensor
    sample_sd: Tensor

    @classmethod
    def of(cls, sampled: Tensor, lattice: Lattice, n_ro: int) -> "Acquired":
        """Of k-space that stores all lines, some of which were acquired once.

        Parameters
        ----------
        sampled : Tensor
            `(e2, e1)` bool: which lines were acquired.
        lattice : Lattice
            The regular sampling that they follow.
        n_ro : int
            Samples of a line, all of them acquired.
        """
        size = sampled.shape[0], sampled.shape[1]
        return cls(Grid(size), lattice, sampled.float().cpu(), torch.ones(n_ro))

    @classmethod
    def every(cls, grid: Grid, lattice: Lattice, n_ro: int) -> "Acquired":
        """Of k-space that was acquired once in every stored line.

        Parameters
        ----------
        grid : Grid
            Where the stored lines lie.
        lattice : Lattice
            The regular sampling that they follow.
        n_ro : int
            Samples of a line, all of them acquired.
        """
        return cls(grid, lattice, torch.ones(grid.stored), torch.ones(n_ro))

    @property
    def scale(self) -> float:
        """Scale of the aliased coil images, with which the noise SD of the image is the g-factor: see `snr_scale`."""
        noise_power = float(self.line_sd.square().sum() * self.sample_sd.square().mean())
        return snr_scale(math.prod(self.lattice.acceleration), math.prod(self.grid.size) / noise_power)

    def spectrum(self) -> Spectrum:
        """Of the noise after GRAPPA, in the acquired lines and in those that it makes between them."""
        lines = torch.zeros(self.grid.size)
        self.grid.of(lines)[...] = self.line_sd
        return Spectrum.of(covered(lines, self.lattice), self.sample_sd)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Acquired) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def _value(self) -> tuple[Grid, Lattice, bytes, bytes]:
        return self.grid, self.lattice, self.line_sd.numpy().tobytes(), self.sample_sd.numpy().tobytes()
