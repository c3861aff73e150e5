"""From k-space and unmixing coefficients to an image, at the cost of little more than its FFT."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Where the phase encodes of a stored array lie in k-space; all pairs are (e2, e1).

    Stored line (j, i) is line (first[0] + j step[0], first[1] + i step[1]) of k-space.

    Parameters
    ----------
    size : tuple of int
        Lines of k-space, with k = 0 at size // 2.
    first : tuple of int
        The first stored line.
    step : tuple of int
        (1, 1) stores all lines; the acceleration, where it divides the size, the acquired ones alone.
    """

    size: tuple[int, int]
    first: tuple[int, int] = (0, 0)
    step: tuple[int, int] = (1, 1)

    def of(self, lines: Tensor) -> Tensor:
        """The stored ones of all lines.

        Parameters
        ----------
        lines : Tensor
            `(e2, e1, ...)` of any dtype.

        Returns
        -------
        Tensor
            `(stored e2, stored e1, ...)`: a view.
        """
        (z0, y0), (step_z, step_y) = self.first, self.step
        return lines[z0::step_z, y0::step_y][: self.stored[0], : self.stored[1]]

    @property
    def stored(self) -> tuple[int, int]:
        """How many lines are stored."""
        return self.size[0] // self.step[0], self.size[1] // self.step[1]


@dataclass(frozen=True)
class Combiner:
    """Makes images of one geometry: coefficients with phases, scale and fold already in them.

    Where R divides the number of lines, the coil images of regularly undersampled k-space repeat R times, so that a
    transform of the acquired lines alone, N / R long, holds all there is. The shifts of centred transforms are phases;
    they, the offset of the first acquired line and the scale are put into the coefficients once, and each frame is a
    plain transform, a product and a sum.

    Parameters
    ----------
    coefficients : Tensor
        `(channel, R2, e2 / R2, R1, e1 / R1, ro)` complex64 in plain order: r = 0 at index 0.
    grid : Grid
        Where the lines lie that they are made for.
    scale : float
        Of the image, in them already.
    readout_done : bool
        Whether frames come as images along the readout, centred, instead of as k-space.
    """

    coefficients: Tensor
    grid: Grid
    scale: float
    readout_done: bool = False

    @classmethod
    def plan(cls, unmixing: Tensor, scale: float, grid: Grid, readout_done: bool = False) -> "Combiner":
        """Coefficients to combine frames by.

        Parameters
        ----------
        unmixing : Tensor
            `(channel, e2, e1, ro)` complex64, as `unmixing_coefficients` gives it.
        scale : float
            Of the image, as `snr_scale` gives it.
        grid : Grid
            Where the lines of the frames lie.
        readout_done : bool
            Whether frames come as images along the readout, centred.
        """
        n_channels, _, _, n_ro = unmixing.shape
        (z0, y0), (r2, r1), (n_z, n_y) = grid.first, grid.step, grid.stored
        phase = (
            _to_centred(grid.size[0], r2, z0, unmixing.device)[:, None, None]
            * _to_centred(grid.size[1], r1, y0, unmixing.device)[:, None]
        )
        if not readout_done:
            phase = phase * _to_centred(n_ro, 1, 0, unmixing.device)
        # Plain transforms put r = 0 at index 0: the coefficients are moved there, each image back.
        dims = (1, 2) if readout_done else (1, 2, 3)
        halves = [_halves(n) if dim in dims else [(slice(None), slice(None))] for dim, n in enumerate(unmixing.shape)]
        phase, moved = (scale * phase).to(unmixing.dtype).expand_as(unmixing), torch.empty_like(unmixing)
        for parts in itertools.product(*halves):  # a shift of the product would go over it several times
            source, target = zip(*parts, strict=True)
            torch.mul(unmixing[source], phase[source], out=moved[target])
        return cls(moved.reshape(n_channels, r2, n_z, r1, n_y, n_ro), grid, scale, readout_done)

    def moved(self, scale: float, grid: Grid) -> "Combiner":
        """The same for k-space whose lines start elsewhere.

        Parameters
        ----------
        scale : float
            Of the image, as `snr_scale` gives it.
        grid : Grid
            Of the size and step of this combiner's.

        Raises
        ------
        ValueError
            Where the grid has another size or step.
        """
        if (grid.size, grid.step) != (self.grid.size, self.grid.step):
            raise ValueError(f"grid is {grid}; expected the size and step of {self.grid}")
        device, (_, r2, n_z, r1, n_y, _) = self.coefficients.device, self.coefficients.shape
        along_e2, along_e1 = (
            torch.exp(2j * torch.pi * (new - old) * torch.arange(n, dtype=torch.float64, device=device) / n)
            for new, old, n in zip(grid.first, self.grid.first, grid.size, strict=True)
        )
        turn = along_e2.reshape(r2, n_z, 1, 1, 1) * along_e1.reshape(r1, n_y, 1) * (scale / self.scale)
        return Combiner(self.coefficients * turn.to(self.coefficients.dtype), grid, scale, self.readout_done)

    def image(self, kspace: Tensor) -> Tensor:
        """The image of one frame.

        Parameters
        ----------
        kspace : Tensor
            `(channel, stored e2, stored e1, ro)` complex64, prewhitened, on the grid.

        Returns
        -------
        Tensor
            `(e2, e1, ro)` complex64 in SNR units.
        """
        # By the size of k-space: one stored partition may stand for several, and its image belongs in their middle.
        wanted = self.grid.size[0] > 1, True, not self.readout_done
        dims = [dim for dim, transformed in enumerate(wanted, start=1) if transformed]
        aliased = torch.fft.ifftn(kspace, dim=dims, norm="ortho")
        # The aliased image is the same for all R2 R1 parts of the field of view.
        total = self.coefficients[0] * aliased[0, None, :, None]
        for channel in range(1, len(aliased)):
            total.addcmul_(self.coefficients[channel], aliased[channel, None, :, None])
        r2, n_z, r1, n_y, n_ro = total.shape
        image: Tensor = torch.fft.fftshift(total.reshape(r2 * n_z, r1 * n_y, n_ro), dim=[dim - 1 for dim in dims])
        return image


def _halves(size: int) -> list[tuple[slice, slice]]:
    """Where the two halves of a centred axis lie, and where with its centre at index 0."""
    centre = size // 2
    return [(slice(0, centre), slice(size - centre, size)), (slice(centre, size), slice(0, size - centre))]


def _to_centred(size: int, step: int, first: int, device: torch.device) -> Tensor:
    """What turns the plain orthonormal transform of lines `first::step` into the centred one of all lines.

    `N^-1/2 sum_k s_k e^(2 pi i (k - c) r / N)` over k = first + step j is
    `step^-1/2 e^(2 pi i (first - c) r / N)` times the transform over j, of period N / step in r.
    Complex128 `(size,)` in centred order of r.
    """
    r = torch.arange(size, dtype=torch.float64, device=device) - size // 2
    angle = 2 * torch.pi * (first - size // 2) * r / size
    return torch.polar(torch.full_like(angle, step**-0.5), angle)
