"""Gadget: window functions on the k-space of images, against ringing and noise."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from ..items import ReconImage
from ..recon.kspace_filter import filtered, gaussian, hanning
from .gadget import Gadget, Scan, each
from .shaped_image import shaped, tensors

Window = Literal["none", "gaussian", "hanning"]
DEFAULT_WIDTH = {"gaussian": 1.5, "hanning": 0.15}


@dataclass(frozen=True)
class Parameters:
    """A window for each axis, and its width.

    The width of a `gaussian` is its sigma in units of half of k-space, 0.05 to 100, and 1.5 where it is not set. That
    of `hanning` is the share of each half of k-space that rolls off, above 0 to 1, and 0.15 where it is not set; 1 is a
    full Hann window.
    """

    e1: Annotated[Window, "window along E1"] = "none"
    e1_width: Annotated[float | None, "width of the window along E1"] = None
    ro: Annotated[Window, "window along the readout"] = "none"
    ro_width: Annotated[float | None, "width of the window along the readout"] = None
    e2: Annotated[Window, "window along E2; a single partition has none"] = "none"
    e2_width: Annotated[float | None, "width of the window along E2"] = None

    def __post_init__(self) -> None:
        for axis in ("e1", "ro", "e2"):
            window, width = getattr(self, axis), getattr(self, f"{axis}_width")
            if width is None:
                continue
            if window == "none":
                raise ValueError(f"{axis}_width is {width}, {axis} is none; expected a window with it")
            if window == "gaussian" and not 0.05 <= width <= 100:
                raise ValueError(f"{axis}_width of a gaussian is {width}; expected a sigma from 0.05 to 100")
            if window == "hanning" and not 0 < width <= 1:
                raise ValueError(f"{axis}_width of a hanning window is {width}; expected a share above 0, to 1")


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Filter `ReconImage`s, with the noise's SD in their g-map. A single partition has no e2 to filter.

    The windows span all of k-space, acquired or not.
    """
    return each(ReconImage, lambda item: _filtered(item, parameters))


def _filtered(item: ReconImage, parameters: Parameters) -> ReconImage:
    weights: list[torch.Tensor | None] = []
    names = []
    for axis, size in zip(("e2", "e1", "ro"), item.image.shape, strict=True):
        window = getattr(parameters, axis)
        if window == "none" or size == 1:
            weights.append(None)
            continue
        given = getattr(parameters, f"{axis}_width")
        width = DEFAULT_WIDTH[window] if given is None else given
        weights.append(gaussian(size, width) if window == "gaussian" else hanning(size, width))
        names.append(f"{axis} {window} {width:g}")
    if not names:
        return item
    e2, e1, ro = weights
    return shaped(item, *filtered(*tensors(item), (e2, e1, ro)), f"k-space filter: {', '.join(names)}")
