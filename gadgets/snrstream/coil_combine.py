"""Gadget: adaptive coil combination, with the GRAPPA kernel folded in, and the g-map."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ismrmrd import xsd

from .errors import ScanError
from .items import Bucket, ReconImage
from .recon.coil_maps import calibration_images, inati
from .recon.combine import Combiner, Grid
from .recon.fft import to_image
from .recon.grappa import Kernel
from .recon.unmixing import gfactor, snr_scale, unmixing_coefficients


@dataclass(frozen=True)
class Parameters:
    """window: edge in pixels of the neighbourhood from which a coil map's pixel is found.
    grid: distance in pixels of those found; the others are interpolated."""

    window: int = 7
    grid: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 31 or self.window % 2 == 0:
            raise ValueError(f"window is {self.window}; expected an odd number of pixels up to 31")
        if self.grid < 1:
            raise ValueError(f"grid is {self.grid}; expected 1 or more pixels")


@dataclass(frozen=True)
class _Plan:
    """What images of one slice share as long as kernel and sampling stay the same."""

    kernel: Kernel | None
    grid: Grid
    sampled: torch.Tensor
    combiner: Combiner
    gmap: np.ndarray

    def fits(self, bucket: Bucket) -> bool:
        return self.kernel is bucket.kernel and self.grid == bucket.grid and torch.equal(self.sampled, bucket.sampled)


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """`Bucket` to `ReconImage`: maps, unmixing coefficients and g-map, one fused product. Others pass.

    Images of a slice that share a kernel share maps, coefficients and g-map.
    """
    plans: dict[int, _Plan] = {}
    for item in items:
        if not isinstance(item, Bucket):
            yield item
            continue
        number = item.head.idx.slice
        plan = plans.get(number)
        if plan is None or not plan.fits(item):
            plan = plans[number] = _plan(item, parameters)
        yield ReconImage(
            image=plan.combiner.image(item.kspace).numpy(),
            gmap=plan.gmap,
            voxel_mm=item.voxel_mm,
            head=item.head,
            history=("GRAPPA",) if item.kernel is not None else (),
            warnings=item.warnings,
        )


def _plan(bucket: Bucket, parameters: Parameters) -> _Plan:
    acceleration = bucket.acceleration[0] * bucket.acceleration[1]
    if acceleration > 1 and bucket.kernel is None:
        raise ScanError(f"coil_combine got data at R={acceleration} without a kernel; expected grappa before it")
    if bucket.kernel is None or bucket.calibration is None:
        low_resolution = to_image(bucket.kspace, dims=(1, 2, 3))
    else:
        calibration = bucket.calibration
        low_resolution = calibration_images(calibration.lines, calibration.start, bucket.grid.size[1])
    unmixing = unmixing_coefficients(bucket.kernel, inati(low_resolution, parameters.window, parameters.grid))
    effective = math.prod(bucket.grid.size) / int(torch.count_nonzero(bucket.sampled))
    combiner = Combiner.plan(unmixing, snr_scale(acceleration, effective), bucket.grid)
    return _Plan(bucket.kernel, bucket.grid, bucket.sampled, combiner, gfactor(unmixing, acceleration).numpy())
