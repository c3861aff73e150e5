"""What Gadgetron's own gadgets hand on, made as they make it of acquisitions and arrays."""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

import ismrmrd
import numpy as np
from gadgetron.types.acquisition_bucket import AcquisitionBucket, AcquisitionBucketStats
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconBit, ReconBuffer, ReconData, SamplingDescription

CALIBRATION, BOTH = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING


def recon_data(acquisitions: Sequence[ismrmrd.Acquisition], n_e2: int, n_e1: int) -> ReconData:
    """As BucketToBuffer does with N = repetition and S = set: `(ro, e1, e2, channel, n, s, slice)`."""
    data, reference = data_and_reference(acquisitions)
    return ReconData(
        [ReconBit(_buffer(data, n_e2, n_e1) if data else empty_buffer(), _buffer(reference, n_e2, n_e1))]
        if reference
        else [ReconBit(_buffer(data, n_e2, n_e1))]
    )


def bucket(
    acquisitions: Sequence[ismrmrd.Acquisition], waveforms: Iterable[ismrmrd.Waveform] = ()
) -> AcquisitionBucket:
    """As AcquisitionAccumulateTrigger does."""
    data, reference = data_and_reference(acquisitions)
    return AcquisitionBucket(data, [_stats(data)], reference, [_stats(reference)], list(waveforms))


def image_array(pixels: np.ndarray, metas: Sequence[dict[str, Any]], **fields: Any) -> ImageArray:
    """pixels: `(slice, s, n, channel, z, y, x)`. fields: of all headers; n counts repetitions, s sets."""
    headers = np.empty(pixels.shape[2::-1], object)
    for n, s, slice_ in np.ndindex(headers.shape):
        head = ismrmrd.ImageHeader()
        head.matrix_size, head.channels = pixels.shape[:3:-1], pixels.shape[3]
        head.data_type, head.image_type = ismrmrd.DATATYPE_CXFLOAT, ismrmrd.IMTYPE_MAGNITUDE
        head.repetition, head.set, head.slice = n, s, slice_
        for name, value in fields.items():
            setattr(head, name, value)
        headers[n, s, slice_] = head
    texts = [ismrmrd.Meta(meta).serialize() for meta in metas]
    return ImageArray(np.asarray(pixels, np.complex64).T, headers, texts)


def gmap_array(gmaps: np.ndarray, images: ImageArray) -> ImageArray:
    """As GenericReconCartesianGrappa sends it ahead of the images.

    gmaps: `(slice, s, n, channel, z, y, x)`, one along an axis over which the calibration was averaged.
    All headers and attributes are those of the images, and as many. ImageArraySendMixin marks them as a g-map's by the
    places of the maps: headers by their places, attributes by their number among the maps.
    """
    heads = copy.deepcopy(images.headers)
    for n, s, slice_ in np.ndindex(gmaps.shape[2::-1]):
        heads.item(n, s, slice_).image_series_index = 20
    metas = [ismrmrd.Meta.deserialize(text) for text in images.meta]
    for meta in metas:
        meta.pop("GADGETRON_DataRole", None)  # of an image: set when it is sent, after the map
    for meta in metas[: math.prod(gmaps.shape[:3])]:
        meta["GADGETRON_DataRole"], meta["Skip_processing_after_recon"] = "Gfactor", "1"
    return ImageArray(np.asarray(gmaps, np.complex64).T, heads, [meta.serialize() for meta in metas])


def data_and_reference(
    acquisitions: Iterable[ismrmrd.Acquisition],
) -> tuple[list[ismrmrd.Acquisition], list[ismrmrd.Acquisition]]:
    """Lines that are both come in both."""
    lines = list(acquisitions)
    reference = [a for a in lines if a.is_flag_set(CALIBRATION) or a.is_flag_set(BOTH)]
    return [a for a in lines if not a.is_flag_set(CALIBRATION)], reference


def empty_buffer() -> ReconBuffer:
    """One that was never filled."""
    return ReconBuffer(np.zeros(0, np.complex64), None, None, np.empty(0, object), SamplingDescription())


def _buffer(lines: Sequence[ismrmrd.Acquisition], n_e2: int, n_e1: int) -> ReconBuffer:
    n_n, n_s, n_slices = (1 + max(getattr(a.idx, name) for a in lines) for name in ("repetition", "set", "slice"))
    n_channels, n_ro = lines[0].data.shape
    data = np.zeros((n_ro, n_e1, n_e2, n_channels, n_n, n_s, n_slices), np.complex64, order="F")
    headers = np.empty((n_e1, n_e2, n_n, n_s, n_slices), object)
    for place in np.ndindex(headers.shape):
        headers[place] = ismrmrd.AcquisitionHeader(active_channels=1)
    for line in lines:
        idx = line.idx
        place = (idx.kspace_encode_step_1, idx.kspace_encode_step_2, idx.repetition, idx.set, idx.slice)
        data[:, place[0], place[1], :, place[2], place[3], place[4]] = line.data.T
        headers[place] = line.getHead()
    sampling = SamplingDescription()
    sampling.sampling_limits[0].center = n_ro // 2
    return ReconBuffer(data, None, None, headers, sampling)


def _stats(lines: Iterable[ismrmrd.Acquisition]) -> AcquisitionBucketStats:
    names = ("kspace_encode_step_1", "kspace_encode_step_2", "slice", "phase", "contrast", "repetition", "set",
             "segment", "average")  # fmt: skip
    return AcquisitionBucketStats(**{name: {getattr(a.idx, name) for a in lines} for name in names})
