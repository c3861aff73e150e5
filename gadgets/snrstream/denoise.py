"""Gadget: denoise images in SNR units by a network, blended with the original."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ismrmrd import xsd

from .denoising.blending import blend
from .denoising.onnx_model import load_model
from .items import ReconImage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parameters:
    """model: name of a folder in `models/`. alpha: weight of the original, 0 (network only) to 1
    (original); the manifest's default where it is not given."""

    model: str = "snraware_unet2d"
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; expected a number from 0 to 1")


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """Each `ReconImage`, followed by its denoised version; other items pass.

    An image that is not in SNR units has none: a network draws what it pleases from data beyond its range.
    The model is loaded, and its hash checked, before the first item is taken.
    """
    model = load_model(parameters.model)
    manifest = model.manifest
    alpha = manifest.default_alpha if parameters.alpha is None else parameters.alpha
    meta = {
        "SNRSTREAM_model": f"{manifest.name} {manifest.version}",
        "SNRSTREAM_model_sha256": manifest.sha256,
        "SNRSTREAM_alpha": f"{alpha:g}",
        "SNRSTREAM_device": model.device,
    }
    name = f"{manifest.name} {manifest.version}"
    done = f"denoised by {name}, alpha {alpha:g}" if alpha != 1 else f"alpha 1: not denoised by {name}"
    for item in items:
        yield item
        if isinstance(item, ReconImage) and not item.snr_units:
            log.warning("an image is not in SNR units: not denoised")
        elif isinstance(item, ReconImage) and not item.denoised:
            network = item.image if alpha == 1 else model.denoise(item.image, item.gmap)
            yield dataclasses.replace(
                item,
                image=blend(item.image, network, alpha),
                history=(*item.history, done),
                meta={**item.meta, **meta},
                denoised=True,
            )
