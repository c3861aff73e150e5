"""Gadget: calibrate GRAPPA; the k-space goes on with its small kernel."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ismrmrd import xsd

from .errors import ScanError
from .items import Bucket
from .recon.grappa import TIKHONOV, calibrate


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
    """Add the kernel to each `Bucket` with R > 1; other items pass."""
    for item in items:
        if not isinstance(item, Bucket) or item.acceleration == (1, 1):
            yield item
            continue
        acceleration = item.acceleration[0]
        if item.calibration.shape[2] == 0:
            raise ScanError(
                f"scan at R={acceleration} has no ACS: no line carries a parallel calibration flag; expected "
                f"at least {(parameters.kernel_e1 - 1) * acceleration + 1} consecutive ones"
            )
        kernel = calibrate(
            item.calibration[:, 0], acceleration, parameters.kernel_e1, parameters.kernel_ro, parameters.tikhonov
        )
        yield dataclasses.replace(item, kernel=kernel)
