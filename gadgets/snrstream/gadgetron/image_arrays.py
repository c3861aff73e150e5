"""Gadgetron's image arrays, image by image, each with the headers that it is of."""

import itertools
import math
from collections.abc import Iterator, Sequence

import ismrmrd
import numpy as np
from gadgetron.types.image_array import ImageArray

from ..errors import ScanError
from ..system.safe_xml import parse_xml

Place = tuple[int, ...]  # n, s, slice


def images_of(array: ImageArray) -> Iterator[tuple[ismrmrd.Image, Sequence[ismrmrd.ImageHeader]]]:
    """Each image `(channel, z, y, x)` of the array, n fastest, then s, then slice, and the headers that it serves.

    Gadgetron sends g-maps under all the headers and attributes of their images. Where the calibration was averaged over
    N or S there are fewer maps than headers along that axis, mostly one: a map serves the header of its own place, and
    the last one all that follow, too. An image has the first header that it serves. One header along an axis is that of
    all images. Attributes are counted by the images, even where there is a set for each header; one set is for all.

    Raises
    ------
    ScanError
        For parts that cannot be matched, and for attributes that cannot be read.

    References
    ----------
    GenericReconCartesianGrappaGadget (its usedN and usedS), ImageArraySendMixin and ImageArraySplitGadget of
    Gadgetron 4.7.
    """
    pixels, headers, n_sets = array.data.shape[4:], array.headers.shape, len(array.meta)
    n_images = math.prod(pixels)
    if not (array.data.size and len(pixels) == len(headers) == 3 and all(map(_match, pixels, headers))) or (
        n_sets not in (0, 1, n_images, array.headers.size)
    ):
        raise ScanError(
            f"image array has pixels {array.data.shape}, headers {headers} and {n_sets} sets of attributes; expected "
            "(x, y, z, channel, n, s, slice), (n, s, slice) with one along an axis or no fewer than images, and one "
            "set for each of these or those, one for all or none"
        )
    for number, reverse in enumerate(np.ndindex(pixels[::-1])):
        place = reverse[::-1]
        own = tuple(min(index, size - 1) for index, size in zip(place, headers, strict=True))
        of_header = int(np.ravel_multi_index(own, headers, order="F"))
        text = array.meta[0 if n_sets == 1 else number if n_sets >= n_images else of_header] if n_sets else ""
        data = np.ascontiguousarray(array.data[(..., *place)].T)
        served = itertools.product(*map(_served, place, pixels, headers))
        yield (
            ismrmrd.Image(array.headers[own], data=data, meta=_meta(text, number)),
            [array.headers[each] for each in served],
        )


def _match(n_images: int, n_headers: int) -> bool:
    return 1 <= n_images <= n_headers or n_headers == 1 < n_images


def _served(index: int, n_images: int, n_headers: int) -> range:
    """Along an axis: the last image serves all headers that follow; where there is one header, it is the first's."""
    return range(index, n_headers if index == n_images - 1 else min(index + 1, n_headers))


def _meta(text: str, number: int) -> ismrmrd.Meta:
    try:
        if not text.strip("\0 \n"):
            return ismrmrd.Meta()
        parse_xml(text, f"image {number} of an array: attributes", ScanError)
        return ismrmrd.Meta.deserialize(text)
    except ScanError:
        raise
    except Exception as exc:  # noqa: BLE001 - ismrmrd raises nearly anything on another's XML
        raise ScanError(f"attributes of image {number} of an array cannot be read: {exc}") from None
