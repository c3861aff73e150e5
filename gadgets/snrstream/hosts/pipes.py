"""A pipe: raw data comes as a stream on stdin, images leave as a stream of the same format on stdout."""

import logging
from io import BufferedReader

import ismrmrd

from ..chain.chain import Chain
from ..system.progress import Progress
from ..wire.header import parse_header
from .pipe_ends import Sink
from .stream_reader import open_reader

log = logging.getLogger(__name__)


def reconstruct_pipe(chain: Chain, source: BufferedReader, sink: Sink) -> None:
    """Run a chain on the scan that comes from a pipe. An image has left before more is read.

    A failure leaves the output without the mark of its end.

    Parameters
    ----------
    chain : Chain
        What to do.
    source : BufferedReader
        Where the scan comes from.
    sink : Sink
        Where its images go, in the format of the scan.

    Raises
    ------
    SnrstreamError
        As `open_reader` does, what the chain raises, and ConnectionFailed where the other end is gone.
    """
    reader = open_reader(source, "stdin")
    header = parse_header(reader.header_xml)
    writer = reader.writer(sink)
    with Progress("stdin") as progress:
        for item in chain.run(progress.counting(reader.items()), header):
            writer.send(item)
            if isinstance(item, ismrmrd.Image):
                progress.image()
    writer.close()
    log.info("%d acquisitions in, %d images out", progress.n_acquisitions, progress.n_images)
