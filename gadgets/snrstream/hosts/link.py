"""A socket that carries messages."""

import math
import select
import socket
import time
from collections.abc import Iterator

from ..errors import ConnectionFailed, ProtocolError, SnrstreamError
from ..wire.decoder import Decoder
from ..wire.encoder import encode
from ..wire.messages import Close, Header, Message, Pause
from .gate import Gate
from .spool import CHUNK, Record, Spool


class Link:
    """One end of a connection. `send` and iteration may be used from two threads, unless it spools.

    Parameters
    ----------
    sock : socket.socket
        Connected. It stays the caller's to close.
    peer : str
        What errors and the log call the other end.
    patience : float or None
        Seconds that the peer may send nothing, or take nothing; None is for ever.
    record : Record or None
        Is given all bytes that come, in order.
    spool : bool
        Whether what comes while `send` waits for the peer to take something is kept for later, for some peers read
        nothing before they have sent everything.
    pauses : bool
        Whether iteration gives a `Pause` whenever it is about to wait for the peer.
    gate : Gate or None
        As long as it is set here, its closing ends every wait for the peer to send, by ConnectionFailed.

    Attributes
    ----------
    closed_by_peer : bool
        Whether the peer's CLOSE has come.
    has_header : bool
        Whether a scan's header came: set by draining, and by who takes it from an iteration.
    """

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        patience: float | None = None,
        record: Record | None = None,
        spool: bool = False,
        pauses: bool = False,
        gate: Gate | None = None,
    ) -> None:
        self._socket = sock
        self._socket.settimeout(patience)
        self._patience = patience
        self._deadline = math.inf
        self._spools = spool
        self._spool = Spool(sock, record)
        self._tells_pauses = pauses
        self._decoder = Decoder()
        self._arrived: Iterator[Message] = iter(())  # of what has been read: to be used up before more is
        self._is_garbled = False  # the bytes were no messages
        self._send_failure: str | None = None
        self.peer = peer
        self.gate = gate
        self.closed_by_peer = False
        self.has_header = False

    def __iter__(self) -> Iterator[Message | Pause]:
        """Take messages up to the peer's CLOSE. A later iteration goes on where this one stops.

        Yields
        ------
        Message or Pause
            All but the CLOSE.

        Raises
        ------
        ProtocolError
            For bytes that are no messages, behind which nothing more is found, and for silence.
        ConnectionFailed
            Where the peer goes away without a CLOSE.
        """
        while not (self.closed_by_peer or self._is_garbled):
            try:
                for message in self._arrived:
                    if isinstance(message, Close):
                        self.closed_by_peer = True
                        self._spool.record = None
                        return
                    yield message
            except ProtocolError:
                self._is_garbled = True
                raise
            if self._tells_pauses and not self._spool.ready():
                yield Pause()  # who takes it may send, and `send` spools: only now is it known what is read next
            n_bytes = self._read_into(self._decoder.buffers())
            if not n_bytes:
                raise ConnectionFailed(self._early_end())
            self._arrived = self._decoder.received(n_bytes)

    def send(self, message: Message) -> None:
        """Send one message, and wait until it has been taken.

        Parameters
        ----------
        message : Message
            Any that can be encoded.

        Raises
        ------
        ConnectionFailed
            Where the peer is gone, or takes nothing, and ever after, for a message that was sent in part would swallow
            the next.
        ProtocolError
            For what cannot travel.
        """
        rest = memoryview(encode(message))
        if self._send_failure is not None:
            raise ConnectionFailed(self._send_failure)
        try:
            while rest:
                rest = rest[self._send_some(rest) :]
            return
        except TimeoutError:
            self._send_failure = f"{self.peer} took nothing for {self._patience:g} s"
        except OSError as exc:
            self._send_failure = f"{self.peer} went away: {exc.strerror or exc}"
        raise ConnectionFailed(self._send_failure)

    def drain(self, silence: float, seconds: float = math.inf) -> None:
        """Read on to the peer's CLOSE or end, so that what is sent next is not lost to a reset. Never raises.

        Parameters
        ----------
        silence : float
            Seconds without a byte after which it gives up.
        seconds : float
            After which it gives up in any case.
        """
        self._deadline = time.monotonic() + seconds
        try:
            self._socket.settimeout(silence)
            for message in self:
                self.has_header |= isinstance(message, Header)
            if not self.closed_by_peer:
                self._read_away()
        except (OSError, SnrstreamError):
            return
        finally:
            self._deadline = math.inf
            self._socket.settimeout(self._patience)

    def finish(self, silence: float) -> None:
        """After our CLOSE: wait for the peer's end, so that what it still sends does not reset what it reads.

        Parameters
        ----------
        silence : float
            Seconds without a byte after which it gives up; after ten times as long, it does so in any case.
        """
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(silence)
            self._deadline = time.monotonic() + 10 * silence
            self._read_away()
        except (OSError, SnrstreamError):
            return

    def _send_some(self, rest: memoryview) -> int:
        """How many bytes the peer has taken; what it sends meanwhile goes to the spool. Raises OSError."""
        if not self._spools:
            return self._socket.send(rest)
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT | (select.POLLIN if self._spool.takes_more else 0))
        ready = poll.poll(None if self._patience is None else 1000 * self._patience)
        if not ready:
            raise TimeoutError
        if not ready[0][1] & ~select.POLLIN:
            self._spool.keep()
            return 0
        try:  # it takes more, or is gone, which sending tells
            return self._socket.send(rest, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _read_away(self) -> None:
        buffer = memoryview(bytearray(CHUNK))
        while self._read_into([buffer]):
            pass

    def _read_into(self, buffers: list[memoryview]) -> int:
        """How many bytes have come, 0 at the peer's end. Raises ProtocolError for silence, else ConnectionFailed."""
        try:
            if time.monotonic() > self._deadline:
                raise ConnectionFailed(f"{self.peer} does not come to an end")
            if self.gate is not None and not self._spool.ready():
                self.gate.wait_for(self._socket)
            return self._spool.read_into(buffers)
        except TimeoutError:
            seconds = self._socket.gettimeout()
            raise ProtocolError(f"{self.peer} sent nothing for {seconds:g} s; expected data or CLOSE") from None
        except OSError as exc:
            raise ConnectionFailed(f"{self.peer} went away: {exc.strerror or exc}") from None

    def _early_end(self) -> str:
        try:
            self._decoder.finish()
        except ProtocolError as exc:
            return f"{self.peer} went away: {exc}"
        return f"{self.peer} went away without CLOSE"
