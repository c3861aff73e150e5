"""Each stage of the reconstruction over the bare FFT of the coil images."""

from functools import partial

import torch
from torch import Tensor

from snrstream.recon.coil_maps import inati
from snrstream.recon.combine import Combiner, Grid
from snrstream.recon.fft import to_image
from snrstream.recon.grappa import Kernel, calibrate
from snrstream.recon.lattice import Lattice
from snrstream.recon.unmixing import gfactor, snr_scale, unmixing_coefficients

from . import scans
from .timing import Row, Run, ratio


class Slice:
    """256 x 256, ACS of 24 lines; k-space is `(channel, 1, e1, ro)` throughout."""

    SIZE = 256

    def __init__(self, n_channels: int) -> None:
        self.name = f"{n_channels} channels, {self.SIZE} x {self.SIZE}"
        self.full = scans.kspace(n_channels, (1, self.SIZE, self.SIZE))
        self.images = to_image(self.full, dims=(2, 3))
        self.acs = self.full[:, :, self.SIZE // 2 - 12 : self.SIZE // 2 + 12].contiguous()
        self.csm = inati(self.images)

    def bare(self) -> Tensor:
        images: Tensor = torch.fft.ifft2(self.full)
        return images

    def zero_filled(self, r: int) -> Tensor:
        """Every r-th line in place, zeros between."""
        kspace = torch.zeros_like(self.full)
        kspace[:, :, ::r] = self.full[:, :, ::r]
        return kspace

    def grid(self, r: int) -> Grid:
        return Grid((1, self.SIZE), (0, 0), (1, r)) if self.SIZE % r == 0 else Grid((1, self.SIZE))

    def lines(self, r: int) -> Tensor:
        """K-space as it is stored: the acquired lines alone where R divides the matrix."""
        return self.zero_filled(r)[:, :, :: self.grid(r).step[1]].contiguous()

    def calibrated(self, r: int) -> Kernel:
        return calibrate(self.acs, Lattice((r, 1)))

    def plan(self, r: int) -> Combiner:
        """What is made once for many frames: calibration, unmixing coefficients, their phases."""
        unmixing = unmixing_coefficients(self.calibrated(r), self.csm)
        return Combiner.plan(unmixing, snr_scale(r, r), self.grid(r))

    def frame(self, r: int) -> Run:
        plan, lines = self.plan(r), self.lines(r)
        return lambda: plan.image(lines)


def rows_2d(n_channels: int) -> list[Row]:
    data, rows = Slice(n_channels), []

    def row(what: str, run: Run, limit: float) -> None:
        rows.append(Row(f"{data.name}: {what}", ratio(run, data.bare), limit))

    row("coil maps, every pixel", lambda: inati(data.images), 50)
    row("coil maps, 2 x 2 grid", lambda: inati(data.images, step=2), 15)
    for r, limit in ((2, 0.85), (3, 1.4), (4, 0.5)):
        row(f"calibration R={r}", partial(data.calibrated, r), 3 if n_channels == 16 else 6)
        row(f"unmixing and g-map R={r}", partial(_gmap, data.calibrated(r), data.csm, r), 7)
        row(f"frame R={r}, from k-space", data.frame(r), limit)
    return rows


def _gmap(kernel: Kernel, csm: Tensor, acceleration: int) -> Tensor:
    return gfactor(unmixing_coefficients(kernel, csm), acceleration)


def rows_3d() -> list[Row]:
    """192 x 192 x 64, 16 channels, 2 x 2, ACS of 24 x 24 lines."""
    shape, n_channels, lattice = (64, 192, 192), 16, Lattice((2, 2))
    full = scans.kspace(n_channels, shape)
    acs = full[:, 20:44, 84:108].contiguous()
    rows: list[Row] = []

    def row(what: str, run: Run, limit: float | None) -> None:
        value = ratio(run, lambda: torch.fft.ifftn(full, dim=(1, 2, 3)), n=2)
        rows.append(Row(f"16 channels, 192 x 192 x 64, 2 x 2: {what}", value, limit))

    row("calibration", lambda: calibrate(acs, lattice), 1.6)
    kernel = calibrate(acs, lattice)
    csm = torch.full((n_channels, *shape), n_channels**-0.5, dtype=torch.complex64)
    row("unmixing and g-map", lambda: gfactor(unmixing_coefficients(kernel, csm), 4), None)
    plan = Combiner.plan(unmixing_coefficients(kernel, csm), snr_scale(4, 4), Grid(shape[:2], (0, 0), (2, 2)))
    lines = full[:, ::2, ::2].contiguous()
    row("frame, from k-space", lambda: plan.image(lines), 0.45)
    return rows
