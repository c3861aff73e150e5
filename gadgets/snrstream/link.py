"""A socket that carries messages."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from .errors import ConnectionFailed, ProtocolError, SnrstreamError
from .mrd.decoder import Decoder
from .mrd.encoder import encode
from .mrd.messages import Close

CHUNK = 1 << 18

Record = Callable[[memoryview], None]


class Link:
    """One end of a connection. `send` and iteration may be used from two threads.

    patience: seconds that the peer may send nothing, or take nothing; None is for ever.
    record: is given all bytes that come, in order.
    """

    def __init__(
        self, sock: socket.socket, peer: str, patience: float | None = None, record: Record | None = None
    ) -> None:
        self._socket = sock
        self._socket.settimeout(patience)
        self._patience = patience
        self._record = record
        self._messages = self._receive()
        self.peer = peer
        self.closed_by_peer = False

    def __iter__(self) -> Iterator[Any]:
        """Messages up to the peer's CLOSE, which is not handed out.

        Raises ProtocolError for bytes that are no messages and for silence, ConnectionFailed where the peer
        goes away without a CLOSE.
        """
        return self._messages

    def send(self, message: Any) -> None:
        """Send one message. Raises ConnectionFailed where the peer is gone, or takes nothing."""
        try:
            self._socket.sendall(encode(message))
        except TimeoutError:
            raise ConnectionFailed(f"{self.peer} takes nothing: {self._patience:g} s for one message") from None
        except OSError as exc:
            raise ConnectionFailed(f"{self.peer} went away: {exc.strerror or exc}") from None

    def drain(self, seconds: float, silence: float) -> None:
        """Read on to the peer's CLOSE or end, so that what is sent next is not lost to a reset.

        Gives up after `seconds`, or when nothing has come for `silence` seconds. Never raises.
        """
        deadline = time.monotonic() + seconds
        try:
            self._socket.settimeout(silence)
            for _ in self._messages:  # ends at once where the bytes were no messages
                if time.monotonic() > deadline:
                    return
            if not self.closed_by_peer:
                self._read_away(deadline)
        except (OSError, SnrstreamError):
            return

    def finish(self, silence: float) -> None:
        """After our CLOSE: wait for the peer's end, so that what it still sends does not reset what it reads."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(silence)
            self._read_away(time.monotonic() + 10 * silence)
        except OSError:
            return

    def _read_away(self, deadline: float) -> None:
        while time.monotonic() < deadline and (data := self._socket.recv(CHUNK)):
            if self._record is not None and not self.closed_by_peer:
                self._record(memoryview(data))

    def _receive(self) -> Iterator[Any]:
        decoder = Decoder()
        while True:
            buffers = decoder.buffers()
            try:
                n_bytes = self._socket.recvmsg_into(buffers)[0]
            except TimeoutError:
                seconds = self._socket.gettimeout()
                raise ProtocolError(f"{self.peer} sent nothing for {seconds:g} s; expected data or CLOSE") from None
            except OSError as exc:
                raise ConnectionFailed(f"{self.peer} went away: {exc.strerror or exc}") from None
            if not n_bytes:
                try:
                    decoder.finish()
                except ProtocolError as exc:
                    raise ConnectionFailed(f"{self.peer} went away: {exc}") from None
                raise ConnectionFailed(f"{self.peer} went away without CLOSE")
            if self._record is not None:
                self._record_all(buffers, n_bytes)
            for message in decoder.received(n_bytes):
                if isinstance(message, Close):
                    self.closed_by_peer = True
                    return
                yield message

    def _record_all(self, buffers: list[memoryview], n_bytes: int) -> None:
        assert self._record is not None
        for buffer in buffers:
            self._record(buffer[:n_bytes])
            n_bytes -= min(n_bytes, len(buffer))
