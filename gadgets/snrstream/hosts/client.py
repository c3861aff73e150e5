"""The client: streams a raw scan to a server and collects what it sends back."""

import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

import ismrmrd
from tqdm import tqdm

from ..chain.pipelines import chain_file, read_configuration
from ..errors import ConnectionFailed, ProtocolError
from ..system.progress import Progress
from ..wire.acquisitions import NOISE_FLAG, head_of
from ..wire.messages import Close, ConfigFile, ConfigText, Fault, Header, Text
from .link import Link
from .openrecon import Settings
from .scan_source import RawScan

CONNECT_SECONDS = 10.0
SOURCE_SECONDS = 1.0  # for which a scan that comes through a pipe, and pauses, is waited for once the server is gone
NOISE_PIPELINE = "default_measurement_dependencies"


@dataclass(frozen=True)
class Received:
    """An image, and the seconds from the last acquisition sent until it had arrived (0 if it came before)."""

    image: ismrmrd.Image
    latency_s: float


def send_scan(
    scan: RawScan,
    host: str,
    port: int,
    pipeline: str,
    properties: Mapping[str, str] = MappingProxyType({}),
    patience: float | None = None,
) -> list[Received]:
    """All that `stream_scan` gives, which is lost where it fails."""
    return list(stream_scan(scan, host, port, pipeline, properties, patience))


def stream_scan(
    scan: RawScan,
    host: str,
    port: int,
    pipeline: str,
    properties: Mapping[str, str] = MappingProxyType({}),
    patience: float | None = None,
) -> Iterator[Received]:
    """Stream a scan through a pipeline of a server. Begins when the first image is asked for.

    Parameters
    ----------
    scan : RawScan
        Any opened raw scan. Its data is sent once.
    host : str
        Where the server listens.
    port : int
        Its TCP port.
    pipeline : str
        A name that the server knows, or the path of a file to send whole.
    properties : mapping of str to str
        Of the pipeline's gadgets, in place of the pipeline's own. The server refuses one that no gadget has.
    patience : float or None
        Seconds that the server may send nothing and take nothing; None is for ever.

    Yields
    ------
    Received
        The images as they come, also those ahead of a failure. None are right for noise acquisitions alone, and from
        the pipeline that keeps dependent noise measurements.

    Raises
    ------
    ConnectionFailed
        Where nobody listens, the server goes away, sends no images, or reports an error.
    ProtocolError
        Where the server sends what is no message, or nothing.
    SnrstreamError
        Where the scan or the pipeline's file cannot be read.
    """
    file = chain_file(pipeline)
    configuration = ConfigFile(pipeline) if file is None else ConfigText(read_configuration(file))
    server = f"server {host}:{port}"
    try:
        sock = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    except (OSError, OverflowError, UnicodeError) as exc:
        raise ConnectionFailed(f"cannot connect to {server}: {getattr(exc, 'strerror', None) or exc}") from None
    with sock, Progress(f"to {host}:{port}", scan.n_acquisitions) as progress:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # its host may vanish
        link = Link(sock, server, patience)
        preamble: list[Any] = [configuration, Header(scan.header_xml)]
        if properties:
            preamble.append(Text(Settings(dict(properties), strict=True).text()))
        sender = _Sender(link, preamble, scan, progress)
        sender.start()
        try:
            for message in link:
                if isinstance(message, Fault) or (isinstance(message, Text) and message.text.startswith("ERROR")):
                    raise ConnectionFailed(f"{server}: {message.text}")
                if isinstance(message, Text):
                    tqdm.write(f"server says: {message.text[:1000]!r}", file=sys.stderr)
                elif isinstance(message, ismrmrd.Image):
                    done = sender.finished_at
                    progress.image()
                    yield Received(message, time.monotonic() - done if done else 0.0)
        except (ConnectionFailed, ProtocolError) as exc:
            sent = _share(progress.n_acquisitions, scan)
            raise type(exc)(f"{exc} ({sent} sent, {progress.n_images} images received)") from None
        finally:
            _shut(sock)
            sender.join(SOURCE_SECONDS)
    if sender.error is not None:
        raise sender.error
    if sender.finished_at is None:
        raise ConnectionFailed(
            f"{server} closed after {_share(progress.n_acquisitions, scan)} and {progress.n_images} images; "
            "expected it to take the whole scan"
        )
    if not progress.n_images and not sender.only_noise and not is_noise_pipeline(pipeline):
        raise ConnectionFailed(f"{server} sent no images for {progress.n_acquisitions} acquisitions of {scan.path}")


def is_noise_pipeline(pipeline: str) -> bool:
    """Whether a pipeline is, by its name, the one that keeps noise measurements and sends no images."""
    return PurePath(pipeline).stem == NOISE_PIPELINE


def _share(n_sent: int, scan: RawScan) -> str:
    total = "" if scan.n_acquisitions is None else f" of {scan.n_acquisitions}"
    return f"{n_sent}{total} acquisitions"


class _Sender(threading.Thread):
    """Sends while the main thread receives, as a server may answer before all is sent."""

    def __init__(self, link: Link, preamble: list[Any], scan: RawScan, progress: Progress) -> None:
        super().__init__(daemon=True)
        self._link, self._preamble, self._scan, self._progress = link, preamble, scan, progress
        self.finished_at: float | None = None
        self.error: Exception | None = None
        self.only_noise = True

    def run(self) -> None:
        """Send all, or as much as the scan gives, or the server takes."""
        try:
            for message in self._preamble:
                self._link.send(message)
            for item in self._progress.counting(self._data()):
                self._link.send(item)
                if isinstance(item, ismrmrd.Acquisition):
                    self.only_noise &= bool(head_of(item).flags & NOISE_FLAG)
            if self.error is None:
                self.finished_at = time.monotonic()
            self._link.send(Close())
        except ConnectionFailed:
            return  # the receiving side knows more: an error text, or the end of the connection

    def _data(self) -> Iterator[Any]:
        """The scan's, to where it breaks off: the server has what came before, and must hear of the end."""
        try:
            yield from self._scan.items()
        except Exception as exc:  # noqa: BLE001 - a thread that just ended would leave the server waiting
            self.error = exc


def _shut(sock: socket.socket) -> None:
    """Wake the sender where it still waits for a peer that is done."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
