"""A scan as a stream of ISMRMRD messages, in a file or a pipe."""

import logging
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from ..errors import ProtocolError, ScanError
from ..wire.decoder import Decoder
from ..wire.encoder import encode
from ..wire.messages import DATA, LONGEST_TEXT, Close, ConfigFile, ConfigText, Fault, Header, Query, Text
from .pipe_ends import Sink

log = logging.getLogger(__name__)

CHUNK = 1 << 18


class MessageReader:
    """A `StreamReader` of ISMRMRD messages, as ismrmrd_hdf5_to_stream, siemens_to_ismrmrd and `--keep-raw` write them.

    Configurations and queries in it are left alone, texts are logged.

    Parameters
    ----------
    source : BufferedReader
        The stream, from its first byte on.
    name : str
        What to call it in errors.

    Raises
    ------
    ProtocolError
        Where no header comes before the data.
    """

    def __init__(self, source: BufferedReader, name: str) -> None:
        self._name = name
        self._messages = self._read(source)
        header = next((message for message in self._messages if not self._is_aside(message)), None)
        if not isinstance(header, Header):
            found = "ends" if header is None else f"goes on with {type(header).__name__}"
            raise ProtocolError(f"{name} {found} before an ISMRMRD header came; expected one ahead of the data")
        self.header_xml = header.xml

    def items(self) -> Iterator[Any]:
        """The data, once. Raises ProtocolError for what is none."""
        for message in self._messages:
            if isinstance(message, DATA):
                yield message
            elif not self._is_aside(message):
                raise ProtocolError(f"{self._name}: {type(message).__name__} among the data; expected acquisitions")

    def writer(self, sink: Sink) -> "MessageWriter":
        """Images leave as ISMRMRD messages too, behind the same header."""
        return MessageWriter(sink, self.header_xml)

    def _read(self, source: BufferedReader) -> Iterator[Any]:
        """Up to CLOSE, or to the last whole message before the end of input."""
        decoder = Decoder()
        try:
            while data := source.read1(CHUNK):
                for message in decoder.receive(data):
                    if isinstance(message, Close):
                        return
                    yield message
        except ProtocolError as exc:
            raise ProtocolError(f"{self._name}: {exc}") from None
        except (OSError, ValueError) as exc:  # ValueError: it was closed meanwhile
            reason = getattr(exc, "strerror", None) or exc
            raise ScanError(f"{self._name} cannot be read: {reason}") from None
        try:
            decoder.finish()
        except ProtocolError as exc:  # as raw data that was kept of a client that died ends
            log.warning("%s: %s: that message is lost", self._name, exc)
        log.warning("%s ended without CLOSE: images are made of what has come", self._name)

    def _is_aside(self, message: Any) -> bool:
        """Whether a message asks for nothing here (logged). Raises ScanError where it tells of a failure."""
        match message:
            case ConfigFile() | ConfigText():
                log.info("the configuration in the stream is not used: --pipeline decides")
            case Query():
                log.info("a query in the stream is not answered")
            case Text(text):
                log.info("%s says: %.1000r", self._name, text)
            case Fault(text):
                raise ScanError(f"{self._name} tells of a failure: {text[:LONGEST_TEXT]}")
            case _:
                return False
        return True


class MessageWriter:
    """A `StreamWriter` of ISMRMRD messages."""

    def __init__(self, sink: Sink, header_xml: bytes) -> None:
        self._sink = sink
        sink.write(encode(Header(header_xml)))

    def send(self, item: Any) -> None:
        """Raises ProtocolError for what cannot travel."""
        self._sink.write(encode(item))

    def close(self) -> None:
        """CLOSE, which tells the reader that nothing is missing."""
        self._sink.write(encode(Close()))
