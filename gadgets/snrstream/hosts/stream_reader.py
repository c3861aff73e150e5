"""A scan that comes as a stream of bytes, in whichever format: told by its first bytes."""

from collections.abc import Iterator
from io import BufferedReader
from typing import Any, Protocol

from ..errors import ConfigurationError, ProtocolError, ScanError
from ..wire.v2 import MAGIC
from .message_stream import MessageReader
from .pipe_ends import Sink


class StreamWriter(Protocol):
    """Images that go out in one format, behind the scan's header."""

    def send(self, item: Any) -> None:
        """Write one item, which has left on return."""

    def close(self) -> None:
        """The mark of a stream that is complete."""


class StreamReader(Protocol):
    """A scan that comes in. header_xml: the ISMRMRD header."""

    header_xml: bytes

    def items(self) -> Iterator[Any]:
        """Its data, lazily and once."""
        ...

    def writer(self, sink: Sink) -> StreamWriter:
        """For images of the same format."""
        ...


def open_reader(source: BufferedReader, name: str) -> StreamReader:
    """Read a stream up to its header: one of ISMRMRD messages, or MRD v2 where it begins with that format's magic.

    Parameters
    ----------
    source : BufferedReader
        The stream, from its first byte on.
    name : str
        What to call it in errors.

    Returns
    -------
    StreamReader
        Its header, and its data yet to be read.

    Raises
    ------
    ProtocolError
        For bytes that are no such stream.
    ScanError
        Where it cannot be read.
    ConfigurationError
        Where MRD v2 lacks its package.
    """
    start = first_bytes(source, name)
    if not start:
        raise ProtocolError(f"{name} is empty; expected a stream of ISMRMRD messages")
    if not MAGIC.startswith(start[: len(MAGIC)]):  # no ISMRMRD message begins with any part of it
        return MessageReader(source, name)
    try:
        from .mrd2_stream import Mrd2Reader
    except ModuleNotFoundError as exc:
        if exc.name != "mrd":
            raise
        raise ConfigurationError(
            f"{name} is an MRD v2 stream, which needs the package mrd-python: pip install 'mrd-python>=2.1.1,<2.2'"
        ) from None
    return Mrd2Reader(source, name)


def first_bytes(source: BufferedReader, name: str) -> bytes:
    """What a stream begins with, which stays in it: one byte at least, but for an empty one."""
    try:
        return source.peek(1)
    except OSError as exc:
        raise ScanError(f"{name} cannot be read: {exc.strerror or exc}") from None
