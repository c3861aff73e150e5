"""A pipe: raw data comes as a stream on stdin, images leave as a stream of the same format on stdout."""

import logging
from collections.abc import Iterator

import ismrmrd

from ..chain.chain import Chain
from ..system.progress import Progress
from ..wire.header import parse_header
from .pipe_ends import Sink
from .stream_reader import StreamReader

log = logging.getLogger(__name__)


def reconstruct_pipe(chain: Chain, reader: StreamReader, sink: Sink) -> Iterator[ismrmrd.Image]:
    """Run a chain on the scan that comes from a pipe, lazily. An image has left before more is read.

    A failure leaves the output without the mark of its end.

    Parameters
    ----------
    chain : Chain
        What to do.
    reader : StreamReader
        The scan, as `open_reader` gives it.
    sink : Sink
        Where its images go, in the format of the scan.

    Yields
    ------
    ismrmrd.Image
        Each, once it has left.

    Raises
    ------
    SnrstreamError
        As the reader does, what the chain raises, and ConnectionFailed where the other end is gone.
    """
    header = parse_header(reader.header_xml)
    writer = reader.writer(sink)
    with Progress("stdin") as progress:
        for item in chain.run(progress.counting(reader.items()), header):
            writer.send(item)
            if isinstance(item, ismrmrd.Image):
                progress.image()
                yield item
    writer.close()
    log.info("%d acquisitions in, %d images out", progress.n_acquisitions, progress.n_images)
