"""MRD images as DICOM: classic MR Image Storage, one file for each slice of each image.

- `attributes`, `acquisition`: what the header says. `description`: what the image says of itself.
- `geometry`: where its pixels lie. `pixels`: what they are as whole numbers, and back. `values`: what these mean.
- `order`: where images stand among each other. `time`: when they were acquired.
- `identity`, `series`: UIDs and numbers.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import ismrmrd
import numpy as np
from ismrmrd.xsd import ismrmrdHeader
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from ...errors import ConfigurationError
from ...version import __version__
from .acquisition import add_acquisition
from .attributes import add_patient_and_study, add_sequence, add_series_and_equipment, decimal, lookup
from .description import add_description
from .geometry import ImagePlane, image_planes, untold_faults
from .identity import ScanIdentity
from .order import Place, places
from .pixels import stored_pixels
from .series import instance_key, series_digests, series_key, series_number
from .time import add_time
from .values import add_values

log = logging.getLogger(__name__)


def to_dicom(
    image: ismrmrd.Image,
    header: ismrmrdHeader | None,
    identity: ScanIdentity | None = None,
    series_digest: str = "",
    place: Place | None = None,
) -> list[Dataset]:
    """DICOM datasets of one image, channels * z of them, file meta included.

    Parameters
    ----------
    image
        Pixels (channel, z, y, x).
    header
        Of the scan, None where there is none.
    identity
        What ties the images of a scan together; give the same one for all of them. Without it, it is derived from
        `header`, which is the same thing unless the header identifies nothing.
    series_digest
        Stands for the content of all images of the series, as `series_digests` gives it. Without it, only how an image
        was made tells its series from another one of the same scan.
    place
        Among all images of the series, as `places` gives it. Without it, instances are counted by the `image_index`.

    Raises
    ------
    ScanError
        Pixels are not finite, or the field of view is not positive.
    """
    identity = identity or ScanIdentity.of(header)
    pixels, planes = stored_pixels(image), image_planes(image)
    n_channels = image.data.shape[0]
    place = place or _alone(image, n_channels * len(planes))
    datasets = []
    for channel in range(n_channels):
        for z, plane in enumerate(planes):
            part = channel * len(planes) + z
            dataset = Dataset()
            dataset.SpecificCharacterSet = "ISO_IR 192"
            add_patient_and_study(dataset, header)
            add_series_and_equipment(dataset, header)
            add_sequence(dataset, header, image.contrast)
            add_acquisition(dataset, image, header)
            _add_plane(dataset, plane, header, is_volume=len(planes) > 1)
            _add_pixels(dataset, pixels.stored[channel, z])
            add_values(dataset, image, pixels)
            add_description(dataset, image, header, pixels)
            add_time(dataset, image, header, place)
            dataset.InstanceNumber = str(place.numbers[part])
            dataset.SeriesNumber = str(series_number(image, header))
            _add_uids(dataset, image, identity, series_digest, part)
            datasets.append(dataset)
    return datasets


def write_dicom(images: Sequence[ismrmrd.Image], header: ismrmrdHeader | None, folder: Path) -> list[Path]:
    """Write images as `series020_image0001.dcm` and so on; returns the paths in the order of the images.

    A file is named after the image's own series number, DICOM's is that of `series_number`, and after the instance
    number, which follows the position of the slice.

    Parameters
    ----------
    images
        All of a scan; pixels (channel, z, y, x).
    header
        Of the scan, None where there is none.
    folder
        Made where it does not exist.

    Raises
    ------
    ConfigurationError
        The folder cannot be written.
    ScanError
        As `to_dicom`.
    """
    for fault in untold_faults(images):
        log.warning(fault)
    identity, digests = ScanIdentity.of(header), series_digests(images)
    paths: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for image, place in zip(images, places(images), strict=True):
            for dataset in to_dicom(image, header, identity, digests[image.image_series_index], place):
                name = f"series{image.image_series_index:03d}_image{int(dataset.InstanceNumber):04d}.dcm"
                paths.append(folder / name)
                dataset.save_as(paths[-1], enforce_file_format=True)
    except OSError as error:
        raise ConfigurationError(f"cannot write DICOM to {folder}: {error.strerror or error}") from error
    return paths


def _alone(image: ismrmrd.Image, n_parts: int) -> Place:
    """The place of an image whose series is not known."""
    before = (max(image.image_index, 1) - 1) * n_parts
    numbers = [image.image_index] if n_parts == 1 else range(before + 1, before + n_parts + 1)
    return Place(tuple(numbers), trigger_ms=None, gating="", n_phases=1, time=(1, 1))


def _add_plane(dataset: Dataset, plane: ImagePlane, header: ismrmrdHeader | None, is_volume: bool) -> None:
    dataset.ImagePositionPatient = [decimal(value) for value in plane.first_pixel_mm]
    dataset.ImageOrientationPatient = [decimal(value) for value in (*plane.read, *plane.phase)]
    dataset.PixelSpacing = [decimal(plane.dy_mm), decimal(plane.dx_mm)]
    # Some exporters leave it at 0 in the image of a 2D slice.
    thickness_mm = plane.dz_mm or lookup(header, "encoding.reconSpace.fieldOfView_mm.z")
    dataset.SliceThickness = decimal(thickness_mm) if thickness_mm else ""
    dataset.SliceLocation = decimal(plane.location_mm)
    # Between the slices of a 2D scan there may be gaps that no single image tells of.
    if is_volume:
        dataset.SpacingBetweenSlices = decimal(plane.dz_mm)


def _add_pixels(dataset: Dataset, stored: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"


def _add_uids(dataset: Dataset, image: ismrmrd.Image, identity: ScanIdentity, series_digest: str, part: int) -> None:
    """Study, series, instance; the last of all attributes, for the instance depends on the others."""
    dataset.StudyInstanceUID = identity.study_uid
    dataset.SeriesInstanceUID = identity.derive("series", *series_key(dataset, image), series_digest)
    dataset.FrameOfReferenceUID = identity.frame_of_reference_uid
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = identity.derive("instance", *instance_key(dataset, image), part)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationVersionName = f"SNRSTREAM_{__version__}"[:16]
