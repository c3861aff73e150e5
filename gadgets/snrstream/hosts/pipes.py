"""A pipe: raw data comes as a stream on stdin, images leave as a stream of the same format on stdout."""

import logging
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, Protocol

import ismrmrd
from ismrmrd import xsd

from ..chain.chain import Chain
from ..errors import ConfigurationError, ConnectionFailed, ProtocolError
from ..system.progress import Progress
from ..wire.v2 import MAGIC
from .message_stream import MessageStream
from .pipe_ends import Sink

log = logging.getLogger(__name__)


class Stream(Protocol):
    """A scan that comes in and its images that go out, in one format.

    header: of the scan. items: its data, lazily. send: writes one item, which has left on return. close: the mark of
    a stream that is complete.
    """

    header: xsd.ismrmrdHeader

    def items(self) -> Iterator[Any]: ...

    def send(self, item: Any) -> None: ...

    def close(self) -> None: ...


def reconstruct(chain: Chain, source: BufferedReader, sink: Sink) -> None:
    """Run `chain` on the scan that comes from `source`. An image has left by `sink` before more is read.

    The stream is one of ISMRMRD messages, or MRD v2 where it begins with that format's magic. A failure leaves the
    output without the mark of its end. Raises ProtocolError for bytes that are no such stream, ConnectionFailed where
    the other end is gone, ConfigurationError where MRD v2 lacks its package, and what the chain raises.
    """
    stream = _open(source, sink)
    with Progress("stdin") as progress:
        for item in chain.run(_counted(stream.items(), progress), stream.header):
            stream.send(item)
            if isinstance(item, ismrmrd.Image):
                progress.image()
    stream.close()
    log.info("%d acquisitions in, %d images out", progress.n_acquisitions, progress.n_images)


def _open(source: BufferedReader, sink: Sink) -> Stream:
    try:
        start = source.peek(1)[: len(MAGIC)]
    except OSError as exc:
        raise ConnectionFailed(f"stdin cannot be read: {exc.strerror or exc}") from None
    if not start:
        raise ProtocolError("stdin is empty; expected a stream of ISMRMRD messages")
    if not MAGIC.startswith(start):  # no ISMRMRD message begins with any part of it
        return MessageStream(source, sink)
    try:
        from .mrd2_stream import Mrd2Stream
    except ModuleNotFoundError as exc:
        if exc.name != "mrd":
            raise
        raise ConfigurationError(
            "stdin is an MRD v2 stream, which needs the package mrd-python: pip install 'snrstream[mrd2]'"
        ) from None
    return Mrd2Stream(source, sink)


def _counted(items: Iterator[Any], progress: Progress) -> Iterator[Any]:
    for item in items:
        if isinstance(item, ismrmrd.Acquisition):
            progress.acquisition()
        yield item
