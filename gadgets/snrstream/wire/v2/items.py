"""Acquisitions of MRD v2 (package `mrd`) as ISMRMRD's, and ISMRMRD images as those of MRD v2."""

import ctypes
from typing import Any

import ismrmrd
import mrd
import numpy as np

from ...errors import ProtocolError, ScanError
from ..acquisitions import COMPRESSED_FLAGS

COUNTERS = (
    "kspace_encode_step_1",
    "kspace_encode_step_2",
    "average",
    "slice",
    "contrast",
    "phase",
    "repetition",
    "set",
    "segment",
)
VECTORS = ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")
IMAGE_VECTORS = {
    "field_of_view": "field_of_view",
    "position": "position",
    "col_dir": "read_dir",
    "line_dir": "phase_dir",
    "slice_dir": "slice_dir",
    "patient_table_position": "patient_table_position",
}  # in MRD v2, and in ISMRMRD
SAME = (
    "measurement_uid",
    "average",
    "slice",
    "contrast",
    "phase",
    "repetition",
    "set",
    "acquisition_time_stamp",
    "image_index",
    "image_series_index",
)
IMAGES: dict[np.dtype, Any] = {
    np.dtype(np.uint16): mrd.StreamItem.ImageUint16,
    np.dtype(np.int16): mrd.StreamItem.ImageInt16,
    np.dtype(np.uint32): mrd.StreamItem.ImageUint32,
    np.dtype(np.float32): mrd.StreamItem.ImageFloat,
    np.dtype(np.float64): mrd.StreamItem.ImageDouble,
    np.dtype(np.complex64): mrd.StreamItem.ImageComplexFloat,
    np.dtype(np.complex128): mrd.StreamItem.ImageComplexDouble,
}


def acquisition_of(acquisition: mrd.Acquisition) -> ismrmrd.Acquisition:
    """Give an acquisition of MRD v2 as ISMRMRD's.

    Parameters
    ----------
    acquisition : mrd.Acquisition
        Counters, times and numbers that it lacks become 0, a centre that it lacks becomes the middle sample.

    Returns
    -------
    ismrmrd.Acquisition
        Its samples `(channel, ro)` complex64 are shared with the given one.

    Raises
    ------
    ScanError
        For numbers that ISMRMRD has no room for, and for a trajectory of another length than the samples.
    """
    head, data, trajectory = acquisition.head, acquisition.data, acquisition.trajectory
    n_channels, n_samples = data.shape
    if trajectory.size and trajectory.shape[1] != n_samples:
        raise ScanError(
            f"acquisition {head.scan_counter} has {n_samples} samples and a trajectory of {trajectory.shape[1]}; "
            "expected as many"
        )
    centre = n_samples // 2 if head.center_sample is None else head.center_sample
    converted = ismrmrd.AcquisitionHeader()
    _assign(
        converted,
        version=1,
        flags=int(head.flags) & ~COMPRESSED_FLAGS,  # a stream of v2 has plain samples alone
        measurement_uid=head.measurement_uid,
        scan_counter=head.scan_counter,
        acquisition_time_stamp=head.acquisition_time_stamp,
        physiology_time_stamp=head.physiology_time_stamp,
        number_of_samples=n_samples,
        available_channels=n_channels,
        active_channels=n_channels,
        discard_pre=head.discard_pre,
        discard_post=head.discard_post,
        center_sample=centre,
        encoding_space_ref=head.encoding_space_ref,
        trajectory_dimensions=trajectory.shape[0] if trajectory.size else 0,
        sample_time_us=head.sample_time_us,
        user_int=head.user_int,
        user_float=head.user_float,
        **{name: getattr(head, name).tolist() for name in VECTORS},
    )
    _assign(converted.idx, user=head.idx.user, **{name: getattr(head.idx, name) for name in COUNTERS})
    points = trajectory.T if trajectory.size else np.zeros((n_samples, 0), np.float32)
    return ismrmrd.Acquisition(converted, data=data, trajectory=np.ascontiguousarray(points))


def _assign(target: ctypes.Structure, **values: Any) -> None:
    """Set fields of a C structure, which by itself cuts off bits that it has no room for. None leaves a field at 0."""
    for name, value in values.items():
        if value is None:
            continue
        given = value if isinstance(value, list) else [value]
        room = getattr(target, name)
        if isinstance(value, list):
            room[: len(value)] = value[: len(room)]
        else:
            setattr(target, name, value)
        stored = getattr(target, name)
        kept = stored[: len(given)] if isinstance(value, list) else [stored]
        if len(kept) < len(given) or any(isinstance(a, int) and a != b for a, b in zip(given, kept, strict=True)):
            raise ScanError(f"{name} of an MRD v2 acquisition is {value}; ISMRMRD has no room for that")


def image_item(image: ismrmrd.Image) -> mrd.StreamItem:
    """Give an ISMRMRD image as an item of MRD v2.

    Parameters
    ----------
    image : ismrmrd.Image
        With its meta attributes, which stay texts.

    Returns
    -------
    mrd.StreamItem
        With all that the image's header says.

    Raises
    ------
    ProtocolError
        For a type of pixels that MRD v2 does not have.
    """
    if image.data.dtype not in IMAGES:
        raise ProtocolError(f"an image of {image.data.dtype} cannot be written as MRD v2")
    head = image.getHead()
    header = mrd.ImageHeader(
        flags=mrd.ImageFlags(head.flags),
        image_type=mrd.ImageType(head.image_type),
        **{name: getattr(head, name) for name in SAME},
        **{name: list(getattr(head, name)) for name in ("physiology_time_stamp", "user_int", "user_float")},
        **{name: np.array(getattr(head, source), np.float32) for name, source in IMAGE_VECTORS.items()},
    )
    meta = {
        name: [mrd.ImageMetaValue.String(str(one)) for one in (value if isinstance(value, list) else [value])]
        for name, value in image.meta.items()
    }
    return IMAGES[image.data.dtype](mrd.Image(head=header, data=np.ascontiguousarray(image.data), meta=meta))
