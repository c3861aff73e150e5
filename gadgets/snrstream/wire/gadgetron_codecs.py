"""Gadgetron's own messages as the objects of the `gadgetron` package: recon data, image arrays, acquisition buckets.

The classes are the package's; its functions are not used, for they give arrays that cannot be written to, fail at
arrays without dimensions, at waveforms and with numpy 2, warn about ctypes, and cannot write a bucket. Layout: the
readers and writers of Gadgetron 4.7 (BufferWriter, IsmrmrdImageArrayWriter, AcquisitionBucketWriter).
"""

import ctypes
import math
import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

import ismrmrd
import numpy as np
from gadgetron.types.acquisition_bucket import AcquisitionBucket, AcquisitionBucketStats, bucket_meta, bundle_meta
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconBit, ReconBuffer, ReconData, SamplingDescription

from ..errors import ProtocolError
from .acquisitions import head_of
from .gadgetron_sizes import BUCKET_META, MOST_ENCODINGS

STATS = ("kspace_encode_step_1", "kspace_encode_step_2", "slice", "phase", "contrast", "repetition", "set", "segment",
         "average")  # fmt: skip
_U64 = struct.Struct("<Q")

Part = TypeVar("Part")
Head = TypeVar("Head", bound=ctypes.Structure)


class Whole:
    """The bytes of a message, of which `view` is all that follows its id."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._position = view, 0

    def read(self, n_bytes: int, /) -> bytearray:
        """Raises ProtocolError where the message has fewer left."""
        start = self._position
        self._position += n_bytes
        if self._position > len(self._view):
            raise ProtocolError(f"message of {len(self._view)} bytes ends inside a part of {n_bytes}")
        return bytearray(self._view[start : self._position])


def read_recon_data(source: Whole) -> ReconData:
    """Data is complex64 `(ro, e1, e2, channel, n, s, slice)`, headers an object array `(e1, e2, n, s, slice)`."""
    return ReconData([ReconBit(_buffer(source), _optional(source, _buffer)) for _ in range(_u64(source))])


def read_image_array(source: Whole) -> ImageArray:
    """Data is complex64 `(ro, e1, e2, channel, n, s, slice)`, headers an object array `(n, s, slice)`.

    Meta is one XML text for each of them, the first axis fastest.
    """
    return ImageArray(
        data=_array(source, np.complex64),
        headers=_objects(source, ismrmrd.ImageHeader),
        meta=[source.read(_u64(source)).decode() for _ in range(_u64(source))],
        waveform=_optional(source, lambda _: [_waveform(source) for _ in range(_u64(source))]),
        acq_headers=_optional(source, lambda _: _objects(source, ismrmrd.AcquisitionHeader)),
    )


def read_bucket(source: Whole) -> AcquisitionBucket:
    """Raises ProtocolError where the lengths at the beginning are not those that the headers tell."""
    meta = bucket_meta.from_buffer_copy(source.read(BUCKET_META))
    data, data_stats = _acquisitions(source, meta.data), _stats(source, meta.data_stats.nbytes)
    reference, reference_stats = _acquisitions(source, meta.reference), _stats(source, meta.reference_stats.nbytes)
    heads = _heads(source, ismrmrd.WaveformHeader, meta.waveforms.count)
    _agree("waveforms", meta.waveforms.data_bytes, (4 * head.channels * head.number_of_samples for head in heads))
    waveforms = [
        ismrmrd.Waveform(head, _of(source, np.uint32, (head.channels, head.number_of_samples))) for head in heads
    ]
    return AcquisitionBucket(data, data_stats, reference, reference_stats, waveforms)


def recon_data_bytes(item: ReconData) -> bytes:
    """What follows the message's id."""
    parts = [_U64.pack(len(item.bits))]
    for bit in item.bits:
        parts += [_buffer_bytes(bit.data), _optional_bytes(bit.ref, _buffer_bytes)]
    return b"".join(parts)


def image_array_bytes(item: ImageArray) -> bytes:
    """What follows the message's id."""
    texts = [text.encode() for text in item.meta]
    parts = [_array_bytes(item.data, np.complex64), _objects_bytes(item.headers), _U64.pack(len(texts))]
    for text in texts:
        parts += [_U64.pack(len(text)), text]
    parts.append(
        _optional_bytes(item.waveform, lambda all_: _U64.pack(len(all_)) + b"".join(w.to_bytes() for w in all_))
    )
    parts.append(_optional_bytes(item.acq_headers, _objects_bytes))
    return b"".join(parts)


def bucket_bytes(item: AcquisitionBucket) -> bytes:
    """What follows the message's id."""
    meta, parts = bucket_meta(), []
    bundles = ((meta.data, item.data, meta.data_stats, item.datastats),
               (meta.reference, item.ref, meta.reference_stats, item.refstats))  # fmt: skip
    for sizes, acquisitions, stats_size, stats in bundles:
        heads = b"".join(bytes(head_of(acquisition)) for acquisition in acquisitions)
        trajectories = b"".join(acquisition.traj.astype(np.float32).tobytes() for acquisition in acquisitions)
        data = b"".join(acquisition.data.astype(np.complex64).tobytes() for acquisition in acquisitions)
        statistics = _U64.pack(len(stats)) + b"".join(_set_bytes(getattr(s, name)) for s in stats for name in STATS)
        sizes.count, sizes.header_bytes, sizes.data_bytes = len(acquisitions), len(heads), len(data)
        sizes.trajectory_bytes, stats_size.nbytes = len(trajectories), len(statistics)
        parts += [heads, trajectories, data, statistics]
    heads = b"".join(bytes(waveform.getHead()) for waveform in item.waveforms)
    data = b"".join(waveform.data.tobytes() for waveform in item.waveforms)
    meta.waveforms.count, meta.waveforms.header_bytes = len(item.waveforms), len(heads)
    meta.waveforms.data_bytes = len(data)
    return b"".join([bytes(meta), *parts, heads, data])


