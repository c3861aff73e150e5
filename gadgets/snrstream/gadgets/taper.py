"""Gadget: a smooth end for k-space that was cut short on one side, against ringing."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from ..items import Bucket
from ..recon.partial_fourier import taper_weights
from .gadget import Gadget, Scan, each


@dataclass(frozen=True)
class Parameters:
    """How wide the smooth end is."""

    share: Annotated[
        float, "share of the acquired extent over which k-space falls off at the cut side, above 0 to 0.5"
    ] = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.share <= 0.5:
            raise ValueError(f"share is {self.share}; expected a number above 0, to 0.5")


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Taper the `Bucket`s of partial Fourier scans and asymmetric echoes; others pass.

    On the acquired lines, before unmixing, for there the noise is white: the image's SD stays at the g-map exactly.
    """
    return each(Bucket, lambda bucket: _tapered(bucket, parameters.share))


def _tapered(bucket: Bucket, share: float) -> Bucket:
    weights = taper_weights(bucket.spectrum(), share)
    if all(weight is None for weight in weights):
        return bucket
    e2, e1, ro = (
        (weight if weight is not None else bucket.sample_sd.new_ones(size)).float()
        for weight, size in zip(weights, (*bucket.grid.size, bucket.kspace.shape[-1]), strict=True)
    )
    lines = bucket.grid.of(e2[:, None] * e1)
    device = bucket.kspace.device
    return dataclasses.replace(
        bucket,
        kspace=bucket.kspace * lines[..., None].to(device) * ro.to(device),
        line_sd=bucket.line_sd * lines,
        sample_sd=bucket.sample_sd * ro,
        tapered=True,
        history=(*bucket.history, f"k-space tapered over {100 * share:g} %"),
    )
