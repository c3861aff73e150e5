"""Gadget: calibrate GRAPPA; the data goes on with its small kernel."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ismrmrd import xsd

from .errors import ScanError
from .items import Bucket, Calibration
from .recon.grappa import TIKHONOV, Kernel, Lattice, calibrate


@dataclass(frozen=True)
class Parameters:
    """kernel_e1, kernel_ro: kernel size in acquired lines and readout samples.
    tikhonov: regularisation, as a fraction of the mean diagonal of the normal equations."""

    kernel_e1: int = 4
    kernel_ro: int = 5
    tikhonov: float = TIKHONOV

    def __post_init__(self) -> None:
        if not 2 <= self.kernel_e1 <= 12 or not 1 <= self.kernel_ro <= 31 or self.kernel_ro % 2 == 0:
            raise ValueError(
                f"kernel is {self.kernel_e1} lines x {self.kernel_ro} samples; expected 2 to 12 x an odd number to 31"
            )
        if not 0 <= self.tikhonov < 1:
            raise ValueError(f"tikhonov is {self.tikhonov}; expected a number from 0 to below 1")


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """Add the kernel to each `Bucket` with R > 1; other items pass.

    Images of a slice that share their calibration share the kernel.
    """
    kernels: dict[int, tuple[Calibration, Kernel]] = {}
    for item in items:
        if not isinstance(item, Bucket) or item.acceleration == (1, 1):
            yield item
            continue
        if item.calibration is None:
            needed = (parameters.kernel_e1 - 1) * item.acceleration[0] + 1
            raise ScanError(
                f"scan at R={item.acceleration[0]} has no ACS: no line carries a parallel calibration flag; "
                f"expected at least {needed} consecutive ones"
            )
        number = item.head.idx.slice
        if number not in kernels or kernels[number][0] is not item.calibration:
            kernels[number] = item.calibration, _kernel(item.calibration, item.acceleration, parameters)
        yield dataclasses.replace(item, kernel=kernels[number][1])


def _kernel(calibration: Calibration, acceleration: tuple[int, int], parameters: Parameters) -> Kernel:
    return calibrate(
        calibration.lines,
        Lattice(acceleration),
        n_lines=parameters.kernel_e1,
        n_samples=parameters.kernel_ro,
        tikhonov=parameters.tikhonov,
    )
