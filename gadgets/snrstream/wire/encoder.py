"""Messages to bytes."""

import struct

import ismrmrd
import numpy as np
from gadgetron.types.acquisition_bucket import AcquisitionBucket
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconData

from ..errors import ProtocolError
from .gadgetron_codecs import bucket_bytes, image_array_bytes, recon_data_bytes
from .messages import (
    CONFIG_FILE_SIZE,
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
    Words,
    not_sendable,
)


def encode(message: Message) -> bytes:
    """Give the bytes of one message, its id in front.

    Parameters
    ----------
    message : Message
        Data, or what is said about it.

    Returns
    -------
    bytes
        Little-endian. Pixels of 32-bit integers, which ismrmrd keeps in 64 bits, take 4 bytes each.

    Raises
    ------
    ProtocolError
        For an object that is no message, and for the name of a configuration that is too long for its field.
    """
    match message:
        case ismrmrd.Acquisition():
            return _id(MessageId.ACQUISITION) + message.to_bytes()
        case ismrmrd.Image():
            return _id(MessageId.IMAGE) + _image(message)
        case ismrmrd.Waveform():
            return _id(MessageId.WAVEFORM) + message.to_bytes()
        case ReconData():
            return _id(MessageId.RECON_DATA) + recon_data_bytes(message)
        case ImageArray():
            return _id(MessageId.IMAGE_ARRAY) + image_array_bytes(message)
        case AcquisitionBucket():
            return _id(MessageId.BUCKET) + bucket_bytes(message)
    return _words(message)


def _words(message: Words) -> bytes:
    """Of a message that is no data."""
    match message:
        case ConfigFile(name):
            return _id(MessageId.CONFIG_FILE) + _configuration_name(name)
        case ConfigText(xml):
            return _counted(MessageId.CONFIG_TEXT, xml)
        case Header(xml):
            return _counted(MessageId.HEADER, xml)
        case Text(text):
            return _counted(MessageId.TEXT, text.encode())
        case Query(number, text):
            return _id(MessageId.QUERY) + struct.pack("<QQ", 0, number) + _long(text.encode())
        case Response(number, text):
            return _id(MessageId.RESPONSE) + struct.pack("<Q", number) + _long(text.encode())
        case Fault(text):
            return _id(MessageId.ERROR) + _long(text.encode())
        case Dependency(xml):
            return _id(MessageId.DEPENDENCY) + _long(xml)
        case Dicom(file, name, meta):
            return _counted(MessageId.DICOM, file) + _long(name.encode()) + _long(meta)
        case Close():
            return _id(MessageId.CLOSE)
    raise not_sendable(message)


def _configuration_name(name: str) -> bytes:
    data = name.encode()
    if len(data) >= CONFIG_FILE_SIZE:
        raise ProtocolError(f"configuration name has {len(data)} bytes; expected under {CONFIG_FILE_SIZE}")
    return data.ljust(CONFIG_FILE_SIZE, b"\0")


def _image(image: ismrmrd.Image) -> bytes:
    """As ismrmrd writes it, but for int32 pixels, which it keeps in 64 bits and would send so."""
    data: bytes = image.to_bytes()
    if image.data_type != ismrmrd.DATATYPE_INT:
        return data
    return data[: len(data) - image.data.nbytes] + image.data.astype(np.int32).tobytes()


def _id(number: MessageId) -> bytes:
    return struct.pack("<H", number)


def _long(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def _counted(number: MessageId, data: bytes) -> bytes:
    return struct.pack("<HI", number, len(data)) + data
