"""Gadget: adaptive coil combination, with the GRAPPA kernel folded in, and the g-map."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from ismrmrd import xsd
from torch import Tensor

from ..errors import ScanError
from ..items import Bucket, Calibration, ReconImage
from ..recon.acquired import Acquired
from ..recon.coil_maps import calibration_images, inati, walsh
from ..recon.combine import Combiner
from ..recon.fft import to_image
from ..recon.grappa import Kernel
from ..recon.partial_fourier import shortfalls
from ..recon.spectrum import Spectrum
from ..recon.unmixing import gfactor, unmixing_coefficients
from ..recon.volume import combine_in_slabs
from ..system.progress import progress_bar
from .shared import SharedBySlice

MOST_PLAN_BYTES = 1 << 30  # of coefficients that are kept for the next image
MOST_SAMPLINGS = 64  # of one slice, whose coefficients are kept


@dataclass(frozen=True)
class Parameters:
    """maps: coil sensitivity maps by `inati` or `walsh`, which differ in their phase.
    window: edge in pixels of the neighbourhood from which a coil map's pixel is found.
    grid: distance in pixels of those found; the others are interpolated."""

    maps: Literal["inati", "walsh"] = "inati"
    window: int = 7
    grid: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 31 or self.window % 2 == 0:
            raise ValueError(f"window is {self.window}; expected an odd number of pixels up to 31")
        if not 1 <= self.grid <= 16:
            raise ValueError(f"grid is {self.grid}; expected 1 to 16 pixels")


@dataclass(frozen=True)
class _Source:
    """What maps, coefficients and g-map are made of. size, step: of the grid, (e2, e1)."""

    kernel: Kernel | None
    calibration: Calibration
    size: tuple[int, int]
    step: tuple[int, int]


@dataclass(frozen=True)
class _Plan:
    """What images of one source share, or an image without calibration has for itself."""

    base: Combiner
    gmap: np.ndarray
    samplings: dict[Acquired, tuple[Combiner, Spectrum]] = field(default_factory=dict)

    def of(self, acquired: Acquired) -> tuple[Combiner, Spectrum]:
        """For what this image has of k-space: interleaved repetitions have other lines, some echoes fewer samples."""
        if acquired not in self.samplings:
            if len(self.samplings) == MOST_SAMPLINGS:
                self.samplings.clear()
            grid, scale = acquired.grid, acquired.scale
            same = (self.base.grid, self.base.scale) == (grid, scale)
            self.samplings[acquired] = (self.base if same else self.base.moved(scale, grid)), acquired.spectrum()
        return self.samplings[acquired]


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """`Bucket` to `ReconImage`: maps, unmixing coefficients and g-map, one fused product. Others pass.

    Images of a slice that share calibration and kernel share maps, coefficients and g-map. One that has no calibration
    has maps of its own: those of a darker one (an inversion null, a dummy) would lose its signal.
    """
    plans: SharedBySlice[_Source, _Plan] = SharedBySlice()
    for item in items:
        if not isinstance(item, Bucket):
            yield item
            continue
        acceleration = math.prod(item.lattice.acceleration)
        if acceleration > 1 and (item.kernel is None or item.calibration is None):
            raise ScanError(f"coil_combine got data at R={acceleration} without a kernel; expected grappa before it")
        if 8 * len(item.kspace) * math.prod(item.grid.size) * item.kspace.shape[-1] > MOST_PLAN_BYTES:
            yield _in_slabs(item, parameters)
            continue
        make = functools.partial(_plan, item, parameters)
        if item.calibration is None:
            plan = make()
        else:
            source = _Source(item.kernel, item.calibration, item.grid.size, item.grid.step)
            plan = plans.get(item.head, source, make)
        combiner, spectrum = plan.of(item.acquired)
        yield _recon(item, combiner.image(item.kspace), plan.gmap, spectrum)


def _plan(bucket: Bucket, parameters: Parameters) -> _Plan:
    if bucket.calibration is None:
        coils = to_image(bucket.kspace, dims=(1, 2, 3))
    else:
        acs = to_image(bucket.calibration.kspace, dims=(-1,))
        coils = calibration_images(acs, bucket.calibration.start, bucket.grid.size)
    unmixing = unmixing_coefficients(bucket.kernel, _maps(bucket, parameters)(coils))
    gmap = gfactor(unmixing, math.prod(bucket.lattice.acceleration))
    return _Plan(Combiner.plan(unmixing, bucket.acquired.scale, bucket.grid), gmap.cpu().numpy())


def _in_slabs(bucket: Bucket, parameters: Parameters) -> ReconImage:
    calibration = bucket.calibration
    image, gmap = combine_in_slabs(
        bucket.kspace,
        bucket.grid,
        bucket.kernel,
        (calibration.kspace, calibration.start) if calibration is not None else None,
        bucket.acquired.scale,
        _maps(bucket, parameters),
        margin=parameters.window // 2 + parameters.grid,
        step=parameters.grid,
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


def _maps(bucket: Bucket, parameters: Parameters) -> Callable[[Tensor], Tensor]:
    """Coil maps of coil images, by the same reference channel wherever in the image they lie."""
    if parameters.maps == "inati":
        return functools.partial(inati, window=parameters.window, step=parameters.grid)
    signal = bucket.calibration.kspace if bucket.calibration is not None else bucket.kspace
    strongest = int(torch.linalg.vector_norm(signal.flatten(1), dim=1).argmax())
    return functools.partial(walsh, window=parameters.window, step=parameters.grid, reference=strongest)
