"""How long a message is, as far as its first bytes tell, and whether that is bearable."""

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass

import ismrmrd

from ..errors import ProtocolError
from .messages import CONFIG_FILE_SIZE, MessageId

U16, U32, U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
ACQUISITION_HEAD = ctypes.sizeof(ismrmrd.AcquisitionHeader)
ACQUISITION_START = 2 + ACQUISITION_HEAD  # of trajectory and data
IMAGE_HEAD = ctypes.sizeof(ismrmrd.ImageHeader)
# uint16, int16, uint32, int32, float32, float64, complex64, complex128; ismrmrd itself takes int32 for int64
ITEM_SIZES = dict(enumerate((2, 2, 4, 4, 4, 8, 8, 16), start=ismrmrd.DATATYPE_USHORT))
WAVEFORM_HEAD = ctypes.sizeof(ismrmrd.WaveformHeader)


ACQUISITION_SHAPE = struct.Struct(
    "<4xQ24xH2xH136xH"
)  # of the message: flags, samples, channels, trajectory's dimensions


@dataclass(frozen=True)
class Limits:
    """The largest text, and the largest acquisition, image, waveform or array of them, in bytes."""

    text: int = 16 << 20
    data: int = 1 << 30


DEFAULT_LIMITS = Limits()

Size = Callable[[memoryview, Limits], int]  # bytes of the whole message, or of as much of it as tells more


def message_name(view: memoryview) -> str:
    """What an error calls the message that begins with these bytes."""
    number = U16.unpack_from(view)[0]
    known = number in MessageId._value2member_map_
    return f"{MessageId(number).name.lower()} message" if known else f"message {number}"


def bounded(length: int, limit: int, view: memoryview) -> int:
    """`length`. Raises ProtocolError where it exceeds the limit."""
    if length > limit:
        raise too_long(message_name(view), length, limit)
    return length


def too_long(name: str, length: int, limit: int) -> ProtocolError:
    """The error for a message that announces more than it may."""
    return ProtocolError(f"{name} announces {length} bytes; expected at most {limit}")


def _counted(length: struct.Struct, before: int = 0) -> Size:
    def size(view: memoryview, limits: Limits) -> int:
        start = 2 + before + length.size
        if len(view) < start:
            return start
        return start + bounded(length.unpack_from(view, 2 + before)[0], limits.text, view)

    return size


def _image(view: memoryview, limits: Limits) -> int:
    start = 2 + IMAGE_HEAD + 8
    if len(view) < start:
        return start
    head = ismrmrd.ImageHeader.from_buffer_copy(view, 2)
    attributes = bounded(U64.unpack_from(view, 2 + IMAGE_HEAD)[0], limits.text, view)
    if head.data_type not in ITEM_SIZES:
        raise ProtocolError(f"image has data type {head.data_type}; expected 1 to 8")
    pixels = ITEM_SIZES[head.data_type] * head.channels
    for size in head.matrix_size:
        pixels *= size
    return start + attributes + bounded(pixels, limits.data, view)


def _waveform(view: memoryview, limits: Limits) -> int:
    start = 2 + WAVEFORM_HEAD
    if len(view) < start:
        return start
    head = ismrmrd.WaveformHeader.from_buffer_copy(view, 2)
    return start + bounded(4 * head.number_of_samples * head.channels, limits.data, view)


def _dicom(view: memoryview, limits: Limits) -> int:
    """A file, then its name and its meta attributes."""
    end = 2
    for length, limit in ((U32, limits.data), (U64, limits.text), (U64, limits.text)):
        if len(view) < end + length.size:
            return end + length.size
        end += length.size + bounded(length.unpack_from(view, end)[0], limit, view)
    return end


# Of all but acquisitions: the decoder itself takes plain ones apart, and `compressed` has the others.
SIZES: dict[int, Size] = {
    MessageId.CONFIG_FILE: lambda _view, _limits: 2 + CONFIG_FILE_SIZE,
    MessageId.CONFIG_TEXT: _counted(U32),
    MessageId.HEADER: _counted(U32),
    MessageId.CLOSE: lambda _view, _limits: 2,
    MessageId.TEXT: _counted(U32),
    MessageId.QUERY: _counted(U64, before=16),
    MessageId.RESPONSE: _counted(U64, before=8),
    MessageId.ERROR: _counted(U64),
    MessageId.DICOM: _dicom,
    MessageId.DEPENDENCY: _counted(U64),
    MessageId.IMAGE: _image,
    MessageId.WAVEFORM: _waveform,
}
