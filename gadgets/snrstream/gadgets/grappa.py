"""Gadget: calibrate GRAPPA; the data goes on with its small kernel."""

import dataclasses
import functools
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from ..errors import ScanError
from ..items import Bucket, Calibration, Item
from ..recon.grappa import TIKHONOV, Kernel
from ..recon.lattice import Lattice
from ..recon.plan import KernelOptions, fit_kernel
from ..sorting.calibration_choice import CHOICES
from .gadget import Gadget, Scan
from .shared import SharedBySlice

log = logging.getLogger(__name__)

MOST_WAITING_BYTES = 12 << 30


@dataclass(frozen=True)
class Parameters:
    """Size and regularisation of the kernel, and the lines that it is made of.

    Fewer lines are taken where the calibration lines cannot train more.
    """

    kernel_e1: Annotated[int, "kernel size along E1, in acquired lines, 2 to 12"] = 4
    kernel_e2: Annotated[int, "kernel size along E2, in acquired partitions, 2 to 12"] = 4
    kernel_ro: Annotated[int, "kernel size along the readout, in samples: odd, 1 to 31"] = 5
    tikhonov: Annotated[
        float,
        "regularisation, as a fraction of the mean diagonal of the normal equations, from 0 to below 1: more has less "
        "noise and more residual aliasing, which no denoiser takes away",
    ] = TIKHONOV
    calibration: Annotated[
        Literal["first", "running", "each", "all"],
        "which calibration lines an image goes by, where later images of a slice bring some too: first takes the first "
        "complete ones of its slice and contrast; running the mean of all so far, renewed beside the stream as it "
        "grows; each the image's own; all the mean of the whole scan, so that no image leaves before the scan's end",
    ] = "first"

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
        return KernelOptions(self.kernel_e1, self.kernel_e2, self.kernel_ro, self.tikhonov)


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Add the kernel to each `Bucket` with R > 1, and the calibration that it is to be reconstructed by.

    Images of a slice that share their calibration and sampling share the kernel. Raises ScanError where there are too
    few channels, no calibration lines, or too few of them.
    """
    return _Grappa(parameters)


@dataclass(frozen=True)
class _Source:
    """What a kernel is made of. size: of k-space (e2, e1)."""

    calibration: Calibration
    lattice: Lattice
    size: tuple[int, int]

    def kernel(self, options: KernelOptions) -> tuple[Calibration, Kernel]:
        acs, start = self.calibration.kspace, self.calibration.start
        return self.calibration, fit_kernel(acs, start, self.size, self.lattice, options)

    def is_served_by(self, earlier: "_Source") -> bool:
        """Whether the kernel of an earlier one does until this one's is made."""
        same = self.calibration.first is earlier.calibration.first
        return same and dataclasses.replace(earlier, calibration=self.calibration) == self


class _Grappa(Gadget):
    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._choice = CHOICES[parameters.calibration]()
        self._kernels: SharedBySlice[_Source, tuple[Calibration, Kernel]] = SharedBySlice()
        self._waiting: deque[Bucket] = deque()
        self._n_bytes = 0  # of those that wait

    def take(self, item: Item) -> Iterable[Item]:
        if not isinstance(item, Bucket) or item.lattice.acceleration == (1, 1):
            return (item,)
        self._choice.add(item)
        if not self._choice.is_late:
            return (self._with_kernel(item),)
        self._waiting.append(dataclasses.replace(item, calibration=None))
        self._n_bytes += item.kspace.nbytes
        if self._n_bytes > MOST_WAITING_BYTES:
            raise ScanError(
                f"images that wait for the end of the scan, for calibration={self._parameters.calibration}, hold more "
                f"than {MOST_WAITING_BYTES >> 30} GiB of k-space; expected less (calibration=first lets them go)"
            )
        return ()

    def pause(self) -> Iterable[Item]:
        self._choice.pause()
        self._kernels.pause()
        return ()

    def end(self) -> Iterator[Item]:
        while self._waiting:
            yield self._with_kernel(self._waiting.popleft())

    def failed(self) -> Iterator[Item]:
        try:
            yield from self.end()
        except ScanError as exc:  # the scan has failed already, for a reason of its own
            log.error("images that waited for the end of the scan: %s", exc)

    def close(self) -> None:
        self._choice.close()
        self._kernels.close()

    def _with_kernel(self, bucket: Bucket) -> Bucket:
        (r1, r2), parameters = bucket.lattice.acceleration, self._parameters
        net = r1 * r2
        if len(bucket.kspace) < net:
            raise ScanError(f"data has {len(bucket.kspace)} channels; expected at least {net}, the net acceleration")
        calibration = self._choice.of(bucket)
        if calibration is None:
            needed = (parameters.kernel_e1 - 1) * r1 + 1
            raise ScanError(
                f"scan at R={r1 if r2 == 1 else f'{r1} x {r2}'} has no ACS: no line of slice {bucket.head.idx.slice} "
                f"has carried a parallel calibration flag so far; expected at least {needed} consecutive ones"
            )
        source = _Source(calibration, bucket.lattice, bucket.grid.size)
        make = functools.partial(source.kernel, parameters.options)
        serves = source.is_served_by if calibration.n_averaged > 1 else None
        used, kernel = self._kernels.get(bucket.head, source, make, serves)
        warnings = bucket.warnings + used.warnings
        return dataclasses.replace(bucket, kernel=kernel, calibration=used, warnings=warnings)
