"""Where the pixels of an MRD image lie in the patient, in the words of DICOM's image plane module.

MRD gives the centre of the image, and a centred FFT puts that centre at pixel floor(N/2): for an even
size half a pixel off the middle of the field of view. DICOM wants the centre of the first pixel. Counting
back floor(N/2) pixels, rather than half a field of view, keeps an object in place when its image is
zero-filled to another size. Both systems are LPS in mm.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import ismrmrd
import numpy as np

from ...errors import ScanError
from ..image_values import label_of, meta_values
from ..orientation import signed_orientation


@dataclass(frozen=True)
class ImagePlane:
    """One 2D slice. Vectors of shape (3,), float64, LPS.

    Pixel (row y, column x) has its centre at `first_pixel_mm` + x `dx_mm` `read` + y `dy_mm` `phase`.

    Attributes
    ----------
    first_pixel_mm
        Centre of the first pixel.
    read, phase
        Directions of the rows and columns, of length 1, orthogonal.
    dx_mm, dy_mm
        Distance of pixels.
    dz_mm
        Slice thickness, 0 where the image does not say.
    """

    first_pixel_mm: np.ndarray
    read: np.ndarray
    phase: np.ndarray
    dx_mm: float
    dy_mm: float
    dz_mm: float

    @property
    def location_mm(self) -> float:
        """Distance of the plane from the origin along read x phase."""
        return float(np.cross(self.read, self.phase) @ self.first_pixel_mm)


def image_planes(image: ismrmrd.Image) -> list[ImagePlane]:
    """The planes of an image of shape (channel, z, y, x), one for each z.

    Where the header has no directions they are axial, see `orientation_of`, and without positions besides, the slices
    lie one behind the other.

    Raises
    ------
    ScanError
        The field of view is not positive.
    """
    _, nz, ny, nx = image.data.shape
    fov_mm = np.array(image.field_of_view, dtype=np.float64)
    # Some exporters leave the thickness of a 2D slice at 0.
    is_positive = np.all(fov_mm[:2] > 0) and (fov_mm[2] > 0 or (nz == 1 and fov_mm[2] == 0))
    if not np.all(np.isfinite(fov_mm)) or not is_positive:
        raise ScanError(f"{label_of(image)}: field_of_view is {_list(fov_mm)} mm, expected positive lengths")
    dx_mm, dy_mm, dz_mm = fov_mm / (nx, ny, nz)
    lies = signed_orientation(image)
    center_mm = lies.position_mm
    if not lies.is_known and not center_mm.any():
        center_mm = image.slice * dz_mm * lies.slice  # or the slices of a scan would lie in one place
    first_mm = center_mm - nx // 2 * dx_mm * lies.read - ny // 2 * dy_mm * lies.phase - nz // 2 * dz_mm * lies.slice
    return [
        ImagePlane(first_mm + z * dz_mm * lies.slice, lies.read, lies.phase, dx_mm, dy_mm, dz_mm) for z in range(nz)
    ]


def untold_faults(images: Iterable[ismrmrd.Image]) -> list[str]:
    """What in the headers of images cannot be used, each once, but for what their own warnings tell."""
    faults: dict[str, None] = {}
    for image in images:
        told = meta_values(image, "SNRSTREAM_warning")
        faults |= dict.fromkeys(fault for fault in signed_orientation(image).faults if fault not in told)
    return list(faults)


def _list(vector: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:g}" for value in vector) + "]"
