"""Gadget: window functions on the k-space of images, against ringing and noise."""

from dataclasses import dataclass
from typing import Literal

import torch

from ..items import ReconImage
from ..recon.kspace_filter import filtered, gaussian, hanning
from .gadget import Gadget, Scan, each
from .shaped_image import shaped, tensors

Window = Literal["none", "gaussian", "hanning"]
DEFAULT_WIDTH = {"gaussian": 1.5, "hanning": 0.15}


@dataclass(frozen=True)
class Parameters:
    """e1, e2, ro: the window along each axis. Its width is, for `gaussian`, sigma in units of half of k-space
    (default 1.5), and for `hanning` the share of each half that rolls off (default 0.15; 1 for a full Hann window)."""

    e1: Window = "none"
    e1_width: float | None = None
    ro: Window = "none"
    ro_width: float | None = None
    e2: Window = "none"
    e2_width: float | None = None

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
