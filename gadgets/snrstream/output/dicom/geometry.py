"""Where the pixels of an MRD image lie in the patient, in the words of DICOM's image plane module.

MRD gives the centre of the image, and a centred FFT puts that centre at pixel floor(N/2): for an even
size half a pixel off the middle of the field of view. DICOM wants the centre of the first pixel. Counting
back floor(N/2) pixels, rather than half a field of view, keeps an object in place when its image is
zero-filled to another size. Both systems are LPS in mm.
"""

from dataclasses import dataclass

import ismrmrd
import numpy as np

from ...errors import ScanError
from ..image_values import label_of

# float32 direction cosines are good to about 1e-7 and some exporters print 4 digits. cos(90 deg -
# 0.06 deg) = 1e-3: beyond that the axes were never meant to be orthogonal.
ORTHOGONAL_TOLERANCE = 1e-3


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

    Raises
    ------
    ScanError
        Directions, position or field of view do not describe a plane.
    """
    _, nz, ny, nx = image.data.shape
    fov_mm = np.array(image.field_of_view, dtype=np.float64)
    position_mm = np.array(image.position, dtype=np.float64)
    # Some exporters leave the thickness of a 2D slice at 0.
    is_positive = np.all(fov_mm[:2] > 0) and (fov_mm[2] > 0 or (nz == 1 and fov_mm[2] == 0))
    if not np.all(np.isfinite(fov_mm)) or not is_positive:
        raise ScanError(f"{label_of(image)}: field_of_view is {_list(fov_mm)} mm, expected positive lengths")
    if not np.all(np.isfinite(position_mm)):
        raise ScanError(f"{label_of(image)}: position is {_list(position_mm)} mm, expected finite numbers")
    dx_mm, dy_mm, dz_mm = fov_mm / (nx, ny, nz)
    read = _unit_vector(image, "read_dir")
    phase = _unit_vector(image, "phase_dir")
    _check_orthogonal(image, "phase_dir", phase, "read_dir", read)
    phase = phase - (phase @ read) * read
    phase /= np.linalg.norm(phase)
    first_mm = position_mm - (nx // 2) * dx_mm * read - (ny // 2) * dy_mm * phase
    if nz == 1:
        return [ImagePlane(first_mm, read, phase, dx_mm, dy_mm, dz_mm)]
    # Only a volume needs slice_dir, and only its sign: it may run against read x phase.
    slice_dir = _unit_vector(image, "slice_dir")
    _check_orthogonal(image, "slice_dir", slice_dir, "read_dir", read)
    _check_orthogonal(image, "slice_dir", slice_dir, "phase_dir", phase)
    normal = np.cross(read, phase)
    step_mm = dz_mm * np.copysign(1.0, slice_dir @ normal) * normal
    return [ImagePlane(first_mm + (z - nz // 2) * step_mm, read, phase, dx_mm, dy_mm, dz_mm) for z in range(nz)]


def _unit_vector(image: ismrmrd.Image, field: str) -> np.ndarray:
    vector = np.array(getattr(image, field), dtype=np.float64)
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length < 1e-6:
        raise ScanError(f"{label_of(image)}: {field} is {_list(vector)}, expected a direction of length 1")
    return vector / length


def _check_orthogonal(image: ismrmrd.Image, field: str, a: np.ndarray, other: str, b: np.ndarray) -> None:
    if abs(a @ b) > ORTHOGONAL_TOLERANCE:
        raise ScanError(
            f"{label_of(image)}: {field} {_list(a)} and {other} {_list(b)} have a scalar product of {a @ b:.3g}, "
            f"expected orthogonal directions (at most {ORTHOGONAL_TOLERANCE:g})"
        )


def _list(vector: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:g}" for value in vector) + "]"
