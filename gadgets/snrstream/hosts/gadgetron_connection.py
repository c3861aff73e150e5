"""The connection to the Gadgetron that started us as its external module: our own decoder on its socket."""

import itertools
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..system.interruption import Interrupted, interrupted_status, interruptible
from ..system.patience import PATIENCE_S, patience
from ..system.time_limit import leave
from ..wire.messages import ConfigText, Header, Message, Pause
from .failure import fault, report, report_at_once
from .link import Link

if TYPE_CHECKING:
    from gadgetron.external.connection import Connection

log = logging.getLogger(__name__)

PEER = "Gadgetron"
PATIENCE_VARIABLE = "SNRSTREAM_PATIENCE"  # for the start line is Gadgetron's
SILENCE_SECONDS = 30.0  # how long Gadgetron may pause after it was told of a failure
INTERRUPTED_SECONDS = 0.2  # the same, where this process is to end at once


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
        self._patience = _patience()
        self._link = Link(sock, PEER, self._patience, spool=True, pauses=True)
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
        """From here on, SIGINT and SIGTERM end the process in an orderly way."""
        interruptible()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, and end the process where that takes care. A failure is told: a mere end would look like success."""
        if isinstance(exc, Exception):  # not even our module could be loaded
            self.fail(f"{type(exc).__name__}: {exc}")
        elif isinstance(exc, KeyboardInterrupt):
            text = f"ended by {exc.name if isinstance(exc, Interrupted) else 'SIGINT'}"
            log.error("%s", text)
            report_at_once(self._link, fault(text, is_gadgetron=True), INTERRUPTED_SECONDS)
        self._socket.close()
        if isinstance(exc, KeyboardInterrupt):
            leave(interrupted_status(exc))
        if isinstance(exc, SystemExit) and isinstance(exc.code, int):
            leave(exc.code)
        if exc is None:
            leave(0)

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
        """Tell Gadgetron by its error message, once it has sent all it has, or pauses.

        Parameters
        ----------
        text : str
            Cut where it is long.
        """
        report(self._link, lambda: fault(text, is_gadgetron=True), min(SILENCE_SECONDS, self._patience))


def _patience() -> float:
    """Seconds for which Gadgetron may send, or take, nothing."""
    text = os.environ.get(PATIENCE_VARIABLE)
    try:
        return PATIENCE_S if text is None else patience(text)
    except ValueError as exc:
        log.warning("%s: %s; %g s are taken", PATIENCE_VARIABLE, exc, PATIENCE_S)
        return PATIENCE_S
