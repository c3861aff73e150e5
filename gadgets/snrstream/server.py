"""The embedded host: accepts ISMRMRD sessions, runs their stream configuration, streams images back."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import ismrmrd
from gadgetron.types.acquisition_bucket import AcquisitionBucket
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconData

from .chain import Chain, is_noise_query, named_chain, parse_chain, preload
from .errors import ConfigurationError, ConnectionFailed, ProtocolError, SnrstreamError
from .link import Link
from .mrd.header import parse_header
from .mrd.messages import Close, ConfigFile, ConfigText, Dependency, Header, Text
from .progress import Progress

log = logging.getLogger(__name__)

DRAIN_SECONDS, SILENCE_SECONDS = 120.0, 2.0
REFUSED_SECONDS = 0.2
DATA = (ismrmrd.Acquisition, ismrmrd.Image, ismrmrd.Waveform, ReconData, ImageArray, AcquisitionBucket)
LONGEST_ERROR = 1000  # characters
NO_NOISE = b'<?xml version="1.0"?>\n<ismrmrdMeta><meta><name>status</name><value>failed</value></meta></ismrmrdMeta>'


def serve(host: str, port: int) -> None:
    """Serve until interrupted, each connection in a thread of its own.

    Raises ConnectionFailed where the address cannot be bound.
    """
    with listen(host, port) as listener:
        preload()
        address = "{}:{}".format(*listener.getsockname()[:2])
        log.info("listening on %s", address)
        while True:
            try:
                sock, peer = listener.accept()
                name = "{}:{}".format(*peer[:2])
                threading.Thread(target=_connection, args=(sock, name), name=name, daemon=True).start()
            except (OSError, RuntimeError) as exc:  # out of descriptors or threads: others still run
                log.error("cannot take another client: %s", exc)
                time.sleep(REFUSED_SECONDS)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises ConnectionFailed where the address cannot be bound."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=16)
    except (OSError, OverflowError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise ConnectionFailed(f"cannot listen on {host}:{port}: {reason}") from None


def _connection(sock: socket.socket, peer: str) -> None:
    """One session, whatever becomes of it: the client gets its images, or a text that begins ERROR."""
    with sock:
        link = Link(sock, peer)
        try:
            _session(link)
            link.send(Close())
            link.finish(SILENCE_SECONDS)
        except ConnectionFailed as exc:
            log.error("%s", exc)
        except SnrstreamError as exc:
            log.error("%s: %s", peer, str(exc)[:LONGEST_ERROR])
            _report(link, str(exc))
        except Exception as exc:
            log.exception("%s: a defect of snrstream", peer)
            _report(link, f"internal error: {type(exc).__name__}: {exc}")


def _report(link: Link, text: str) -> None:
    link.drain(DRAIN_SECONDS, SILENCE_SECONDS)
    try:
        link.send(Text(f"ERROR: {text[:LONGEST_ERROR]}"))
        link.send(Close())
        link.finish(SILENCE_SECONDS)
    except ConnectionFailed as exc:
        log.error("%s: the error above could not be delivered", exc)


def _session(link: Link) -> None:
    messages = iter(link)
    first = next(messages, None)
    if first is None:
        return  # a client that only asks whether anybody listens
    if isinstance(first, ConfigText) and is_noise_query(first.xml):
        # A Gadgetron client asks for a stored noise measurement ahead of its scan; none is stored here.
        for _ in messages:
            pass
        link.send(Dependency(NO_NOISE))
        return
    chain, name = _chain(first)
    second = next(messages, None)
    if not isinstance(second, Header):
        raise ProtocolError(f"{_kind(second)} after the configuration; expected the ISMRMRD header")
    header = parse_header(second.xml)
    log.info("%s: scan with %s", link.peer, name)
    with Progress(f"{link.peer} {name}") as progress:
        for item in chain.run(_items(messages, progress), header):
            link.send(item)
            if isinstance(item, ismrmrd.Image):
                progress.image()
    log.info("%s: %d acquisitions in, %d images out", link.peer, progress.n_acquisitions, progress.n_images)


def _chain(first: Any) -> tuple[Chain, str]:
    match first:
        case ConfigFile(name):
            return named_chain(name), name
        case ConfigText(xml):
            return parse_chain(xml, "configuration of the client"), "a configuration of its own"
    raise ConfigurationError(f"{_kind(first)} begins the session; expected a configuration")


def _items(messages: Iterator[Any], progress: Progress) -> Iterator[Any]:
    """The data of a scan, counted; texts of the client are logged."""
    for message in messages:
        if isinstance(message, DATA):
            if isinstance(message, ismrmrd.Acquisition):
                progress.acquisition()
            yield message
        elif isinstance(message, Text):
            log.info("client says: %r", message.text[:LONGEST_ERROR])
        else:
            raise ProtocolError(f"{_kind(message)} among the data; expected acquisitions, images or waveforms")


def _kind(message: Any) -> str:
    return "CLOSE" if message is None else type(message).__name__
