"""A scan as a stream of ISMRMRD messages in a pipe."""

import logging
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from ..errors import ConnectionFailed, ProtocolError
from ..wire.decoder import Decoder
from ..wire.encoder import encode
from ..wire.header import parse_header
from ..wire.messages import DATA, Close, ConfigFile, ConfigText, Fault, Header, Query, Text
from .pipe_ends import Sink
from .session import LONGEST_TEXT

log = logging.getLogger(__name__)

CHUNK = 1 << 18


class MessageStream:
    """A `Stream` of ISMRMRD messages, as ismrmrd_hdf5_to_stream, siemens_to_ismrmrd and `serve --keep-raw` write them.

    Configurations and queries in it are left alone, texts are logged. Raises ProtocolError where no header comes
    before the data, ScanError for a header that cannot be read.
    """

    def __init__(self, source: BufferedReader, sink: Sink) -> None:
        self._messages = _messages(source)
        self._sink = sink
        header = next((message for message in self._messages if not _is_aside(message)), None)
        if not isinstance(header, Header):
            found = "ends" if header is None else f"goes on with {type(header).__name__}"
            raise ProtocolError(f"stdin {found} before an ISMRMRD header came; expected one ahead of the data")
        self.header = parse_header(header.xml)
        sink.write(encode(header))

    def items(self) -> Iterator[Any]:
        """Raises ProtocolError for what is no data."""
        for message in self._messages:
            if isinstance(message, DATA):
                yield message
            elif not _is_aside(message):
                raise ProtocolError(f"stdin: {type(message).__name__} among the data; expected acquisitions")

    def send(self, item: Any) -> None:
        """Raises ProtocolError for what cannot travel."""
        self._sink.write(encode(item))

    def close(self) -> None:
        """CLOSE, which tells the reader that nothing is missing."""
        self._sink.write(encode(Close()))


def _messages(source: BufferedReader) -> Iterator[Any]:
    """Up to CLOSE, or to the last whole message before the end of input."""
    decoder = Decoder()
    try:
        while data := source.read1(CHUNK):
            for message in decoder.receive(data):
                if isinstance(message, Close):
                    return
                yield message
    except ProtocolError as exc:
        raise ProtocolError(f"stdin: {exc}") from None
    except OSError as exc:
        raise ConnectionFailed(f"stdin cannot be read: {exc.strerror or exc}") from None
    try:
        decoder.finish()
    except ProtocolError as exc:  # as raw data that was kept of a client that died ends
        log.warning("stdin: %s: that message is lost", exc)
    log.warning("stdin ended without CLOSE: images are made of what has come")


def _is_aside(message: Any) -> bool:
    """Whether a message asks for nothing here; it is logged. Raises ConnectionFailed where it tells of a failure."""
    match message:
        case ConfigFile() | ConfigText():
            log.info("the configuration in the stream is not used: --pipeline decides")
        case Query():
            log.info("a query in the stream is not answered")
        case Text(text):
            log.info("stdin says: %.1000r", text)
        case Fault(text):
            raise ConnectionFailed(f"stdin tells of a failure: {text[:LONGEST_TEXT]}")
        case _:
            return False
    return True
