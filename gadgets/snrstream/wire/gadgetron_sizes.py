"""How long Gadgetron's own messages are, as far as the bytes at hand tell: recon data, image arrays, buckets.

A part whose length is not known yet is waited for; one that is absurd is refused before memory is taken for it.
"""

import ctypes
import math
import struct
from collections.abc import Callable, Iterator

import ismrmrd
from gadgetron.types.acquisition_bucket import bucket_meta, bundle_meta, waveform_meta
from gadgetron.types.recon_data import SamplingDescription

from ..errors import ProtocolError
from .messages import MessageId
from .sizes import ACQUISITION_HEAD, IMAGE_HEAD, WAVEFORM_HEAD, Limits, Size

BUCKET_META = ctypes.sizeof(bucket_meta)
MOST_ENCODINGS = 256  # of one scan: recon data has a part for each
MOST_PARTS = 1 << 16
MOST_DIMENSIONS = 16
LEAST_BUFFER = 8 + 1 + 1 + 8 + ctypes.sizeof(SamplingDescription)  # one without data, headers and trajectory


def recon_data_size(view: memoryview, limits: Limits) -> int:
    """Bytes of the recon data message that `view` begins with its id, or of as much as tells more of its size.

    Raises ProtocolError for lengths beyond `limits`, and for counts and dimensions that no scan has.
    """
    return _size(_recon_data, view, limits, "recon data")


def image_array_size(view: memoryview, limits: Limits) -> int:
    """The same of an image array."""
    return _size(_image_array, view, limits, "image array")


def bucket_size(view: memoryview, limits: Limits) -> int:
    """The same of an acquisition bucket, which tells its size at its beginning."""
    return _size(_bucket, view, limits, "acquisition bucket")


class _More(Exception):
    """The view ends before the message does: so many bytes are needed."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes


class _Walk:
    """From part to part of the message, over what is in it."""

    def __init__(self, view: memoryview, limits: Limits, name: str) -> None:
        self._view, self._limits, self._name = view, limits, name
        self.position = 2

    def skip(self, n_bytes: int, least_after: int = 0) -> int:
        """Over `n_bytes`, which at least `least_after` more will follow; where they began.

        Whoever lacks the one waits for the other as well, and so looks at many small parts a few times, not once for
        each of them.
        """
        start = self.position
        needed = start + n_bytes + least_after
        if needed > self._limits.data:
            raise self.error(f"{needed} bytes; expected at most {self._limits.data}")
        self.position += n_bytes
        if self.position > len(self._view):
            raise _More(needed)
        return start

    def error(self, what: str) -> ProtocolError:
        return ProtocolError(f"{self._name} message announces {what}")

    def u64(self) -> int:
        number: int = struct.unpack_from("<Q", self._view, self.skip(8))[0]
        return number

    def flag(self) -> bool:
        value = self._view[self.skip(1)]
        if value > 1:
            raise self.error(f"an optional part by the byte {value}; expected 0 or 1")
        return bool(value)

    def parts(self, what: str, least: int, most: int = MOST_PARTS) -> Iterator[int]:
        """For each of the parts that a count announces, how many bytes at least those after it have."""
        n_parts = self.u64()
        if n_parts > most:
            raise self.error(f"{n_parts} {what}; expected at most {most}")
        yield from range(least * (n_parts - 1), -1, -least)

    def array(self, itemsize: int) -> None:
        n_dimensions = self.u64()
        if n_dimensions > MOST_DIMENSIONS:
            raise self.error(f"an array of {n_dimensions} dimensions; expected at most {MOST_DIMENSIONS}")
        start = self.skip(8 * n_dimensions)
        shape = struct.unpack_from(f"<{n_dimensions}Q", self._view, start)
        self.skip(itemsize * (math.prod(shape) if shape else 0))

    def waveform_bytes(self, least_after: int) -> int:
        """Of the samples that the next waveform's header announces."""
        start = self.skip(WAVEFORM_HEAD, least_after)
        head = ismrmrd.WaveformHeader.from_buffer_copy(self._view[start : self.position])
        return 4 * head.channels * head.number_of_samples

    def bucket_meta(self) -> bucket_meta:
        start = self.skip(BUCKET_META)
        return bucket_meta.from_buffer_copy(self._view[start : self.position])

    def text(self, least_after: int) -> None:
        n_bytes = self.u64()
        if n_bytes > self._limits.text:
            raise self.error(f"attributes of {n_bytes} bytes; expected at most {self._limits.text}")
        self.skip(n_bytes, least_after)


def _size(walk_over: Callable[[_Walk], None], view: memoryview, limits: Limits, name: str) -> int:
    walk = _Walk(view, limits, name)
    try:
        walk_over(walk)
    except _More as more:
        return more.n_bytes
    return walk.position


def _recon_data(walk: _Walk) -> None:
    for _ in walk.parts("encoding spaces", LEAST_BUFFER + 1, MOST_ENCODINGS):
        _buffer(walk)
        if walk.flag():
            _buffer(walk)


def _buffer(walk: _Walk) -> None:
    walk.array(8)
    for _ in ("trajectory", "density"):
        if walk.flag():
            walk.array(4)
    walk.array(ACQUISITION_HEAD)
    walk.skip(ctypes.sizeof(SamplingDescription))


def _image_array(walk: _Walk) -> None:
    walk.array(8)
    walk.array(IMAGE_HEAD)
    for least_after in walk.parts("sets of attributes", 8):
        walk.text(least_after)
    if walk.flag():
        for least_after in walk.parts("waveforms", WAVEFORM_HEAD):
            walk.skip(walk.waveform_bytes(least_after), least_after)
    if walk.flag():
        walk.array(ACQUISITION_HEAD)


def _bucket(walk: _Walk) -> None:
    meta = walk.bucket_meta()
    n_bytes = meta.data_stats.nbytes + meta.reference_stats.nbytes
    for name, head in (("data", ACQUISITION_HEAD), ("reference", ACQUISITION_HEAD), ("waveforms", WAVEFORM_HEAD)):
        part: bundle_meta | waveform_meta = getattr(meta, name)
        if part.header_bytes != head * part.count:
            raise walk.error(f"{part.count} headers ({name}) in {part.header_bytes} bytes; expected {head} for each")
        n_bytes += part.header_bytes + part.data_bytes + getattr(part, "trajectory_bytes", 0)
    walk.skip(n_bytes)


GADGETRON_SIZES: dict[int, Size] = {
    MessageId.RECON_DATA: recon_data_size,
    MessageId.IMAGE_ARRAY: image_array_size,
    MessageId.BUCKET: bucket_size,
}
