"""Gadget: estimate the side of k-space that partial Fourier scans and asymmetric echoes lack."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ..errors import ScanError
from ..items import ReconImage
from ..recon.partial_fourier import cut_axes, homodyne, pocs
from .gadget import Gadget, Scan, each
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


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Fill the k-space of `ReconImage`s that is cut along some axis, by the method chosen; others pass.

    Raises ScanError for an image that was tapered.
    """
    return each(ReconImage, lambda item: _estimated(item, parameters) if cut_axes(item.spectrum) else item)


def _estimated(item: ReconImage, parameters: Parameters) -> ReconImage:
    if item.tapered:
        raise ScanError("partial_fourier got an image whose k-space was tapered; expected a pipeline without taper")
    image, gmap, spectrum = tensors(item)
    if parameters.method == "homodyne":
        (image, spectrum), name = homodyne(image, spectrum), "homodyne"
    else:
        (image, spectrum), name = pocs(image, spectrum, parameters.iterations), "POCS"
    return shaped(item, image, gmap, spectrum, f"partial Fourier: {name}")
