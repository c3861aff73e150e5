"""Gadget: adaptive coil combination, with the GRAPPA kernel folded in, and the g-map."""

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from ismrmrd import xsd
from torch import Tensor

from ..errors import ScanError
from ..items import Bucket, Calibration, ReconImage
from ..recon.grappa import Kernel
from ..recon.partial_fourier import shortfalls
from ..recon.plan import MapOptions, Plan
from ..recon.spectrum import Spectrum
from ..recon.volume import combine_in_slabs
from ..system.progress import progress_bar
from .shared import SharedBySlice

MOST_PLAN_BYTES = 1 << 30  # of coefficients that are kept for the next image


@dataclass(frozen=True)
class Parameters:
    """How the coil sensitivity maps are found."""

    maps: Annotated[
        Literal["inati", "walsh"], "method by which the coil sensitivity maps are found; the two differ in their phase"
    ] = "inati"
    window: Annotated[
        int, "edge, in pixels, of the neighbourhood from which a pixel of a coil map is found: odd, up to 31"
    ] = 7
    grid: Annotated[
        int, "distance, in pixels, of the pixels of a coil map that are found, 1 to 16; those between are interpolated"
    ] = 2

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 31 or self.window % 2 == 0:
            raise ValueError(f"window is {self.window}; expected an odd number of pixels up to 31")
        if not 1 <= self.grid <= 16:
            raise ValueError(f"grid is {self.grid}; expected 1 to 16 pixels")

    @property
    def options(self) -> MapOptions:
        """The same, as the reconstruction takes them."""
        return MapOptions(self.maps, self.window, self.grid)


@dataclass(frozen=True)
class _Source:
    """What maps, coefficients and g-map are made of. size, step: of the grid, (e2, e1)."""

    kernel: Kernel | None
    calibration: Calibration
    size: tuple[int, int]
    step: tuple[int, int]


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """`Bucket` to `ReconImage`: maps, unmixing coefficients and g-map, one fused product. Others pass.

    Images of a slice that share calibration and kernel share maps, coefficients and g-map. One that has no calibration
    has maps of its own: those of a darker one (an inversion null, a dummy) would lose its signal.
    """
    plans: SharedBySlice[_Source, tuple[Plan, np.ndarray]] = SharedBySlice()
    for item in items:
        if not isinstance(item, Bucket):
            yield item
            continue
        acceleration = math.prod(item.lattice.acceleration)
        if acceleration > 1 and (item.kernel is None or item.calibration is None):
            raise ScanError(f"coil_combine got data at R={acceleration} without a kernel; expected grappa before it")
        if 8 * len(item.kspace) * math.prod(item.grid.size) * item.kspace.shape[-1] > MOST_PLAN_BYTES:
            yield _in_slabs(item, parameters.options)
            continue
        make = functools.partial(_plan, item, parameters.options)
        if item.calibration is None:
            plan, gmap = make()
        else:
            source = _Source(item.kernel, item.calibration, item.grid.size, item.grid.step)
            plan, gmap = plans.get(item.head, source, make)
        acquired = item.acquired
        yield _recon(item, plan.image(item.kspace, acquired), gmap, plan.spectrum(acquired))


def _plan(bucket: Bucket, options: MapOptions) -> tuple[Plan, np.ndarray]:
    """The plan, and its g-map as all its images carry it."""
    calibration = bucket.calibration
    if calibration is None:
        plan = Plan.of_image(bucket.kspace, bucket.acquired, options)
    else:
        plan = Plan.of(calibration.kspace, calibration.start, bucket.acquired, bucket.kernel, options)
    return plan, plan.gmap.cpu().numpy()


def _in_slabs(bucket: Bucket, options: MapOptions) -> ReconImage:
    calibration = bucket.calibration
    image, gmap = combine_in_slabs(
        bucket.kspace,
        bucket.grid,
        bucket.kernel,
        (calibration.kspace, calibration.start) if calibration is not None else None,
        bucket.acquired.scale,
        options.finder(calibration.kspace if calibration is not None else bucket.kspace),
        margin=options.margin,
        step=options.step,
        watch=functools.partial(progress_bar, what="slabs"),
    )
    return _recon(bucket, image, gmap.numpy(), bucket.spectrum())


def _recon(bucket: Bucket, image: Tensor, gmap: np.ndarray, spectrum: Spectrum) -> ReconImage:
    return ReconImage(
        image=image.cpu().numpy(),
        gmap=gmap,
        spectrum=spectrum,
        voxel_mm=bucket.voxel_mm,
        head=bucket.head,
        history=(*bucket.history, "GRAPPA") if bucket.kernel is not None else bucket.history,
        tapered=bucket.tapered,
        warnings=bucket.warnings + shortfalls(spectrum),
        snr_units=bucket.snr_units,
    )
