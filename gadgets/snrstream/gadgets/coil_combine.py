"""Gadget: adaptive coil combination, with the GRAPPA kernel folded in, and the g-map."""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from torch import Tensor

from ..errors import ScanError
from ..items import Bucket, Calibration, Item, ReconImage
from ..recon.device import device_name
from ..recon.grappa import Kernel
from ..recon.partial_fourier import shortfalls
from ..recon.plan import MapOptions, Plan
from ..recon.spectrum import Spectrum
from ..recon.volume import combine_in_slabs
from ..sorting.calibration_block import is_dark
from ..system.progress import progress_bar
from .gadget import Gadget, Scan
from .shared import SharedBySlice

MOST_PLAN_BYTES = 1 << 30  # of coefficients that are kept for the next image


@dataclass(frozen=True)
class Parameters:
    """How the coil sensitivity maps are found."""

    maps: Annotated[
        Literal["virtual", "walsh", "inati"],
        "whose phase the images of a slice have: virtual, that of the combination of channels with most of the signal; "
        "walsh, that of the channel with most of it; inati, each its own, with the slowly varying part taken out",
    ] = "virtual"
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

    def is_served_by(self, earlier: "_Source") -> bool:
        """Whether the plan of an earlier one does until this one's is made."""
        mine, its = self.kernel, earlier.kernel
        return (
            mine is not None
            and its is not None
            and self.calibration.first is earlier.calibration.first
            and (mine.lattice, self.size, self.step) == (its.lattice, earlier.size, earlier.step)
        )


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Make a `ReconImage` of each `Bucket`: maps, unmixing coefficients and g-map, one fused product.

    Images of a slice that share calibration and kernel share maps, coefficients and g-map. One that has no calibration
    has maps of its own: those of a darker one (an inversion null, a dummy) would lose its signal. The phase of all maps
    of a slice is referred to one channel. Raises ScanError for data with R > 1 that has no kernel.
    """
    return _Combiner(parameters.options)


class _Combiner(Gadget):
    def __init__(self, options: MapOptions) -> None:
        self._options = options
        self._plans: SharedBySlice[_Source, tuple[Plan, np.ndarray]] = SharedBySlice()
        self._references: dict[int, Tensor] = {}  # of each slice, in the scan's own channels

    def take(self, item: Item) -> Iterable[Item]:
        return (self._combined(item) if isinstance(item, Bucket) else item,)

    def pause(self) -> Iterable[Item]:
        self._plans.pause()
        return ()

    def close(self) -> None:
        self._plans.close()

    def _combined(self, bucket: Bucket) -> ReconImage:
        acceleration, calibration = math.prod(bucket.lattice.acceleration), bucket.calibration
        if acceleration > 1 and (bucket.kernel is None or calibration is None):
            raise ScanError(f"coil_combine got data at R={acceleration} without a kernel; expected grappa before it")
        reference = self._reference(bucket)
        if 8 * len(bucket.kspace) * math.prod(bucket.grid.size) * bucket.kspace.shape[-1] > MOST_PLAN_BYTES:
            return _in_slabs(bucket, self._options, reference)
        make = functools.partial(_plan, bucket, self._options, reference)
        if calibration is None:
            plan, gmap = make()
        else:
            source = _Source(bucket.kernel, calibration, bucket.grid.size, bucket.grid.step)
            serves = source.is_served_by if calibration.n_averaged > 1 else None
            plan, gmap = self._plans.get(bucket.head, source, make, serves)
        acquired = bucket.acquired
        return _recon(bucket, plan.image(bucket.kspace, acquired), gmap, plan.spectrum(acquired))

    def _reference(self, bucket: Bucket) -> Tensor | None:
        """The channel that the maps' phase is referred to, as the first image of the slice that is not dark tells."""
        compression, number = bucket.compression, bucket.head.idx.slice
        if number not in self._references:
            calibration = bucket.calibration
            found = self._options.reference(bucket.kspace if calibration is None else calibration.kspace)
            if found is None or _is_dark(bucket):
                return found
            self._references[number] = found if compression is None else compression.mH @ found
        reference = self._references[number]
        return reference if compression is None else compression @ reference


def _is_dark(bucket: Bucket) -> bool:
    if bucket.calibration is not None:
        return bucket.calibration.block.is_dark
    return bucket.snr_units and is_dark(bucket.kspace, bucket.line_sd, bucket.sample_sd)


def _plan(bucket: Bucket, options: MapOptions, reference: Tensor | None) -> tuple[Plan, np.ndarray]:
    """The plan, and its g-map as all its images carry it."""
    calibration = bucket.calibration
    if calibration is None:
        plan = Plan.of_image(bucket.kspace, bucket.acquired, options, reference)
    else:
        acs, start = calibration.kspace, calibration.start
        plan = Plan.of(acs, start, bucket.acquired, bucket.kernel, options, reference)
    return plan, plan.gmap.cpu().numpy()


def _in_slabs(bucket: Bucket, options: MapOptions, reference: Tensor | None) -> ReconImage:
    calibration = bucket.calibration
    image, gmap = combine_in_slabs(
        bucket.kspace,
        bucket.grid,
        bucket.kernel,
        (calibration.kspace, calibration.start) if calibration is not None else None,
        bucket.acquired.scale,
        options.finder(reference),
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
        meta={"SNRSTREAM_recon_device": device_name(bucket.kspace.device)},
        tapered=bucket.tapered,
        warnings=bucket.warnings + shortfalls(spectrum),
        snr_units=bucket.snr_units,
    )
