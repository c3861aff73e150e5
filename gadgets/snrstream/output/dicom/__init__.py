"""MRD images as DICOM: classic MR Image Storage, one file for each slice of each image.

- `attributes`: what the header says. `description`: what the image says of itself.
- `geometry`: where its pixels lie. `pixels`: what they are as whole numbers, and back.
- `identity`, `series`: UIDs and numbers.
"""

import datetime
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
from ..image_values import display_window, unit_of
from .attributes import add_patient_and_study, add_sequence, add_series_and_equipment, decimal, lookup
from .description import add_description
from .geometry import ImagePlane, image_planes, untold_faults
from .identity import ScanIdentity
from .pixels import StoredPixels, stored_pixels
from .series import instance_key, series_digests, series_key, series_number

log = logging.getLogger(__name__)


def to_dicom(
    image: ismrmrd.Image,
    header: ismrmrdHeader | None,
    identity: ScanIdentity | None = None,
    series_digest: str = "",
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

    Raises
    ------
    ScanError
        Pixels are not finite, or the field of view is not positive.
    """
    identity = identity or ScanIdentity.of(header)
    pixels, center_width, planes = stored_pixels(image), display_window(image), image_planes(image)
    n_channels = image.data.shape[0]
    n_parts = n_channels * len(planes)
    datasets = []
    for channel in range(n_channels):
        for z, plane in enumerate(planes):
            part = channel * len(planes) + z
            is_whole = n_parts == 1
            number = image.image_index if is_whole else (max(image.image_index, 1) - 1) * n_parts + part + 1
            dataset = Dataset()
            dataset.SpecificCharacterSet = "ISO_IR 192"
            add_patient_and_study(dataset, header)
            add_series_and_equipment(dataset, header)
            add_sequence(dataset, header, image.contrast)
            _add_plane(dataset, plane, is_volume=len(planes) > 1)
            _add_pixels(dataset, pixels.stored[channel, z])
            _add_values(dataset, pixels, unit_of(image), center_width)
            add_description(dataset, image, header, pixels)
            _add_time(dataset, image, header)
            dataset.InstanceNumber = str(number)
            dataset.SeriesNumber = str(series_number(image, header))
            _add_uids(dataset, image, identity, series_digest, part)
            datasets.append(dataset)
    return datasets


def write_dicom(images: Sequence[ismrmrd.Image], header: ismrmrdHeader | None, folder: Path) -> list[Path]:
    """Write images as `series020_image0001.dcm` and so on; returns the paths in the order of the images.

    A file is named after the image's own series number; DICOM's is that of `series_number`. Two images of one call
    never share a file: `_2`, `_3` ... follow where series and image number repeat.

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
    taken: set[str] = set()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for image in images:
            for dataset in to_dicom(image, header, identity, digests[image.image_series_index]):
                stem = f"series{image.image_series_index:03d}_image{int(dataset.InstanceNumber):04d}"
                name, n_same = stem, 1
                while name in taken:
                    n_same += 1
                    name = f"{stem}_{n_same}"
                taken.add(name)
                paths.append(folder / f"{name}.dcm")
                dataset.save_as(paths[-1], enforce_file_format=True)
    except OSError as error:
        raise ConfigurationError(f"cannot write DICOM to {folder}: {error.strerror or error}") from error
    return paths


def _add_plane(dataset: Dataset, plane: ImagePlane, is_volume: bool) -> None:
    dataset.ImagePositionPatient = [decimal(value) for value in plane.first_pixel_mm]
    dataset.ImageOrientationPatient = [decimal(value) for value in (*plane.read, *plane.phase)]
    dataset.PixelSpacing = [decimal(plane.dy_mm), decimal(plane.dx_mm)]
    dataset.SliceThickness = decimal(plane.dz_mm) if plane.dz_mm else ""
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


def _add_values(dataset: Dataset, pixels: StoredPixels, unit: str, center_width: tuple[float, float]) -> None:
    # Rescale is no part of the classic MR image, only allowed beside it (dciodvfy warns); viewers honour
    # it, and it is the one way to have all series read in SNR units.
    dataset.RescaleIntercept = decimal(pixels.intercept)
    dataset.RescaleSlope = decimal(pixels.slope)
    dataset.RescaleType = "SNR" if unit == "SNR" else "US"
    dataset.WindowCenter, dataset.WindowWidth = (decimal(value) for value in center_width)
    # The plain LINEAR function takes half a unit off the centre and one off the width: of a window on a
    # g-map from 1 to 3 that leaves half.
    dataset.VOILUTFunction = "LINEAR_EXACT"


def _add_time(dataset: Dataset, image: ismrmrd.Image, header: ismrmrdHeader | None) -> None:
    now = datetime.datetime.now()
    dataset.InstanceCreationDate = dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = now.strftime("%H%M%S.%f")
    dataset.AcquisitionNumber = str(image.repetition + 1)
    # Only Siemens' time stamps are known to be a time of day: ticks of 2.5 ms since midnight.
    vendor = str(lookup(header, "acquisitionSystemInformation.systemVendor") or "")
    milliseconds = image.acquisition_time_stamp * 2.5
    if "SIEMENS" in vendor.upper() and 0 < milliseconds < 86_400_000:
        time = datetime.datetime.min + datetime.timedelta(milliseconds=milliseconds)
        dataset.AcquisitionTime = time.strftime("%H%M%S.%f")


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
