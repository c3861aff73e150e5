"""The connection to the Gadgetron that started us as its external module: our own decoder on its socket."""

import contextlib
import itertools
import socket
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import ConnectionFailed
from ..wire.messages import LONGEST_TEXT, Close, ConfigText, Fault, Header, Message, Pause
from .link import Link

if TYPE_CHECKING:
    from gadgetron.external.connection import Connection

PEER = "Gadgetron"
SILENCE_SECONDS = 30.0  # how long Gadgetron may pause after it was told of a failure


class ModuleConnection:
    """In place of the package's `Connection`, which `python -m gadgetron` opens ahead of everything else.

    That one reads configuration and header at once, waits for ever where its peer is gone, and has a parser that
    raises on headers that Gadgetron itself takes. This one leaves all messages to whom it is given to, and reads on
    while what it sends is not taken, as the server does.

    Parameters
    ----------
    sock : socket.socket
        To Gadgetron. It is closed at the end of the context.
    begun : iterable of Message
        Messages that have been read from the socket already.

    Attributes
    ----------
    messages : iterator of Message or Pause
        Up to Gadgetron's CLOSE, as of `Link`.
    """

    def __init__(self, sock: socket.socket, begun: Iterable[Message] = ()) -> None:
        self._socket = sock
        self._link = Link(sock, PEER, spool=True, pauses=True)
        self.messages: Iterator[Message | Pause] = itertools.chain(begun, self._link)

    @classmethod
    def taken_over(cls, connection: "Connection") -> Self:
        """Take over from the package's own, which has read configuration and header, and will close the socket.

        Parameters
        ----------
        connection : Connection
            Whose socket is used from now on; it must read no more.

        Returns
        -------
        ModuleConnection
            Which begins with the configuration and the header.
        """
        sock = connection.socket.socket
        connection.socket = sock  # type: ignore[assignment]  # whose `close` says no CLOSE of its own
        return cls(sock, (ConfigText(connection.raw_bytes.config), Header(connection.raw_bytes.header)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close. Tell Gadgetron where not even our module could be loaded: a mere end would look like success."""
        if isinstance(exc, Exception):
            self.fail(f"{type(exc).__name__}: {exc}")
        self._socket.close()

    def send(self, message: Message) -> None:
        """Send one message.

        Parameters
        ----------
        message : Message
            Any that can be encoded.

        Raises
        ------
        ConnectionFailed
            Where Gadgetron is gone.
        """
        self._link.send(message)

    def fail(self, text: str) -> None:
        """Tell Gadgetron by its error message, read on to its CLOSE, for unread input resets the socket, and close.

        Parameters
        ----------
        text : str
            Cut where it is long.
        """
        with contextlib.suppress(ConnectionFailed):
            self._link.send(Fault(f"snrstream: {text[:LONGEST_TEXT]}"))
            self._link.drain(SILENCE_SECONDS)
            self._link.send(Close())
            if not self._link.closed_by_peer:
                self._link.finish(SILENCE_SECONDS)
