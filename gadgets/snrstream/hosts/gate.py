"""Whether scans may still begin: not once the server stops."""

import select
import socket
import threading

from ..errors import ConnectionFailed

STOPPING = "the server is stopping and takes no more scans; send this one again once it is back"


class Gate:
    """Open until the server stops. Closing it wakes all who wait to begin a scan; scans that run do not notice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = True
        self._inside: set[object] = set()
        # The first can be read once the second is closed, by as many threads as wait.
        self._bell, self._clapper = socket.socketpair()

    def enter(self, scan: object) -> None:
        """Begin a scan.

        Parameters
        ----------
        scan : object
            Which one, until it leaves.

        Raises
        ------
        ConnectionFailed
            Where the gate is closed.
        """
        with self._lock:
            if not self._is_open:
                raise ConnectionFailed(STOPPING)
            self._inside.add(scan)

    def leave(self, scan: object) -> None:
        """End a scan, if it has begun at all."""
        with self._lock:
            self._inside.discard(scan)

    def close(self) -> int:
        """Let no scan begin any more.

        Returns
        -------
        int
            How many have begun and not ended.
        """
        with self._lock:
            self._is_open = False
            self._clapper.close()
            return len(self._inside)

    def wait_for(self, sock: socket.socket) -> None:
        """Wait until a socket can be read.

        Parameters
        ----------
        sock : socket.socket
            With its time limit set.

        Raises
        ------
        TimeoutError
            Where that takes longer than its time limit.
        ConnectionFailed
            Where the gate is closed.
        """
        seconds = sock.gettimeout()
        poll = select.poll()
        for waited_for in (sock, self._bell):
            poll.register(waited_for, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(None if seconds is None else 1000 * seconds)]
        if self._bell.fileno() in ready:
            raise ConnectionFailed(STOPPING)
        if not ready:
            raise TimeoutError

    def remove(self) -> None:
        """Close for good, once nobody waits any more."""
        self._bell.close()
