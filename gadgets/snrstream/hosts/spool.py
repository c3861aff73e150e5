"""The bytes that come from a socket, in order, also those that came while nobody could use them."""

import select
import socket
from collections import deque
from collections.abc import Callable

CHUNK = 1 << 18
MOST_SPOOLED = 1 << 30  # bytes that a peer may be ahead of what it reads

Record = Callable[[memoryview], None]


class Spool:
    """The one reader of a socket: what was kept comes first, then what the socket gives.

    Parameters
    ----------
    sock : socket.socket
        Which nobody else may read.
    record : Record or None
        Is given each byte once, in order, as soon as it has come; may be set to None.
    most : int
        How many bytes may be kept.
    """

    def __init__(self, sock: socket.socket, record: Record | None = None, most: int = MOST_SPOOLED) -> None:
        self._socket = sock
        self.record = record
        self._most = most
        self._kept: deque[bytearray] = deque()  # in blocks, for a peer may send byte by byte
        self._n_kept = 0
        self._ended = False

    @property
    def takes_more(self) -> bool:
        """Whether `keep` may be called: there is room, and the peer's end has not come."""
        return not self._ended and self._n_kept < self._most

    @property
    def has_kept(self) -> bool:
        """Whether `read_into` has something to give, be it the end, that was kept."""
        return bool(self._kept) or self._ended

    def ready(self) -> bool:
        """Whether `read_into` has something to give, be it the end, without waiting."""
        return self.has_kept or can_read(self._socket)

    def keep(self) -> None:
        """Read what has come, for later. Raises OSError."""
        data = self._socket.recv(min(CHUNK, self._most - self._n_kept))
        self._came([memoryview(data)], len(data))
        self._n_kept += len(data)
        if self._kept and len(self._kept[-1]) + len(data) <= CHUNK:
            self._kept[-1] += data
        elif data:
            self._kept.append(bytearray(data))

    def read_into(self, buffers: list[memoryview]) -> int:
        """Read what was kept, else what the socket gives, waiting for it.

        Parameters
        ----------
        buffers : list[memoryview]
            Filled in this order, in full or in part.

        Returns
        -------
        int
            How many bytes; 0 is the peer's end.

        Raises
        ------
        OSError
            As the socket does, TimeoutError among them.
        """
        if self._kept:
            return self._give(buffers)
        if self._ended:
            return 0
        n_bytes: int = self._socket.recvmsg_into(buffers)[0]
        self._came(buffers, n_bytes)
        return n_bytes

    def _give(self, buffers: list[memoryview]) -> int:
        block, n_bytes = self._kept[0], 0
        for buffer in buffers:
            part = block[n_bytes : n_bytes + len(buffer)]
            buffer[: len(part)] = part
            n_bytes += len(part)
        del block[:n_bytes]
        if not block:
            self._kept.popleft()
        self._n_kept -= n_bytes
        return n_bytes

    def _came(self, parts: list[memoryview], n_bytes: int) -> None:
        """The first `n_bytes` of these have come from the socket."""
        self._ended = not n_bytes
        if self.record is None:
            return
        for part in parts:
            self.record(part[:n_bytes])
            n_bytes -= min(n_bytes, len(part))


def can_read(sock: socket.socket) -> bool:
    """Whether reading would not wait."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
