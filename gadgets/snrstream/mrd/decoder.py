"""Bytes to messages. Sans-I/O: any split of the bytes gives the same messages.

Every length is checked against `Limits` before memory is taken for it. Whatever the bytes are, the
outcome is messages or a ProtocolError.
"""

import ctypes
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ismrmrd
import numpy as np
from ismrmrd.image import get_dtype_from_data_type

from ..errors import ProtocolError
from .gadgetron_codecs import Whole, read_bucket, read_image_array, read_recon_data
from .gadgetron_sizes import bucket_size, image_array_size, recon_data_size
from .messages import Close, ConfigFile, ConfigText, Dependency, Header, MessageId, Text

CONFIG_FILE_SIZE = 1024
_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_ACQUISITION_HEAD = ctypes.sizeof(ismrmrd.AcquisitionHeader)
_IMAGE_HEAD = ctypes.sizeof(ismrmrd.ImageHeader)
_WAVEFORM_HEAD = ctypes.sizeof(ismrmrd.WaveformHeader)


@dataclass(frozen=True)
class Limits:
    """The largest text and the largest acquisition, image or waveform, in bytes."""

    text: int = 16 << 20
    data: int = 1 << 30


class Decoder:
    """Feed it what the peer sent with `receive`; at the peer's end of file, call `finish`."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._start = 0  # of what is not yet decoded
        self._needed = 2

    def receive(self, data: bytes | bytearray | memoryview) -> Iterator[Any]:
        """The messages that `data` completes, in order. Raises ProtocolError."""
        del self._buffer[: self._start]
        self._start = 0
        self._buffer += data
        while len(self._buffer) - self._start >= self._needed:
            with memoryview(self._buffer)[self._start :] as view:
                size = self._size(view)
                if size > len(view):
                    self._needed = size
                    return
                message = self._message(view[:size])
            self._start += size
            self._needed = 2
            yield message

    def finish(self) -> None:
        """Raises ProtocolError where the peer stopped in the middle of a message."""
        rest = self._buffer[self._start :]
        if rest:
            name = _name(rest) if len(rest) >= 2 else "message"
            raise ProtocolError(
                f"connection ended inside a {name}: {len(rest)} of at least {self._needed} bytes arrived"
            )

    def _size(self, view: memoryview) -> int:
        """Bytes of the whole message, or of as much of it as tells its size."""
        (number,) = _U16.unpack_from(view)
        if number not in _SIZES:
            raise ProtocolError(f"unknown message id {number}; expected one of {[m.value for m in MessageId]}")
        return _SIZES[number](view, self._limits)

    def _message(self, view: memoryview) -> Any:
        name = _name(view)
        try:
            return _PARSERS[_U16.unpack_from(view)[0]](view)
        except ProtocolError:
            raise
        except Exception as exc:  # whatever ismrmrd makes of hostile bytes
            raise ProtocolError(f"{name} cannot be read: {' '.join(str(exc).split())}") from None


def _name(data: memoryview | bytearray) -> str:
    number = _U16.unpack_from(data)[0]
    known = number in MessageId._value2member_map_
    return f"{MessageId(number).name.lower()} message" if known else f"message {number}"


def _counted(length: struct.Struct) -> Callable[[memoryview, Limits], int]:
    def size(view: memoryview, limits: Limits) -> int:
        start = 2 + length.size
        if len(view) < start:
            return start
        return start + _bounded(length.unpack_from(view, 2)[0], limits.text, view)

    return size


def _acquisition_size(view: memoryview, limits: Limits) -> int:
    start = 2 + _ACQUISITION_HEAD
    if len(view) < start:
        return start
    head = ismrmrd.AcquisitionHeader.from_buffer_copy(view[2:start])
    trajectory = 4 * head.number_of_samples * head.trajectory_dimensions
    return start + _bounded(trajectory + 8 * head.number_of_samples * head.active_channels, limits.data, view)


def _image_size(view: memoryview, limits: Limits) -> int:
    start = 2 + _IMAGE_HEAD + 8
    if len(view) < start:
        return start
    head = ismrmrd.ImageHeader.from_buffer_copy(view[2 : 2 + _IMAGE_HEAD])
    attributes = _bounded(_U64.unpack_from(view, 2 + _IMAGE_HEAD)[0], limits.text, view)
    try:
        itemsize = np.dtype(get_dtype_from_data_type(head.data_type)).itemsize
    except (KeyError, TypeError, ValueError):
        raise ProtocolError(f"image has data type {head.data_type}; expected 1 to 8") from None
    pixels = itemsize * head.channels
    for size in head.matrix_size:
        pixels *= size
    return start + attributes + _bounded(pixels, limits.data, view)


def _waveform_size(view: memoryview, limits: Limits) -> int:
    start = 2 + _WAVEFORM_HEAD
    if len(view) < start:
        return start
    head = ismrmrd.WaveformHeader.from_buffer_copy(view[2:start])
    return start + _bounded(4 * head.number_of_samples * head.channels, limits.data, view)


def _bounded(length: int, limit: int, view: memoryview) -> int:
    if length > limit:
        raise ProtocolError(f"{_name(view)} announces {length} bytes; expected at most {limit}")
    return length


def _acquisition(view: memoryview) -> ismrmrd.Acquisition:
    start = 2 + _ACQUISITION_HEAD
    head = ismrmrd.AcquisitionHeader.from_buffer_copy(view[2:start])
    samples, channels, dimensions = head.number_of_samples, head.active_channels, head.trajectory_dimensions
    trajectory = np.frombuffer(view[start:], np.float32, samples * dimensions).copy()
    data = np.frombuffer(view[start + trajectory.nbytes :], np.complex64, samples * channels).copy()
    return ismrmrd.Acquisition(
        head, data=data.reshape(channels, samples), trajectory=trajectory.reshape(samples, dimensions)
    )


def _text(view: memoryview) -> bytes:
    return bytes(view[6:]).rstrip(b"\0")


_SIZES: dict[int, Callable[[memoryview, Limits], int]] = {
    MessageId.CONFIG_FILE: lambda view, limits: 2 + CONFIG_FILE_SIZE,
    MessageId.CONFIG_TEXT: _counted(_U32),
    MessageId.HEADER: _counted(_U32),
    MessageId.CLOSE: lambda view, limits: 2,
    MessageId.TEXT: _counted(_U32),
    MessageId.ACQUISITION: _acquisition_size,
    MessageId.DEPENDENCY: _counted(_U64),
    MessageId.IMAGE: _image_size,
    MessageId.RECON_DATA: recon_data_size,
    MessageId.IMAGE_ARRAY: image_array_size,
    MessageId.WAVEFORM: _waveform_size,
    MessageId.BUCKET: bucket_size,
}

_PARSERS: dict[int, Callable[[memoryview], Any]] = {
    MessageId.CONFIG_FILE: lambda view: ConfigFile(bytes(view[2:]).split(b"\0", 1)[0].decode()),
    MessageId.CONFIG_TEXT: lambda view: ConfigText(_text(view)),
    MessageId.HEADER: lambda view: Header(_text(view)),
    MessageId.CLOSE: lambda view: Close(),
    MessageId.TEXT: lambda view: Text(_text(view).decode(errors="replace")),
    MessageId.ACQUISITION: _acquisition,
    MessageId.DEPENDENCY: lambda view: Dependency(bytes(view[10:]).rstrip(b"\0")),
    MessageId.IMAGE: lambda view: ismrmrd.Image.from_bytes(bytes(view[2:])),
    MessageId.RECON_DATA: lambda view: read_recon_data(Whole(view[2:])),
    MessageId.IMAGE_ARRAY: lambda view: read_image_array(Whole(view[2:])),
    MessageId.WAVEFORM: lambda view: ismrmrd.Waveform.from_bytes(bytes(view[2:])),
    MessageId.BUCKET: lambda view: read_bucket(Whole(view[2:])),
}
