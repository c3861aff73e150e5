"""What tells a series, and an image in it, from all others of one scan; and the number that a series bears.

An archive that knows a SOPInstanceUID drops a second file with it in silence. So the UID of an image depends on all
that is in its file, and that of a series on all that is in its images: another model, alpha, window or filter makes
others, and the same scan through the same chain makes the same ones again.
"""

import hashlib
from collections.abc import Iterable

import ismrmrd
import numpy as np
from ismrmrd.xsd import ismrmrdHeader
from pydicom.dataset import Dataset

from ..image_values import meta_values
from .attributes import lookup

SERIES_OF_A_SCAN = 1000
UNKNOWN_SCAN = 999  # in the place of the scanner's number, where the header has none
LARGEST_NUMBER = 2**31 - 1  # of DICOM's IS
LARGEST_INDEX = 65535  # of ISMRMRD's image_series_index

# When a file was written is no part of what is in it.
WHEN_WRITTEN = ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime")


def series_number(image: ismrmrd.Image, header: ismrmrdHeader | None) -> int:
    """The scanner's number of the scan times 1000, plus the image's series: of scan 12, 12001, 12002 and 12020.

    The series 1, 2 and 20 of the same study are the scanner's own. Without a number in the header it is 999001.
    """
    scan = lookup(header, "measurementInformation.initialSeriesNumber")
    if scan is None or not 0 < scan <= (LARGEST_NUMBER - LARGEST_INDEX) // SERIES_OF_A_SCAN:
        scan = UNKNOWN_SCAN
    return int(scan) * SERIES_OF_A_SCAN + int(image.image_series_index)


def series_digests(images: Iterable[ismrmrd.Image]) -> dict[int, str]:
    """For each series a hash, in hex, of the pixels, headers and meta attributes of its images in order."""
    series: dict[int, list[ismrmrd.Image]] = {}
    for image in images:
        series.setdefault(image.image_series_index, []).append(image)
    return {index: _digest(of_series) for index, of_series in series.items()}


def _digest(images: Iterable[ismrmrd.Image]) -> str:
    digest = hashlib.sha256()
    for image in images:
        head = image.getHead()
        head.attribute_string_len = 0  # which only serialising sets
        meta = sorted((key, meta_values(image, key)) for key in image.meta)
        digest.update(repr((image.data.shape, image.data.dtype.str, bytes(head), meta)).encode())
        digest.update(np.ascontiguousarray(image.data).data)
    return digest.hexdigest()


def series_key(dataset: Dataset, image: ismrmrd.Image) -> tuple[object, ...]:
    """What the images of a series share and those of another one need not: number, kind, and how they were made."""
    keys = ("model", "model_sha256", "alpha", "strength", "frames")
    made = [meta_values(image, key) for key in (*(f"SNRSTREAM_{key}" for key in keys), "GADGETRON_ScaleRatio")]
    return image.image_series_index, dataset.ImageType[2:], dataset.SeriesDescription, image.data.dtype.str, *made


def instance_key(dataset: Dataset, image: ismrmrd.Image) -> tuple[object, ...]:
    """The image's place in the scan, and a hash of all attributes of its file but when it was written."""
    digest = hashlib.sha256()
    for element in dataset:
        if element.keyword not in WHEN_WRITTEN:
            value = element.value if isinstance(element.value, bytes) else repr(element.value).encode()
            digest.update(f"{element.tag} {element.VR} {len(value)} ".encode() + value)
    counters = image.average, image.slice, image.contrast, image.phase, image.repetition, image.set
    return image.image_index, *counters, digest.hexdigest()
