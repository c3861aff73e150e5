"""Each stage of the reconstruction over the bare FFT of the coil images."""

from functools import partial

import torch
from torch import Tensor

from snrstream.recon.acquired import Acquired
from snrstream.recon.coil_maps import inati
from snrstream.recon.combine import Grid
from snrstream.recon.fft import to_image
from snrstream.recon.grappa import Kernel
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan, fit_kernel, unmixed

from . import scans
from .timing import Row, Run, ratio


class Slice:
    """256 x 256, ACS of 24 lines; k-space is `(channel, 1, e1, ro)` throughout."""

    SIZE = 256

    def __init__(self, n_channels: int) -> None:
        self.name = f"{n_channels} channels, {self.SIZE} x {self.SIZE}"
        self.full = scans.kspace(n_channels, (1, self.SIZE, self.SIZE))
        self.images = to_image(self.full, dims=(2, 3))
        self.start = 0, self.SIZE // 2 - 12
        self.acs = self.full[:, :, self.start[1] : self.start[1] + 24].contiguous()
        self.csm = inati(self.images)

    def bare(self) -> Tensor:
        """The transform of the coil images that all else is measured by."""
        images: Tensor = torch.fft.ifft2(self.full)
        return images

    def zero_filled(self, r: int) -> Tensor:
        """Every r-th line in place, zeros between."""
        kspace = torch.zeros_like(self.full)
        kspace[:, :, ::r] = self.full[:, :, ::r]
        return kspace

    def grid(self, r: int) -> Grid:
        """Every r-th line alone where r divides the matrix, else all."""
        return Grid((1, self.SIZE), (0, 0), (1, r)) if self.SIZE % r == 0 else Grid((1, self.SIZE))

    def lines(self, r: int) -> Tensor:
        """K-space as it is stored: the acquired lines alone where R divides the matrix."""
        return self.zero_filled(r)[:, :, :: self.grid(r).step[1]].contiguous()

    def calibrated(self, r: int) -> Kernel:
        """The kernel of the calibration lines for every r-th line."""
        return fit_kernel(self.acs, self.start, (1, self.SIZE), Lattice((r, 1)))

    def plan(self, r: int) -> Plan:
        """What is made once for many frames: calibration, unmixing coefficients, their phases."""
        lattice = Lattice((r, 1))
        if self.grid(r).step[1] == r:
            acquired = Acquired.every(self.grid(r), lattice, self.SIZE)
        else:
            acquired = Acquired.of((torch.arange(self.SIZE) % r == 0)[None], lattice, self.SIZE)
        return Plan.with_maps(self.csm, acquired, self.calibrated(r))

    def frame(self, r: int) -> Run:
        """What makes one more image of a plan that stands."""
        plan, lines = self.plan(r), self.lines(r)
        return lambda: plan.image(lines)


def rows_2d(n_channels: int) -> list[Row]:
    """Each stage for one slice, over its bare transform."""
    data, rows = Slice(n_channels), []

    def row(what: str, run: Run, limit: float) -> None:
        rows.append(Row(f"{data.name}: {what}", ratio(run, data.bare), limit))

    row("coil maps, every pixel", lambda: inati(data.images), 50)
    row("coil maps, 2 x 2 grid", lambda: inati(data.images, step=2), 15)
    for r, limit in ((2, 0.85), (3, 1.4), (4, 0.5)):
        row(f"calibration R={r}", partial(data.calibrated, r), 3 if n_channels == 16 else 6)
        row(f"unmixing and g-map R={r}", partial(unmixed, data.csm, data.calibrated(r)), 7)
        row(f"frame R={r}, from k-space", data.frame(r), limit)
    return rows


def rows_3d() -> list[Row]:
    """192 x 192 x 64, 16 channels, 2 x 2, ACS of 24 x 24 lines."""
    shape, n_channels, lattice = (64, 192, 192), 16, Lattice((2, 2))
    full = scans.kspace(n_channels, shape)
    acs, start = full[:, 20:44, 84:108].contiguous(), (20, 84)
    rows: list[Row] = []

    def row(what: str, run: Run, limit: float | None) -> None:
        value = ratio(run, lambda: torch.fft.ifftn(full, dim=(1, 2, 3)), n=2)
        rows.append(Row(f"16 channels, 192 x 192 x 64, 2 x 2: {what}", value, limit))

    row("calibration", lambda: fit_kernel(acs, start, shape[:2], lattice), 1.6)
    kernel = fit_kernel(acs, start, shape[:2], lattice)
    csm = torch.full((n_channels, *shape), n_channels**-0.5, dtype=torch.complex64)
    row("unmixing and g-map", lambda: unmixed(csm, kernel), None)
    acquired = Acquired.every(Grid(shape[:2], (0, 0), (2, 2)), lattice, shape[2])
    plan = Plan.with_maps(csm, acquired, kernel)
    lines = full[:, ::2, ::2].contiguous()
    row("frame, from k-space", lambda: plan.image(lines), 0.45)
    return rows
