"""Gadget: adaptive coil combination, with the GRAPPA kernel folded in, and the g-map."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from ismrmrd import xsd

from .errors import ScanError
from .items import Bucket, ReconImage
from .recon.coil_maps import calibration_images, inati
from .recon.fft import to_image
from .recon.unmixing import combine, gfactor, snr_scale, unmixing_coefficients


@dataclass(frozen=True)
class Parameters:
    """window: edge in pixels of the neighbourhood from which a coil map's pixel is found."""

    window: int = 7

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 31 or self.window % 2 == 0:
            raise ValueError(f"window is {self.window}; expected an odd number of pixels up to 31")


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """`Bucket` to `ReconImage`: maps, unmixing coefficients and g-map, one fused product. Others pass."""
    for item in items:
        yield _reconstruct(item, parameters.window) if isinstance(item, Bucket) else item


def _reconstruct(bucket: Bucket, window: int) -> ReconImage:
    acceleration = bucket.acceleration[0]
    if acceleration > 1 and bucket.kernel is None:
        raise ScanError(f"coil_combine got k-space at R={acceleration} without a kernel; expected grappa before it")
    kspace = bucket.kspace[:, 0]
    n_e1 = kspace.shape[1]
    if acceleration == 1:
        low_resolution = to_image(kspace)
    else:
        low_resolution = calibration_images(bucket.calibration[:, 0], bucket.calibration_start, n_e1)
    unmixing = unmixing_coefficients(bucket.kernel, inati(low_resolution, window))
    effective = n_e1 / int(torch.count_nonzero(bucket.sampled))
    image = combine(kspace, unmixing, snr_scale(acceleration, effective))
    return ReconImage(
        image=image[None].numpy(),
        gmap=gfactor(unmixing, acceleration)[None].numpy(),
        voxel_mm=bucket.voxel_mm,
        head=bucket.head,
        history=("GRAPPA",) if acceleration > 1 else (),
        warnings=bucket.warnings,
    )
