"""Gadget: images of which one side of k-space was cut short."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ismrmrd import xsd

from .items import ReconImage
from .recon.partial_fourier import cut_axes, homodyne, pocs, taper
from .shaped_image import shaped, tensors


@dataclass(frozen=True)
class Parameters:
    """method: `taper`, a smooth end of k-space at the cut side; `zero_fill`, none; `homodyne` and `pocs` estimate the
    lacking side, and do not keep the noise's SD at the g-factor. taper: its share of the acquired extent.
    iterations: the most that `pocs` makes."""

    method: Literal["taper", "zero_fill", "homodyne", "pocs"] = "taper"
    taper: float = 0.15
    iterations: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.taper <= 0.5:
            raise ValueError(f"taper is {self.taper}; expected a share above 0, to 0.5")
        if not 1 <= self.iterations <= 1000:
            raise ValueError(f"iterations is {self.iterations}; expected 1 to 1000")


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """`ReconImage`s whose k-space is cut along some axis, by the method chosen; others, and other items, pass."""
    for item in items:
        if isinstance(item, ReconImage) and cut_axes(item.spectrum):
            yield _estimated(item, parameters)
        else:
            yield item


def _estimated(item: ReconImage, parameters: Parameters) -> ReconImage:
    image, gmap, spectrum = tensors(item)
    if parameters.method == "taper":
        image, gmap, spectrum = taper(image, gmap, spectrum, parameters.taper)
        name = f"taper {parameters.taper:g}"
    elif parameters.method == "homodyne":
        (image, spectrum), name = homodyne(image, spectrum), "homodyne"
    elif parameters.method == "pocs":
        (image, spectrum), name = pocs(image, spectrum, parameters.iterations), "POCS"
    else:
        name = "zero-filled"
    return shaped(item, image, gmap, spectrum, f"partial Fourier: {name}")
