"""The messages of an ISMRMRD session, beside ismrmrd's own Acquisition, Image and Waveform."""

from dataclasses import dataclass
from enum import IntEnum


class MessageId(IntEnum):
    """The u16 in front of every message, little-endian like all else."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    ACQUISITION = 1008
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
class Dependency:
    """The answer to a client that asks for a stored noise measurement: ISMRMRD meta XML."""

    xml: bytes


@dataclass(frozen=True)
class Close:
    """The end of what a peer has to send."""
