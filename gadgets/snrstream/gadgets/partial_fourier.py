"""Gadget: estimate the side of k-space that partial Fourier scans and asymmetric echoes lack."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ismrmrd import xsd

from ..errors import ScanError
from ..items import ReconImage
from ..recon.partial_fourier import cut_axes, homodyne, pocs
from .shaped_image import shaped, tensors


@dataclass(frozen=True)
class Parameters:
    """The method.

    Neither method is linear: where a share f of the axis was acquired, the noise in phase with the signal is
    sqrt(3 / f - 2) times the g-map.
    """

    method: Annotated[Literal["pocs", "homodyne"], "how the missing side of k-space is estimated"] = "pocs"
    iterations: Annotated[int, "the most iterations that pocs makes, 1 to 1000"] = 20

    def __post_init__(self) -> None:
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
    if item.tapered:
        raise ScanError("partial_fourier got an image whose k-space was tapered; expected a pipeline without taper")
    image, gmap, spectrum = tensors(item)
    if parameters.method == "homodyne":
        (image, spectrum), name = homodyne(image, spectrum), "homodyne"
    else:
        (image, spectrum), name = pocs(image, spectrum, parameters.iterations), "POCS"
    return shaped(item, image, gmap, spectrum, f"partial Fourier: {name}")
