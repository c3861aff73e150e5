"""The embedded host: accepts ISMRMRD sessions, runs their stream configuration, streams images back."""

import logging
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .chain import preload
from .errors import ConnectionFailed, SnrstreamError
from .link import Link
from .mrd.messages import Close
from .raw_record import RawRecord
from .session import LONGEST_TEXT, Session

log = logging.getLogger(__name__)

DRAIN_SECONDS, SILENCE_SECONDS = 120.0, 2.0
REFUSED_SECONDS = 0.2
ROOM_SECONDS = 2.0  # how long a client waits for room before it is refused
MOST_REFUSALS = 16  # clients that wait, or are told that there is no room; more are cut off


@dataclass(frozen=True)
class Options:
    """How `serve` treats its clients.

    clients: how many are served at once. patience: seconds that a client may send, or take, nothing.
    keep_raw: the folder where raw data of scans that failed stays; None keeps none.
    """

    clients: int = 8
    patience: float = 900.0
    keep_raw: Path | None = None


def serve(host: str, port: int, options: Options = Options()) -> None:
    """Serve until SIGTERM, each connection in a thread of its own; then take no more, and finish what runs.

    Raises ConnectionFailed where the address cannot be bound. To be called from the main thread.
    """
    with _termination() as terminated, listen(host, port) as listener:
        preload()
        server = Server(options)
        log.info("listening on %s", "{}:{}".format(*listener.getsockname()[:2]))
        with selectors.DefaultSelector() as selector:
            for source in (listener, terminated):
                selector.register(source, selectors.EVENT_READ)
            while all(key.fileobj is listener for key, _ in selector.select()):
                server.accept(listener)
        listener.close()
        server.finish()


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises ConnectionFailed where the address cannot be bound."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=16)
    except (OSError, OverflowError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise ConnectionFailed(f"cannot listen on {host}:{port}: {reason}") from None


@contextmanager
def _termination() -> Iterator[socket.socket]:
    """A socket that can be read once SIGTERM has come; a second one interrupts."""
    ours, theirs = socket.socketpair()

    def terminate(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        theirs.send(b"\0")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with ours, theirs:
            yield ours
    finally:
        signal.signal(signal.SIGTERM, before)


class Server:
    """The clients that are served, each in a thread."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._room = threading.BoundedSemaphore(options.clients)
        self._lock = threading.Lock()
        self._present: dict[threading.Thread, tuple[socket.socket, Session]] = {}

    def accept(self, listener: socket.socket) -> None:
        """Take the client that waits."""
        try:
            sock, address = listener.accept()
        except OSError as exc:  # out of descriptors: those who are here still run
            log.error("cannot take another client: %s", exc)
            time.sleep(REFUSED_SECONDS)
            return
        peer = "{}:{}".format(*address[:2])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(peer)
        thread = threading.Thread(target=self._attend, args=(sock, session), name=peer, daemon=True)
        try:
            with self._lock:
                if len(self._present) >= self._options.clients + MOST_REFUSALS:
                    raise RuntimeError(f"{len(self._present)} clients are here")
                thread.start()
                self._present[thread] = sock, session
        except RuntimeError as exc:  # or no thread can be had
            log.error("%s: cut off: %s", peer, exc)
            sock.close()

    def finish(self) -> None:
        """Wait for the scans that run; clients that have not begun are let go."""
        with self._lock:
            present = dict(self._present)
        n_scans = sum(session.begun for _, session in present.values())
        log.info("stopping; %d scans to finish", n_scans)
        for thread, (sock, session) in present.items():
            if not session.begun:
                _shut(sock)
            thread.join()
        log.info("stopped")

    def _attend(self, sock: socket.socket, session: Session) -> None:
        try:
            with sock:
                # A client may be back before its last session has quite ended.
                if self._room.acquire(timeout=ROOM_SECONDS):
                    try:
                        self._serve(sock, session)
                    finally:
                        self._room.release()
                else:
                    n_clients = self._options.clients
                    text = f"server is busy: it has {n_clients} clients, its most (--clients); try again later"
                    log.error("%s: refused: %s", session.peer, text)
                    _report(Link(sock, session.peer), session, text)
        finally:
            with self._lock:
                self._present.pop(threading.current_thread(), None)

    def _serve(self, sock: socket.socket, session: Session) -> None:
        """One session, whatever becomes of it: the client gets its images, or hears why not."""
        folder = self._options.keep_raw
        record = RawRecord(folder, session.peer) if folder is not None else None
        link = Link(sock, session.peer, self._options.patience, record.write if record is not None else None)
        failure: str | None = "ended by a defect"
        try:
            failure = _run(link, session)
        finally:
            if record is not None:
                _settle(record, session, failure)


def _run(link: Link, session: Session) -> str | None:
    """The whole session; why it failed, or None."""
    try:
        for message in session.answers(iter(link)):
            link.send(message)
        link.send(Close())
        link.finish(SILENCE_SECONDS)
        return None
    except ConnectionFailed as exc:
        log.log(logging.ERROR if session.begun else logging.INFO, "%s", exc)  # some only ask whether anybody listens
        return str(exc)
    except SnrstreamError as exc:
        text = str(exc)
        log.error("%s: %s", link.peer, text[:LONGEST_TEXT])
    except MemoryError:
        text = "out of memory; expected a smaller scan, or a host with more"
        log.error("%s: %s", link.peer, text)
    except Exception as exc:
        text = f"internal error: {type(exc).__name__}: {exc}"
        log.exception("%s: a defect of snrstream", link.peer)
    _report(link, session, text)
    return text


def _report(link: Link, session: Session, text: str) -> None:
    """Tell the client, once it has sent all it has: before, it might not read, and a reset would take it away."""
    link.drain(DRAIN_SECONDS, SILENCE_SECONDS)
    try:
        link.send(session.fault(text))
        link.send(Close())
        link.finish(SILENCE_SECONDS)
    except ConnectionFailed as exc:
        log.error("%s: the error above could not be delivered", exc)


def _settle(record: RawRecord, session: Session, failure: str | None) -> None:
    """Raw data stays where the scan failed."""
    if failure is None or not session.has_scan:
        record.discard()
        return
    path = record.keep()
    if path is not None:
        log.error("%s: raw data kept in %s", session.peer, path)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
