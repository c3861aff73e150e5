"""The embedded host: accepts ISMRMRD sessions, runs their stream configuration, streams images back."""

import logging
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..chain.warm_up import preload, warm_up
from ..errors import ConnectionFailed
from ..system.interruption import interrupt
from .conversation import Options, converse, report_to_client
from .failure import SILENCE_SECONDS
from .gate import Gate
from .link import Link
from .session import Session

log = logging.getLogger(__name__)

REFUSED_SECONDS = 0.2
ROOM_SECONDS = 2.0  # how long a client waits for room before it is refused
CUT_SECONDS = 1.0  # for scans that are cut to tell their clients, and to settle their raw data
MOST_REFUSALS = 16  # clients that wait, or are told that there is no room; more are cut off


def serve(host: str, port: int, options: Options) -> None:
    """Serve until SIGTERM, each connection in a thread of its own; then take no more, and finish what runs.

    SIGINT, or a second SIGTERM, cuts what runs.

    To be called from the main thread.

    Parameters
    ----------
    host, port : str, int
        The address to listen on; port 0 takes one that is free, and the log tells which.
    options : Options
        How clients are treated.

    Raises
    ------
    ConnectionFailed
        Where the address cannot be bound.
    KeyboardInterrupt
        Once what ran is cut: its threads may go on to compute, so that the process should be left (`leave`).
    """
    with _termination() as terminated, listen(host, port) as listener:
        preload(options.registry)
        warm_up(options.registry)
        server = Server(options)
        log.info("listening on %s", "{}:{}".format(*listener.getsockname()[:2]))
        try:
            with selectors.DefaultSelector() as selector:
                for source in (listener, terminated):
                    selector.register(source, selectors.EVENT_READ)
                while all(key.fileobj is listener for key, _ in selector.select()):
                    server.accept(listener)
            listener.close()
            server.finish()
        except KeyboardInterrupt:
            listener.close()
            server.cut()
            raise


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Parameters
    ----------
    host, port : str, int
        The address; port 0 takes one that is free.

    Returns
    -------
    socket.socket
        By TCP.

    Raises
    ------
    ConnectionFailed
        Where the address cannot be bound.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=16)
    except (OSError, OverflowError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise ConnectionFailed(f"cannot listen on {host}:{port}: {reason}") from None


@contextmanager
def _termination() -> Iterator[socket.socket]:
    """A socket that can be read once SIGTERM has come; a second one interrupts, as it would without this."""
    ours, theirs = socket.socketpair()

    def terminate(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, interrupt)
        theirs.send(b"\0")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with ours, theirs:
            yield ours
    finally:
        signal.signal(signal.SIGTERM, before)


class Server:
    """The clients that are served, each in a thread.

    Parameters
    ----------
    options : Options
        How they are treated.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._room = threading.BoundedSemaphore(options.clients)
        self._lock = threading.Lock()
        self._present: set[threading.Thread] = set()
        self._gate = Gate()

    def accept(self, listener: socket.socket) -> None:
        """Take the client that waits. Where no more can be had, it is cut off; that is an error in the log.

        Parameters
        ----------
        listener : socket.socket
            Of which a client was announced.
        """
        try:
            sock, address = listener.accept()
        except OSError as exc:  # out of descriptors: those who are here still run
            log.error("cannot take another client: %s", exc)
            time.sleep(REFUSED_SECONDS)
            return
        peer = "{}:{}".format(*address[:2])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(peer, self._options.registry)
        thread = threading.Thread(target=self._attend, args=(sock, session), name=peer, daemon=True)
        try:
            with self._lock:
                if len(self._present) >= self._options.clients + MOST_REFUSALS:
                    raise RuntimeError(f"{len(self._present)} clients are here")
                thread.start()
                self._present.add(thread)
        except RuntimeError as exc:  # or no thread can be had
            log.error("%s: cut off: %s", peer, exc)
            sock.close()

    def finish(self) -> None:
        """Wait for the scans that run. Clients that have not begun one are let go at once, and begin none."""
        log.info("stopping; %d scans to finish", self._gate.close())
        with self._lock:
            present = list(self._present)
        for thread in present:
            thread.join()
        self._gate.remove()
        log.info("stopped")

    def cut(self) -> None:
        """End the scans that run. Their clients are told, and their raw data is kept, as far as that takes no time."""
        log.error("interrupted; %d scans are cut", self._gate.close())
        self._gate.cut.ring()
        deadline = time.monotonic() + CUT_SECONDS
        for thread in list(self._present):
            thread.join(max(0.0, deadline - time.monotonic()))
        self._gate.abandon()

    def _attend(self, sock: socket.socket, session: Session) -> None:
        try:
            with sock:
                # A client may be back before its last session has quite ended.
                if self._room.acquire(timeout=ROOM_SECONDS):
                    try:
                        converse(sock, session, self._options, self._gate)
                    finally:
                        self._room.release()
                else:
                    n_clients = self._options.clients
                    text = f"server is busy: it has {n_clients} clients, its most (--clients); try again later"
                    log.error("refused: %s", text)
                    link = Link(sock, session.peer, SILENCE_SECONDS, bells=(self._gate.stopping, self._gate.cut))
                    report_to_client(link, session, text, SILENCE_SECONDS)
        finally:
            with self._lock:
                self._present.discard(threading.current_thread())
