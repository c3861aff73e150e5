"""A socket that carries messages."""

import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from .errors import ConnectionFailed, ProtocolError, SnrstreamError
from .mrd.decoder import Decoder
from .mrd.encoder import encode
from .mrd.messages import Close, Header, Pause

CHUNK = 1 << 18
MOST_SPOOLED = 1 << 30  # bytes that a peer may be ahead of what it reads

Record = Callable[[memoryview], None]


class Link:
    """One end of a connection. `send` and iteration may be used from two threads, unless it spools.

    patience: seconds that the peer may send nothing, or take nothing; None is for ever.
    record: is given all bytes that come, in order.
    spool: what comes while `send` waits for the peer to take something is kept for later, for some peers read nothing
    before they have sent everything.
    pauses: iteration gives a `Pause` whenever it is about to wait for the peer.
    """

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        patience: float | None = None,
        record: Record | None = None,
        spool: bool = False,
        pauses: bool = False,
    ) -> None:
        self._socket = sock
        self._socket.settimeout(patience)
        self._patience = patience
        self._deadline = math.inf
        self._record = record
        self._spools = spool
        self._spool: deque[bytes] = deque()
        self._spooled = 0
        self._tells_pauses = pauses
        self._messages = self._receive()
        self.peer = peer
        self.closed_by_peer = False
        self.drained_header = False  # whether a scan was among what was drained

    def __iter__(self) -> Iterator[Any]:
        """Messages up to the peer's CLOSE, which is not handed out.

        Raises ProtocolError for bytes that are no messages and for silence, ConnectionFailed where the peer
        goes away without a CLOSE.
        """
        return self._messages

    def send(self, message: Any) -> None:
        """Send one message. Raises ConnectionFailed where the peer is gone, or takes nothing."""
        rest = memoryview(encode(message))
        try:
            while rest:
                self._wait_to_send()
                rest = rest[self._socket.send(rest) :]
        except TimeoutError:
            raise ConnectionFailed(f"{self.peer} took nothing for {self._patience:g} s") from None
        except OSError as exc:
            raise ConnectionFailed(f"{self.peer} went away: {exc.strerror or exc}") from None

    def drain(self, silence: float, seconds: float = math.inf) -> None:
        """Read on to the peer's CLOSE or end, so that what is sent next is not lost to a reset.

        Gives up when nothing has come for `silence` seconds, or after `seconds` in all. Never raises.
        """
        self._deadline = time.monotonic() + seconds
        try:
            self._socket.settimeout(silence)
            for message in self._messages:  # ends at once where the bytes were no messages
                self.drained_header |= isinstance(message, Header)
            if not self.closed_by_peer:
                self._read_away()
        except (OSError, SnrstreamError):
            return
        finally:
            # An iterator that has raised is at its end; a later drain goes on with the bytes.
            self._deadline = math.inf
            self._socket.settimeout(self._patience)

    def finish(self, silence: float) -> None:
        """After our CLOSE: wait for the peer's end, so that what it still sends does not reset what it reads."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(silence)
            self._deadline = time.monotonic() + 10 * silence
            self._read_away()
        except OSError:
            return

    def _wait_to_send(self) -> None:
        """Until the peer takes more; what it sends meanwhile goes to the spool. Raises TimeoutError."""
        while self._spools:
            poll = select.poll()
            poll.register(self._socket, select.POLLOUT | (select.POLLIN if self._spooled < MOST_SPOOLED else 0))
            ready = poll.poll(None if self._patience is None else 1000 * self._patience)
            if not ready:
                raise TimeoutError
            if ready[0][1] & ~select.POLLIN:  # it takes more, or is gone, which sending will tell
                return
            data = self._socket.recv(CHUNK)
            self._spool.append(data)
            self._spooled += len(data)
            if not data:
                self._spooled = MOST_SPOOLED  # the end: nothing more to read

    def _read_away(self) -> None:
        for data in self._spool:
            self._recorded(memoryview(data))
        self._spool.clear()
        while time.monotonic() < self._deadline and (data := self._socket.recv(CHUNK)):
            if not self.closed_by_peer:
                self._recorded(memoryview(data))

    def _receive(self) -> Iterator[Any]:
        decoder = Decoder()
        while True:
            if self._spool:
                data = self._spool.popleft()
                self._spooled -= len(data)
                self._recorded(memoryview(data))
                n_bytes, messages = len(data), decoder.receive(data)
            else:
                if self._tells_pauses and not self._has_more():
                    yield Pause()
                buffers = decoder.buffers()
                n_bytes = self._read_into(buffers)
                if self._record is not None:
                    self._recorded(*buffers, n_bytes=n_bytes)
                messages = decoder.received(n_bytes)
            if not n_bytes:
                try:
                    decoder.finish()
                except ProtocolError as exc:
                    raise ConnectionFailed(f"{self.peer} went away: {exc}") from None
                raise ConnectionFailed(f"{self.peer} went away without CLOSE")
            for message in messages:
                if isinstance(message, Close):
                    self.closed_by_peer = True
                    return
                yield message

    def _has_more(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _read_into(self, buffers: list[memoryview]) -> int:
        try:
            if time.monotonic() > self._deadline:
                raise ConnectionFailed(f"{self.peer} does not come to an end")
            return self._socket.recvmsg_into(buffers)[0]
        except TimeoutError:
            seconds = self._socket.gettimeout()
            raise ProtocolError(f"{self.peer} sent nothing for {seconds:g} s; expected data or CLOSE") from None
        except OSError as exc:
            raise ConnectionFailed(f"{self.peer} went away: {exc.strerror or exc}") from None

    def _recorded(self, *parts: memoryview, n_bytes: int | None = None) -> None:
        """What came, or the first `n_bytes` of it."""
        if self._record is None:
            return
        left = sum(map(len, parts)) if n_bytes is None else n_bytes
        for part in parts:
            self._record(part[:left])
            left -= min(left, len(part))
