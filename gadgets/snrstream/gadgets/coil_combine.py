"""Gadget: adaptive coil combination, with the GRAPPA kernel folded in, and the g-map."""

import functools
import math
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
from torch import Tensor

from ..errors import ScanError
from ..items import Bucket, Calibration, ReconImage
from ..recon.grappa import Kernel
from ..recon.partial_fourier import shortfalls
from ..recon.plan import MapOptions, Plan
from ..recon.spectrum import Spectrum
from ..recon.volume import combine_in_slabs
from ..system.progress import progress_bar
from .gadget import Gadget, Scan, each
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


_Plans: TypeAlias = SharedBySlice[_Source, tuple[Plan, np.ndarray]]


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Make a `ReconImage` of each `Bucket`: maps, unmixing coefficients and g-map, one fused product.

    Images of a slice that share calibration and kernel share maps, coefficients and g-map. One that has no calibration
    has maps of its own: those of a darker one (an inversion null, a dummy) would lose its signal. Raises ScanError for
    data with R > 1 that has no kernel.
    """
    plans: _Plans = SharedBySlice()
    return each(Bucket, lambda bucket: _combined(bucket, parameters.options, plans))


def _combined(bucket: Bucket, options: MapOptions, plans: _Plans) -> ReconImage:
    acceleration = math.prod(bucket.lattice.acceleration)
    if acceleration > 1 and (bucket.kernel is None or bucket.calibration is None):
        raise ScanError(f"coil_combine got data at R={acceleration} without a kernel; expected grappa before it")
    if 8 * len(bucket.kspace) * math.prod(bucket.grid.size) * bucket.kspace.shape[-1] > MOST_PLAN_BYTES:
        return _in_slabs(bucket, options)
    make = functools.partial(_plan, bucket, options)
    if bucket.calibration is None:
        plan, gmap = make()
    else:
        source = _Source(bucket.kernel, bucket.calibration, bucket.grid.size, bucket.grid.step)
        plan, gmap = plans.get(bucket.head, source, make)
    acquired = bucket.acquired
    return _recon(bucket, plan.image(bucket.kspace, acquired), gmap, plan.spectrum(acquired))


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
