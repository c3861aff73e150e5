"""Gadget: images on the pixels that the header's reconSpace asks for."""

import dataclasses
import logging
import math
from dataclasses import dataclass

from ..errors import ScanError
from ..items import ReconImage
from ..recon.resize import Size, resized
from ..wire.header import Encoding, cartesian_encoding
from .gadget import Gadget, Scan, each
from .shaped_image import shaped, tensors

log = logging.getLogger(__name__)

TOLERANCE = 0.01  # of the field of view, and of a pixel's size
MOST_SIDE = 8192
MOST_PIXELS = 1 << 27  # 1 GiB of complex64


@dataclass(frozen=True)
class Parameters:
    """There are none: the header's reconSpace says it all."""


def start(scan: Scan, _parameters: Parameters) -> Gadget:
    """Interpolate `ReconImage`s to the pixel size of reconSpace, and crop them to its matrix.

    An image that fits passes unchanged. One that the pixels fit by more than 1 % badly carries a warning. Raises
    ScanError where reconSpace is larger than the image's field of view.
    """
    encodings = {0: cartesian_encoding(scan.header)}
    logged: set[str] = set()

    def resize(item: ReconImage) -> ReconImage:
        number = item.head.encoding_space_ref
        if number not in encodings:
            encodings[number] = cartesian_encoding(scan.header, number)
        done = _resized(item, encodings[number])
        for text in done.warnings[len(item.warnings) :]:
            if text not in logged:
                logged.add(text)
                log.warning(text)
        return done

    return each(ReconImage, resize)


def _resized(item: ReconImage, encoding: Encoding) -> ReconImage:
    n_z, n_y, n_x = shape = item.image.shape
    if 1 in (n_z, encoding.encoded_matrix[2]):  # a slice, or a volume that the header calls one: accumulate tells
        encoding = dataclasses.replace(encoding, recon_matrix=(*encoding.recon_matrix[:2], n_z))
    over_x, over_y, over_z = (
        _over_field_of_view(axis, size, size * voxel, matrix, fov)
        for axis, size, voxel, matrix, fov in zip(
            "xyz", (n_x, n_y, n_z), item.voxel_mm, encoding.recon_matrix, encoding.recon_fov_mm, strict=True
        )
    )
    n_over_fov: Size = (over_z, over_y, over_x)
    n_kept: Size = (encoding.recon_matrix[2], encoding.recon_matrix[1], encoding.recon_matrix[0])
    if shape == n_over_fov == n_kept:
        return item
    if math.prod(n_over_fov) > MOST_PIXELS:
        raise ScanError(
            f"reconSpace takes {over_x} x {over_y} x {over_z} pixels over the image's field of view; "
            f"expected at most {MOST_PIXELS}"
        )
    voxel_mm = tuple(
        voxel * size / over
        for voxel, size, over in zip(item.voxel_mm, (n_x, n_y, n_z), (over_x, over_y, over_z), strict=True)
    )
    warnings = item.warnings
    for axis, voxel, matrix, fov in zip("xyz", voxel_mm, encoding.recon_matrix, encoding.recon_fov_mm, strict=True):
        if matrix > 1 and abs(voxel - fov / matrix) > TOLERANCE * fov / matrix:
            warnings += (f"pixels are {voxel:.4g} mm along {axis}; reconSpace expects {fov / matrix:.4g} mm",)
    steps = []
    if n_over_fov != shape:
        finer = all(over >= size for over, size in zip(n_over_fov, shape, strict=True))
        steps.append(f"{'zero-filled' if finer else 'k-space cropped'} to {_text(n_over_fov)}")
    if n_kept != n_over_fov:
        steps.append(f"field of view cropped to {_text(n_kept)}")
    done = shaped(item, *resized(*tensors(item), n_over_fov, n_kept), *steps)
    return dataclasses.replace(done, voxel_mm=voxel_mm, warnings=warnings)


def _over_field_of_view(axis: str, size: int, image_fov: float, matrix: int, fov: float) -> int:
    """How many pixels of reconSpace span the image, of which it then keeps `matrix`."""
    if size == 1 and matrix == 1:
        return 1  # a slice: its thickness stays
    if size == 1:
        raise ScanError(f"reconSpace has {matrix} pixels along {axis}, the image one; expected one of a slice")
    if not 0 < fov <= (1 + TOLERANCE) * image_fov:
        raise ScanError(
            f"reconSpace has a field of view of {fov:g} mm along {axis}, the image {image_fov:g} mm; "
            "expected no more than the image's"
        )
    pixels = image_fov / fov * matrix
    if not pixels <= MOST_SIDE:
        raise ScanError(f"reconSpace takes {pixels:.3g} pixels along {axis}; expected at most {MOST_SIDE}")
    return max(round(pixels), matrix)


def _text(size: Size) -> str:
    return " x ".join(str(n) for n in (size[2], size[1], *([size[0]] if size[0] > 1 else [])))
