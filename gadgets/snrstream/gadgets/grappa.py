"""Gadget: calibrate GRAPPA; the data goes on with its small kernel."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ismrmrd import xsd

from ..errors import ScanError
from ..items import Bucket, Calibration
from ..recon.grappa import TIKHONOV, Kernel
from ..recon.lattice import Lattice
from ..recon.plan import KernelOptions, fit_kernel
from .shared import SharedBySlice


@dataclass(frozen=True)
class Parameters:
    """Size and regularisation of the kernel. Fewer lines are taken where the calibration lines cannot train more."""

    kernel_e1: Annotated[int, "kernel size along E1, in acquired lines, 2 to 12"] = 4
    kernel_e2: Annotated[int, "kernel size along E2, in acquired partitions, 2 to 12"] = 4
    kernel_ro: Annotated[int, "kernel size along the readout, in samples: odd, 1 to 31"] = 5
    tikhonov: Annotated[
        float, "regularisation, as a fraction of the mean diagonal of the normal equations, from 0 to below 1"
    ] = TIKHONOV
    regularisation: Annotated[
        Literal["auto", "tikhonov", "noise"],
        "tikhonov regularises by that alone, noise also by the noise that the kernel will meet, for less noise and "
        "more residual aliasing; auto takes noise from R = 4 on",
    ] = "auto"

    def __post_init__(self) -> None:
        lines = self.kernel_e1, self.kernel_e2
        if not all(2 <= n <= 12 for n in lines) or not 1 <= self.kernel_ro <= 31 or self.kernel_ro % 2 == 0:
            raise ValueError(
                f"kernel is {lines[0]} lines x {lines[1]} partitions x {self.kernel_ro} samples; "
                "expected 2 to 12, 2 to 12 and an odd number to 31"
            )
        if not 0 <= self.tikhonov < 1:
            raise ValueError(f"tikhonov is {self.tikhonov}; expected a number from 0 to below 1")

    @property
    def options(self) -> KernelOptions:
        """The same, as the reconstruction takes them."""
        return KernelOptions(self.kernel_e1, self.kernel_e2, self.kernel_ro, self.tikhonov, self.regularisation)


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """Add the kernel to each `Bucket` with R > 1; other items pass.

    Images of a slice that share their calibration and sampling share the kernel.
    """
    kernels: SharedBySlice[_Source, Kernel] = SharedBySlice()
    for item in items:
        if not isinstance(item, Bucket) or item.lattice.acceleration == (1, 1):
            yield item
            continue
        calibration, net = item.calibration, math.prod(item.lattice.acceleration)
        if len(item.kspace) < net:
            raise ScanError(f"data has {len(item.kspace)} channels; expected at least {net}, the net acceleration")
        if calibration is None:
            r1, r2 = item.lattice.acceleration
            needed = (parameters.kernel_e1 - 1) * r1 + 1
            raise ScanError(
                f"scan at R={r1 if r2 == 1 else f'{r1} x {r2}'} has no ACS: no line of slice {item.head.idx.slice} has "
                f"carried a parallel calibration flag so far; expected at least {needed} consecutive ones"
            )
        source = _Source(calibration, item.lattice, item.grid.size, item.snr_units)
        kernel = kernels.get(item.head, source, functools.partial(source.kernel, parameters.options))
        yield dataclasses.replace(item, kernel=kernel)


@dataclass(frozen=True)
class _Source:
    """What a kernel is made of. size: of k-space (e2, e1)."""

    calibration: Calibration
    lattice: Lattice
    size: tuple[int, int]
    snr_units: bool

    def kernel(self, options: KernelOptions) -> Kernel:
        acs, start = self.calibration.kspace, self.calibration.start
        return fit_kernel(acs, start, self.size, self.lattice, options, self.snr_units)
