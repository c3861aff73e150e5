"""Images in an ISMRMRD HDF5 file."""

import io
from collections.abc import Sequence
from pathlib import Path

import ismrmrd
import numpy as np
from ismrmrd.hdf5 import get_hdf5type

from ..errors import ScanError
from .image_values import label_of


def write_images(images: Sequence[ismrmrd.Image], header_xml: bytes | str, path: Path) -> None:
    """Write one group `image_<series>` a series.

    A group holds images of one shape and one type. Those of a series that have another, as images of a second encoding
    do, go into `image_<series>_2` and so on.

    Parameters
    ----------
    images
        At least one; pixels (channel, z, y, x).
    header_xml
        The scan's header.
    path
        Of the file.

    Raises
    ------
    ScanError
        For images that it cannot hold.
    OSError
        Where the file cannot be written.
    """
    kinds: dict[int, list[tuple[tuple[int, ...], np.dtype]]] = {}
    # HDF5 crashes where the disk is full when it closes a file: it writes to memory, and plain I/O to disk.
    memory = io.BytesIO()
    with ismrmrd.Dataset(memory, "dataset", mode="w") as dataset:
        dataset.write_xml_header(header_xml.encode() if isinstance(header_xml, str) else header_xml)
        for image in images:
            kind = (image.data.shape, image.data.dtype)
            if image.data.dtype.itemsize != get_hdf5type(image.data_type).itemsize:
                raise ScanError(f"{label_of(image)} has {kind[1]} pixels, which images.h5 has no type for")
            of_series = kinds.setdefault(image.image_series_index, [])
            if kind not in of_series:
                of_series.append(kind)
            number = of_series.index(kind) + 1
            group = f"image_{image.image_series_index}" + (f"_{number}" if number > 1 else "")
            dataset.append_image(group, _with_attribute_length(image))
    path.write_bytes(memory.getbuffer())


def _with_attribute_length(image: ismrmrd.Image) -> ismrmrd.Image:
    """The same image, its header knowing the length of its meta attributes.

    ismrmrd only sets that length when it serialises, and libismrmrd reads as many bytes of attributes as
    the header says: with 0, every C++ reader of the file would see images without meta.
    """
    head = image.getHead()
    head.attribute_string_len = len(image.attribute_string.encode())
    return ismrmrd.Image(head, meta=image.meta, data=image.data)
