"""Along what the pixel axes of images run: along the directions of the header, or as k-space has them.

Images come of the inverse FFT. A header's directions may hold for that, or for the forward FFT, whose images are the
same but turned: pixel -n about the centre in place of n, along each axis. See docs/adr/0023-pixel-axes.md.
"""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ismrmrd import xsd

from ..items import ReconImage
from ..output.orientation import AGAINST, ALONG, AXES, orientation_of

log = logging.getLogger(__name__)

Axes = Literal["patient", "kspace", "forward", "inverse"]


@dataclass(frozen=True)
class Placement:
    """Where the pixels of an image lie once they have left.

    Attributes
    ----------
    is_turned
        Whether their order along all axes is reversed.
    position
        Of pixel floor(N / 2), in mm, for the header: of even sizes, another pixel than before they were turned.
    axes
        `ALONG` the directions of the header or `AGAINST` them.
    faults
        What in the header could not be used.
    """

    is_turned: bool
    position: tuple[float, float, float]
    axes: str
    faults: tuple[str, ...]

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Pixels `(e2, e1, ro)`, in the order in which they leave."""
        return np.ascontiguousarray(np.flip(values)) if self.is_turned else values


def placed(image: ReconImage, axes: Axes, is_forward: bool) -> Placement:
    """How an image is to leave.

    Parameters
    ----------
    image : ReconImage
        As reconstructed, or as Gadgetron sent it. One that has left already, and came back, says how it lies.
    axes : str
        As `image_finish` takes them.
    is_forward : bool
        Whether the directions of the scan hold for the forward FFT, see `directions_are_forward`.
    """
    n_pixels = image.image.shape[::-1]
    found = orientation_of(image.head, is_volume=n_pixels[2] > 1)
    if axes in ("patient", "kspace"):
        said = image.meta.get(AXES)
        is_forward = said in (AGAINST, [AGAINST]) if said else is_forward and found.is_known
    else:
        is_forward = axes == "forward"
    is_turned = is_forward and axes != "kspace"
    position = found.position_mm.copy()
    if is_turned and found.is_known:
        for n, voxel_mm, direction in zip(
            n_pixels, image.voxel_mm, (found.read, found.phase, found.slice), strict=True
        ):
            if n % 2 == 0:  # the pixel that was floor(N / 2) is now the one before
                position += voxel_mm * direction
    x, y, z = (float(value) for value in position)
    return Placement(is_turned, (x, y, z), AGAINST if is_forward and not is_turned else ALONG, found.faults)


def directions_are_forward(header: xsd.ismrmrdHeader) -> bool:
    """Whether the directions hold for the forward FFT: of Siemens' scans, but for those by a Pulseq sequence."""
    system = header.acquisitionSystemInformation
    vendor = (system.systemVendor if system is not None else None) or ""
    if "SIEMENS" not in vendor.upper():
        return False
    if _is_pulseq(header):
        log.info("a Pulseq sequence has axes of its own: its images are not turned; axes=forward of image_finish does")
        return False
    return True


def _is_pulseq(header: xsd.ismrmrdHeader) -> bool:
    """Whether the names of sequence, protocol or series, or a user's text, have the word pulseq in them."""
    measurement, user = header.measurementInformation, header.userParameters
    texts = []
    if measurement is not None:
        texts += [measurement.sequenceName, measurement.protocolName, measurement.seriesDescription]
    if user is not None:
        texts += [text for parameter in user.userParameterString for text in (parameter.name, parameter.value)]
    return any("pulseq" in text.lower() for text in texts if text)
