"""The messages of an ISMRMRD session: data, which are objects of ismrmrd and gadgetron, and what is said about it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import ismrmrd
from gadgetron.types.acquisition_bucket import AcquisitionBucket
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconData

from ..errors import ProtocolError

CONFIG_FILE_SIZE = 1024
LONGEST_TEXT = 1000  # characters that are told of a peer's text, and to a peer of an error


class MessageId(IntEnum):
    """The u16 in front of every message, little-endian like all else."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    QUERY = 6
    RESPONSE = 7
    ERROR = 8
    ACQUISITION = 1008
    DICOM = 1018
    DEPENDENCY = 1019
    IMAGE = 1022
    RECON_DATA = 1023
    IMAGE_ARRAY = 1024
    WAVEFORM = 1026
    BUCKET = 1050


@dataclass(frozen=True)
class ConfigFile:
    """The name of a stream configuration that the server knows."""

    name: str


@dataclass(frozen=True)
class ConfigText:
    """A stream configuration sent whole."""

    xml: bytes


@dataclass(frozen=True)
class Header:
    """The ISMRMRD XML header of the scan."""

    xml: bytes


@dataclass(frozen=True)
class Text:
    """A line for the user. From a server, one that begins with `ERROR` reports a failure."""

    text: str


@dataclass(frozen=True)
class Query:
    """A question about the server, such as `gadgetron::info`. `id` comes back with the answer."""

    id: int
    text: str


@dataclass(frozen=True)
class Response:
    """The answer to the `Query` of the same `id`."""

    id: int
    text: str


@dataclass(frozen=True)
class Fault:
    """How an external module tells Gadgetron, or Gadgetron its module, that it failed: the error message."""

    text: str


@dataclass(frozen=True)
class Dicom:
    """A DICOM file, the name it should get, and meta attributes (XML) or nothing."""

    file: bytes
    name: str
    meta: bytes


@dataclass(frozen=True)
class Dependency:
    """The answer to a client that asks for a stored noise measurement: ISMRMRD meta XML."""

    xml: bytes


@dataclass(frozen=True)
class Close:
    """The end of what a peer has to send."""


@dataclass(frozen=True)
class Pause:
    """No message, but that the peer has sent nothing more so far: who waits for more would wait in vain for now."""


Data: TypeAlias = ismrmrd.Acquisition | ismrmrd.Image | ismrmrd.Waveform | ReconData | ImageArray | AcquisitionBucket
DATA = (ismrmrd.Acquisition, ismrmrd.Image, ismrmrd.Waveform, ReconData, ImageArray, AcquisitionBucket)

Words: TypeAlias = ConfigFile | ConfigText | Header | Close | Text | Query | Response | Fault | Dicom | Dependency
Message: TypeAlias = Data | Words  # whatever travels


def data_of(item: object) -> Data:
    """Give what a chain ends with as data that can be sent.

    Parameters
    ----------
    item : object
        Of a chain's last gadget.

    Returns
    -------
    Data
        The same object.

    Raises
    ------
    ProtocolError
        Where it is none of the objects that travel.
    """
    if isinstance(item, DATA):
        return item
    raise not_sendable(item)


def not_sendable(item: object) -> ProtocolError:
    """Make the error for an object that is no message.

    Parameters
    ----------
    item : object
        Which should have been sent.

    Returns
    -------
    ProtocolError
        That names its class.
    """
    return ProtocolError(f"a {type(item).__name__} cannot be sent; expected acquisitions, images or waveforms")
