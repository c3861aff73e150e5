"""Gadget: denoise images in SNR units by a network, blended with the original."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ismrmrd import xsd

from .denoising.blending import blend
from .denoising.model import TIMEOUT_S, Model, load_model
from .errors import ModelError, ModelTimeout
from .items import ReconImage
from .resources import is_plain_name

log = logging.getLogger(__name__)

LONGEST_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Parameters:
    """model: name of a folder in `models/`. alpha: weight of the original, 0 (network only) to 1
    (original); the manifest's default where it is not given. timeout_s: how long the network may take
    for an image, or for each 8 partitions of a volume, and to be loaded; above 0, at most 3600."""

    model: str = "snraware_unet2d"
    alpha: float | None = None
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        if not is_plain_name(self.model):
            raise ValueError(
                f"model {self.model[:200]!r} is not a plain name; expected the name of a folder in models/"
            )
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; expected a number from 0 to 1")
        if not 0 < self.timeout_s <= LONGEST_TIMEOUT_S:
            raise ValueError(f"timeout_s is {self.timeout_s}; expected seconds, above 0 to {LONGEST_TIMEOUT_S:g}")


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """Each `ReconImage`, followed by its denoised version; other items pass.

    Whatever is wrong with the model, a scan never ends for it. In the place of a denoised image then comes the original
    once more, bit for bit, marked as not denoised and with a warning that says why. So does it for an image that is
    not in SNR units, for a network draws what it pleases from data beyond its range; and for alpha = 1, unwarned.

    The model is loaded, and its hash checked, before the first item is taken. One that could not be loaded or exceeded
    its time limit is not tried again in this scan, for each image would wait for it. After any other failure, such as
    too little memory, it is tried again with the next image, which may fare better and seldom waits for long.
    """
    denoiser = _Denoiser(parameters)
    for item in items:
        yield item
        if isinstance(item, ReconImage) and not item.denoised and not item.stand_in:
            yield denoiser.second(item)


class _Denoiser:
    """One scan's use of a model. Each reason not to denoise is logged once."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._told: set[str] = set()
        self._unusable = ""  # why, for the rest of the scan
        try:
            self._model = load_model(parameters.model, parameters.timeout_s)
        except (ModelError, MemoryError) as exc:
            self._unusable = _reason(exc)

    def second(self, item: ReconImage) -> ReconImage:
        """The image that follows its original: denoised, or in the place of a denoised one."""
        if not item.snr_units:
            return self._failed(item, "the image is not in SNR units")
        if self._unusable:
            return self._failed(item, self._unusable)
        default = self._model.manifest.default_alpha
        alpha = default if self._parameters.alpha is None else self._parameters.alpha
        if alpha == 1:
            return _stand_in(item, "not denoised: alpha is 1", {"SNRSTREAM_alpha": "1"})
        try:
            return _denoised(item, self._model, alpha, self._parameters.timeout_s)
        except ModelTimeout as exc:
            self._unusable = _reason(exc)
            return self._failed(item, self._unusable)
        except (ModelError, MemoryError) as exc:
            return self._failed(item, _reason(exc))

    def _failed(self, item: ReconImage, reason: str) -> ReconImage:
        if reason not in self._told:
            self._told.add(reason)
            log.warning("not denoised: %s", reason)
        warnings = (*item.warnings, f"not denoised: {reason}")
        return dataclasses.replace(_stand_in(item, "not denoised", {}), warnings=warnings)


def _denoised(item: ReconImage, model: Model, alpha: float, timeout_s: float) -> ReconImage:
    manifest = model.manifest
    name = f"{manifest.name} {manifest.version}"
    meta = {
        "SNRSTREAM_denoised": "true",
        "SNRSTREAM_model": name,
        "SNRSTREAM_model_sha256": manifest.sha256,
        "SNRSTREAM_alpha": f"{alpha:g}",
        "SNRSTREAM_device": model.device,
    }
    return dataclasses.replace(
        item,
        image=blend(item.image, model.denoise(item.image, item.gmap, timeout_s), alpha),
        history=(*item.history, f"denoised by {name}, alpha {alpha:g}"),
        meta={**item.meta, **meta},
        denoised=True,
    )


def _stand_in(item: ReconImage, history: str, meta: dict[str, str]) -> ReconImage:
    return dataclasses.replace(
        item,
        history=(*item.history, history),
        meta={**item.meta, "SNRSTREAM_denoised": "false", **meta},
        stand_in=True,
    )


def _reason(exc: Exception) -> str:
    return str(exc) or "out of memory"
