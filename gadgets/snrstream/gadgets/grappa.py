"""Gadget: calibrate GRAPPA; the data goes on with its small kernel."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Annotated, Literal

from ..errors import ScanError
from ..items import Bucket, Calibration
from ..recon.grappa import TIKHONOV, Kernel
from ..recon.lattice import Lattice
from ..recon.plan import KernelOptions, fit_kernel
from .gadget import Gadget, Scan, each
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


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Add the kernel to each `Bucket` with R > 1.

    Images of a slice that share their calibration and sampling share the kernel. Raises ScanError where there are too
    few channels, no calibration lines, or too few of them.
    """
    kernels: SharedBySlice[_Source, Kernel] = SharedBySlice()
    return each(Bucket, lambda bucket: _with_kernel(bucket, parameters, kernels))


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


def _with_kernel(bucket: Bucket, parameters: Parameters, kernels: SharedBySlice[_Source, Kernel]) -> Bucket:
    (r1, r2), calibration = bucket.lattice.acceleration, bucket.calibration
    net = r1 * r2
    if net == 1:
        return bucket
    if len(bucket.kspace) < net:
        raise ScanError(f"data has {len(bucket.kspace)} channels; expected at least {net}, the net acceleration")
    if calibration is None:
        needed = (parameters.kernel_e1 - 1) * r1 + 1
        raise ScanError(
            f"scan at R={r1 if r2 == 1 else f'{r1} x {r2}'} has no ACS: no line of slice {bucket.head.idx.slice} has "
            f"carried a parallel calibration flag so far; expected at least {needed} consecutive ones"
        )
    source = _Source(calibration, bucket.lattice, bucket.grid.size, bucket.snr_units)
    kernel = kernels.get(bucket.head, source, functools.partial(source.kernel, parameters.options))
    return dataclasses.replace(bucket, kernel=kernel)
