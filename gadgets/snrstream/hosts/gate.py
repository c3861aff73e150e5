"""Whether scans may still begin, and go on: not once the server stops."""

import os
import threading
from collections.abc import Callable

from ..errors import ConnectionFailed

STOPPING = "the server is stopping and takes no more scans; send this one again once it is back"
CUT = "the server was ended in mid-scan; send this scan again once it is back"


class Stopped(ConnectionFailed):
    """The server, not the peer, ends the session."""


class Bell:
    """Rings once, for all who wait for a peer.

    Parameters
    ----------
    text : str
        Why it rings.
    at_once : bool
        Whether what the peer has sent already is left unread.
    """

    def __init__(self, text: str, at_once: bool) -> None:
        self.text, self.at_once = text, at_once
        # The first can be read once the second is closed, by as many threads as wait.
        self._heard, self._clapper = os.pipe()
        self._has_rung = False

    def fileno(self) -> int:
        """What can be read from once it has rung."""
        return self._heard

    def ring(self) -> None:
        """Wake all."""
        if not self._has_rung:
            self._has_rung = True
            os.close(self._clapper)

    def remove(self) -> None:
        """Once nobody waits any more."""
        self.ring()
        os.close(self._heard)


class Gate:
    """Open until the server stops.

    Attributes
    ----------
    stopping : Bell
        Rings as the gate closes: those who wait to begin a scan are let go. Scans that run do not notice.
    cut : Bell
        Rings where no scan may go on either.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = True
        self._inside: dict[object, Callable[[], None]] = {}
        self.stopping, self.cut = Bell(STOPPING, at_once=False), Bell(CUT, at_once=True)

    def enter(self, scan: object, abandon: Callable[[], None] = lambda: None) -> None:
        """Begin a scan.

        Parameters
        ----------
        scan : object
            Which one, until it leaves.
        abandon : callable
            Saves what should be left of it, should the process end first; from another thread.

        Raises
        ------
        Stopped
            Where the gate is closed.
        """
        with self._lock:
            if not self._is_open:
                raise Stopped(STOPPING)
            self._inside[scan] = abandon

    def leave(self, scan: object) -> None:
        """End a scan, if it has begun at all."""
        with self._lock:
            self._inside.pop(scan, None)

    def close(self) -> int:
        """Let no scan begin any more.

        Returns
        -------
        int
            How many have begun and not ended.
        """
        with self._lock:
            self._is_open = False
            self.stopping.ring()
            return len(self._inside)

    def abandon(self) -> None:
        """Save what should be left of the scans that are still inside."""
        with self._lock:
            left = list(self._inside.values())
        for abandon in left:
            abandon()

    def remove(self) -> None:
        """Close for good, once nobody waits any more."""
        for bell in (self.stopping, self.cut):
            bell.remove()