def _u64(source: Whole) -> int:
    number: int = _U64.unpack(source.read(8))[0]
    return number


def _optional(source: Whole, read: Callable[[Whole], Part]) -> Part | None:
    return read(source) if source.read(1)[0] else None


def _of(source: Whole, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """In the order of C, writable."""
    return np.frombuffer(source.read(math.prod(shape) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def _shape(source: Whole) -> tuple[int, ...]:
    """An array that was never filled has no dimensions, which numpy would take for one number."""
    n_dimensions = _u64(source)
    return struct.unpack(f"<{n_dimensions}Q", source.read(8 * n_dimensions)) or (0,)


def _array(source: Whole, dtype: type) -> np.ndarray:
    return _of(source, dtype, _shape(source)[::-1]).T


def _heads(source: Whole, kind: type[Head], count: int) -> list[Head]:
    size = ctypes.sizeof(kind)
    data = source.read(size * count)
    return [kind.from_buffer_copy(data, size * n) for n in range(count)]


def _objects(source: Whole, kind: type[ctypes.Structure]) -> np.ndarray:
    shape = _shape(source)
    heads = np.empty(math.prod(shape), object)
    for n, head in enumerate(_heads(source, kind, heads.size)):
        heads[n] = head
    return heads.reshape(shape, order="F")


def _buffer(source: Whole) -> ReconBuffer:
    return ReconBuffer(
        _array(source, np.complex64),
        _optional(source, lambda _: _array(source, np.float32)),
        _optional(source, lambda _: _array(source, np.float32)),
        _objects(source, ismrmrd.AcquisitionHeader),
        SamplingDescription.from_buffer_copy(source.read(ctypes.sizeof(SamplingDescription))),
    )


def _waveform(source: Whole) -> ismrmrd.Waveform:
    (head,) = _heads(source, ismrmrd.WaveformHeader, 1)
    return ismrmrd.Waveform(head, _of(source, np.uint32, (head.channels, head.number_of_samples)))


def _acquisitions(source: Whole, sizes: bundle_meta) -> list[ismrmrd.Acquisition]:
    heads = _heads(source, ismrmrd.AcquisitionHeader, sizes.count)
    shapes = [(head.number_of_samples, head.trajectory_dimensions) for head in heads]
    _agree("trajectories", sizes.trajectory_bytes, (4 * math.prod(shape) for shape in shapes))
    _agree("samples", sizes.data_bytes, (8 * head.active_channels * head.number_of_samples for head in heads))
    trajectories = [_of(source, np.float32, shape) for shape in shapes]
    return [
        ismrmrd.Acquisition(head, _of(source, np.complex64, (head.active_channels, head.number_of_samples)), trajectory)
        for head, trajectory in zip(heads, trajectories, strict=True)
    ]


def _agree(what: str, announced: int, told: Iterable[int]) -> None:
    total = sum(told)
    if total != announced:
        raise ProtocolError(f"bucket announces {announced} bytes of {what}; its headers tell {total}")


def _stats(source: Whole, n_bytes: int) -> list[AcquisitionBucketStats]:
    whole = Whole(memoryview(source.read(n_bytes)))
    count = _u64(whole)
    if count > MOST_ENCODINGS:
        raise ProtocolError(f"bucket has statistics of {count} encoding spaces; expected at most {MOST_ENCODINGS}")
    return [
        AcquisitionBucketStats(**{name: set(_of(whole, np.uint16, (_u64(whole),)).tolist()) for name in STATS})
        for _ in range(count)
    ]


def _optional_bytes(part: Part | None, write: Callable[[Part], bytes]) -> bytes:
    return b"\0" if part is None else b"\1" + write(part)


def _shape_bytes(array: np.ndarray) -> bytes:
    shape = array.shape if array.shape != (0,) else ()
    return struct.pack(f"<{1 + len(shape)}Q", len(shape), *shape)


def _array_bytes(array: np.ndarray, dtype: type) -> bytes:
    return _shape_bytes(array) + np.asarray(array, dtype).tobytes(order="F")


def _objects_bytes(heads: np.ndarray) -> bytes:
    return _shape_bytes(heads) + b"".join(bytes(head) for head in heads.ravel(order="F"))


def _buffer_bytes(buffer: ReconBuffer) -> bytes:
    return b"".join(
        [
            _array_bytes(buffer.data, np.complex64),
            _optional_bytes(buffer.trajectory, lambda array: _array_bytes(array, np.float32)),
            _optional_bytes(buffer.density, lambda array: _array_bytes(array, np.float32)),
            _objects_bytes(buffer.headers),
            bytes(buffer.sampling),
        ]
    )


def _set_bytes(numbers: Iterable[int]) -> bytes:
    ordered = sorted(numbers)
    return struct.pack(f"<Q{len(ordered)}H", len(ordered), *ordered)
