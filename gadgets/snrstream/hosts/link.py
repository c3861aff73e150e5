"""A socket that carries messages."""

import contextlib
import errno
import math
import os
import select
import socket
import time
from collections.abc import Callable, Iterator

from ..errors import ConnectionFailed, ProtocolError, SnrstreamError
from ..system.interruption import uninterrupted
from ..wire.decoder import Decoder
from ..wire.encoder import encode
from ..wire.messages import Close, Header, Message, Pause
from .gate import Bell, Stopped
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
        Seconds that the peer may send nothing, or take nothing; None is for ever. A peer that still takes something
        may be silent.
    record : Record or None
        Is given all bytes that come, in order.
    spool : bool
        Whether what comes while `send` waits for the peer to take something is kept for later, for some peers read
        nothing before they have sent everything.
    pauses : bool
        Whether iteration gives a `Pause` whenever it is about to wait for the peer, and at its end without a CLOSE.
    bells : tuple of Bell
        Each ends, once it rings, every wait for the peer by Stopped.

    Attributes
    ----------
    bells : tuple of Bell
        The same; may be changed.
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
        bells: tuple[Bell, ...] = (),
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
        self._unsent = memoryview(b"")  # the rest of a message whose sending was stopped: the next one goes behind it
        self._took_at = -math.inf  # when the peer last took something
        self.peer = peer
        self.bells = bells
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
            Where the peer goes away without a CLOSE; Stopped where a bell rings.
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
                if self._tells_pauses:
                    yield Pause()  # what is finished leaves: a peer that only stopped sending can still read
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
            the next. Stopped where a bell rings.
        ProtocolError
            For what cannot travel.
        """
        data = encode(message)
        if self._send_failure is not None:
            raise ConnectionFailed(self._send_failure)
        self._unsent = memoryview(b"".join((self._unsent, data))) if self._unsent else memoryview(data)
        try:
            while self._unsent:
                self._send_some()
            return
        except TimeoutError:
            self._send_failure = f"{self.peer} took nothing for {self._patience:g} s"
        except OSError as exc:
            self._send_failure = f"{self.peer} went away: {exc.strerror or exc}"
        raise ConnectionFailed(self._send_failure)

    def hasten(self, patience: float) -> None:
        """Wait no longer than so many seconds for the peer to send, or take, something."""
        self._patience = patience
        self._socket.settimeout(patience)

    def drain(
        self, silence: float, seconds: float = math.inf, hear: Callable[[Message | Pause], None] = lambda _: None
    ) -> None:
        """Read on to the peer's CLOSE or end, so that what is sent next is not lost to a reset. Never raises.

        Parameters
        ----------
        silence : float
            Seconds without a byte after which it gives up.
        seconds : float
            After which it gives up in any case.
        hear : callable
            Is given each message.
        """
        self._deadline = time.monotonic() + seconds
        try:
            self._socket.settimeout(silence)
            for message in self:
                self.has_header |= isinstance(message, Header)
                hear(message)
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
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self.pass_over(silence, 10 * silence)

    def pass_over(self, silence: float, seconds: float) -> None:
        """Read on, whatever comes, be it in the midst of a message. Never raises.

        Parameters
        ----------
        silence : float
            Seconds without a byte after which it ends, as it does at the peer's end.
        seconds : float
            After which it ends in any case.
        """
        self._deadline = time.monotonic() + seconds
        try:
            self._socket.settimeout(silence)
            self._read_away()
        except (OSError, SnrstreamError):
            return
        finally:
            self._deadline = math.inf
            self._socket.settimeout(self._patience)

    def _send_some(self) -> None:
        """What the peer takes at once; what it sends meanwhile goes to the spool. Raises OSError, Stopped."""
        more = select.POLLIN if self._spools and self._spool.takes_more else 0
        if self._wait(select.POLLOUT | more) == select.POLLIN:
            self._spool.keep()
            return
        # It takes more, or is gone, which sending tells; the wait for it is over, for no signal is heard here.
        with uninterrupted(), contextlib.suppress(BlockingIOError):
            n_bytes = self._socket.send(self._unsent, socket.MSG_DONTWAIT)
            self._unsent = self._unsent[n_bytes:]
            self._took_at = time.monotonic()

    def _wait(self, events: int) -> int:
        """What of these the socket is ready for, or that it is broken. Raises TimeoutError, and Stopped for a bell.

        What the peer can take at once is sent though a bell rings: it may be what tells of that.
        """
        seconds, own = self._socket.gettimeout(), self._socket.fileno()
        if own < 0:  # closed by another thread, which waited long enough for this one
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        poll = select.poll()
        poll.register(own, events)
        for bell in self.bells:
            poll.register(bell, select.POLLIN)
        ready = dict(poll.poll(None if seconds is None else 1000 * seconds))
        found = ready.get(own, 0)
        for bell in self.bells:
            if bell.fileno() in ready and (not found or (bell.at_once and found == select.POLLIN)):
                raise Stopped(bell.text)
        if not found:
            raise TimeoutError
        return found

    def _read_away(self) -> None:
        buffer = memoryview(bytearray(CHUNK))
        while self._read_into([buffer]):
            pass

    def _read_into(self, buffers: list[memoryview]) -> int:
        """How many bytes have come, 0 at the peer's end. Raises ProtocolError for silence, else ConnectionFailed."""
        while True:
            try:
                if time.monotonic() > self._deadline:
                    raise ConnectionFailed(f"{self.peer} does not come to an end")
                if self.bells and not self._spool.has_kept:
                    self._wait(select.POLLIN)
                return self._spool.read_into(buffers)
            except TimeoutError:
                seconds = self._socket.gettimeout() or 0.0
                if time.monotonic() - self._took_at < seconds:
                    continue
                raise ProtocolError(f"{self.peer} sent nothing for {seconds:g} s; expected data or CLOSE") from None
            except OSError as exc:
                raise ConnectionFailed(f"{self.peer} went away: {exc.strerror or exc}") from None

    def _early_end(self) -> str:
        try:
            self._decoder.finish()
        except ProtocolError as exc:
            return f"{self.peer} went away: {exc}"
        return f"{self.peer} went away without CLOSE"
