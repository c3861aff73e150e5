"""A socket that carries messages."""

import socket
import time
from collections.abc import Iterator
from typing import Any

from .errors import ConnectionFailed, ProtocolError, SnrstreamError
from .mrd.decoder import Decoder
from .mrd.encoder import encode
from .mrd.messages import Close

CHUNK = 1 << 18


class Link:
    """One end of a connection. `send` and iteration may be used from two threads."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self._socket = sock
        self._messages = self._receive()
        self.peer = peer
        self.closed_by_peer = False

    def __iter__(self) -> Iterator[Any]:
        """Messages up to the peer's CLOSE, which is not handed out.

        Raises ProtocolError for bytes that are no messages, ConnectionFailed where the peer goes away
        without a CLOSE.
        """
        return self._messages

    def send(self, message: Any) -> None:
        """Send one message. Raises ConnectionFailed where the peer is gone."""
        try:
            self._socket.sendall(encode(message))
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
            while not self.closed_by_peer and time.monotonic() < deadline and self._socket.recv(CHUNK):
                pass
        except (OSError, SnrstreamError):
            return

    def finish(self, silence: float) -> None:
        """After our CLOSE: wait for the peer's end, so that what it still sends does not reset what it reads."""
        deadline = time.monotonic() + 10 * silence
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(silence)
            while time.monotonic() < deadline and self._socket.recv(CHUNK):
                pass
        except OSError:
            return

    def _receive(self) -> Iterator[Any]:
        decoder = Decoder()
        while True:
            try:
                n_bytes = self._socket.recvmsg_into(decoder.buffers())[0]
            except OSError as exc:
                raise ConnectionFailed(f"{self.peer} went away: {exc.strerror or exc}") from None
            if not n_bytes:
                try:
                    decoder.finish()
                except ProtocolError as exc:
                    raise ConnectionFailed(f"{self.peer} went away: {exc}") from None
                raise ConnectionFailed(f"{self.peer} went away without CLOSE")
            for message in decoder.received(n_bytes):
                if isinstance(message, Close):
                    self.closed_by_peer = True
                    return
                yield message
