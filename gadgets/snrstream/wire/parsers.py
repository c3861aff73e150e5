"""A whole message's bytes to the message. What they raise, the decoder turns into a ProtocolError."""

from collections.abc import Callable

import ismrmrd
import numpy as np

from ..errors import ProtocolError
from ..system.safe_xml import local_name, parse_xml
from .compressed import read_compressed
from .gadgetron_codecs import Whole, read_bucket, read_image_array, read_recon_data
from .messages import (
    Close,
    ConfigFile,
    ConfigText,
    Dependency,
    Dicom,
    Fault,
    Header,
    Message,
    MessageId,
    Query,
    Response,
    Text,
)
from .sizes import IMAGE_HEAD, U32, U64


def _bytes(view: memoryview, start: int) -> bytes:
    """Text up to the end; some peers end it with NUL, which XML parsers fail on."""
    return bytes(view[start:]).rstrip(b"\0")


def _text(view: memoryview, start: int) -> str:
    return _bytes(view, start).decode(errors="replace")


def _image(view: memoryview) -> ismrmrd.Image:
    """Its attributes are XML, which ismrmrd would read with all that a stranger puts in."""
    n_attributes = U64.unpack_from(view, 2 + IMAGE_HEAD)[0]
    start = 2 + IMAGE_HEAD + 8 + n_attributes
    if attributes := _bytes(view[:start], 2 + IMAGE_HEAD + 8).strip():
        root = parse_xml(attributes, "image attributes", ProtocolError)
        if local_name(root) != "ismrmrdMeta":
            raise ProtocolError(f"image attributes have root element {local_name(root)!r}; expected 'ismrmrdMeta'")
    head = ismrmrd.ImageHeader.from_buffer_copy(view, 2)
    if head.data_type != ismrmrd.DATATYPE_INT:
        return ismrmrd.Image.from_bytes(bytes(view[2:]))
    wide = np.frombuffer(view[start:], np.int32).astype(np.int64)  # which ismrmrd takes them for
    return ismrmrd.Image.from_bytes(bytes(view[2:start]) + wide.tobytes())


def _dicom(view: memoryview) -> Dicom:
    end = 6 + U32.unpack_from(view, 2)[0]
    parts = [bytes(view[6:end])]
    for _ in range(2):
        start = end + 8
        end = start + U64.unpack_from(view, end)[0]
        parts.append(bytes(view[start:end]))
    return Dicom(parts[0], parts[1].decode(errors="replace"), parts[2])


PARSERS: dict[int, Callable[[memoryview], Message]] = {
    MessageId.CONFIG_FILE: lambda view: ConfigFile(bytes(view[2:]).split(b"\0", 1)[0].decode()),
    MessageId.CONFIG_TEXT: lambda view: ConfigText(_bytes(view, 6)),
    MessageId.HEADER: lambda view: Header(_bytes(view, 6)),
    MessageId.CLOSE: lambda _: Close(),
    MessageId.TEXT: lambda view: Text(_text(view, 6)),
    MessageId.QUERY: lambda view: Query(U64.unpack_from(view, 10)[0], _text(view, 26)),
    MessageId.RESPONSE: lambda view: Response(U64.unpack_from(view, 2)[0], _text(view, 18)),
    MessageId.ERROR: lambda view: Fault(_text(view, 10)),
    MessageId.DICOM: _dicom,
    MessageId.DEPENDENCY: lambda view: Dependency(_bytes(view, 10)),
    MessageId.ACQUISITION: read_compressed,  # the decoder itself takes plain ones apart
    MessageId.IMAGE: _image,
    MessageId.RECON_DATA: lambda view: read_recon_data(Whole(view[2:])),
    MessageId.IMAGE_ARRAY: lambda view: read_image_array(Whole(view[2:])),
    MessageId.BUCKET: lambda view: read_bucket(Whole(view[2:])),
    MessageId.WAVEFORM: lambda view: ismrmrd.Waveform.from_bytes(bytes(view[2:])),
}
