"""Gadget: set to zero what is no more than noise. A gadget of one's own: copy the file, and change what it does.

The file's name is the gadget's name. `Parameters` are its properties, each with a default; `AFTER` is the gadget of
snrstream that it follows, so that it takes what leaves that one; `start` makes the gadget for one scan.
"""

import dataclasses
from typing import Annotated

import numpy as np

from snrstream import Gadget, ReconImage, Scan, each

AFTER = "denoise"


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Which pixels stay."""

    snr: Annotated[float, "lowest SNR of a pixel that stays, 0 to 1000"] = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.snr <= 1000:
            raise ValueError(f"snr is {self.snr}; expected a number from 0 to 1000")


def start(_scan: Scan, parameters: Parameters) -> Gadget:
    """Mask each image, and leave a note of it in its attributes; all other items pass."""
    return each(ReconImage, lambda item: masked(item, parameters.snr))


def masked(item: ReconImage, snr: float) -> ReconImage:
    """The image, 0 where its magnitude is less than `snr` times its noise, whose SD is the g-map."""
    image = np.where(np.abs(item.image) < snr * item.gmap, np.complex64(0), item.image)
    return dataclasses.replace(item, image=image, history=(*item.history, f"masked below SNR {snr:g}"))
