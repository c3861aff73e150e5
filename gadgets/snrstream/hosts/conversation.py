"""A session on a socket, whatever becomes of it: the client gets its images, or hears why not."""

import contextlib
import logging
import math
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..chain.registry import BUILT_IN, Registry
from ..errors import ConnectionFailed, UnknownPipeline
from ..system.patience import PATIENCE_S
from ..wire.messages import Close, Header, Message, Pause
from .failure import SILENCE_SECONDS, logged_failure, report, report_at_once, tell
from .gate import CUT, Gate, Stopped
from .link import Link
from .raw_record import RawRecord
from .session import Session

log = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0  # how long a client that has no scan may go on after its failure
CUT_SECONDS = 0.2  # for which a client that is cut may be silent before its socket is closed


@dataclass(frozen=True)
class Options:
    """How `serve` treats its clients.

    Attributes
    ----------
    clients : int
        How many are served at once.
    patience : float
        Seconds that a client may send, or take, nothing.
    keep_raw : Path or None
        The folder where raw data of scans that failed stays; None keeps none.
    registry : Registry
        The gadgets that their configurations may name.
    """

    clients: int = 8
    patience: float = PATIENCE_S
    keep_raw: Path | None = None
    registry: Registry = BUILT_IN


def converse(sock: socket.socket, session: Session, options: Options, gate: Gate) -> None:
    """Hold a session to its end. Raw data of a scan that fails is kept where the options say so.

    A failure is told to the client and the log; none is raised but a defect that nobody could tell of.

    Parameters
    ----------
    sock : socket.socket
        Of the client; the caller closes it.
    session : Session
        What is held.
    options : Options
        How long the client is waited for, and where its raw data is kept.
    gate : Gate
        Once it is closed, no scan begins, and a client that is waited for is let go.
    """
    record = RawRecord(options.keep_raw, session.peer) if options.keep_raw is not None else None
    recorded = record.write if record is not None else None
    bells = (gate.stopping, gate.cut)
    link = Link(sock, session.peer, options.patience, recorded, spool=True, pauses=True, bells=bells)

    def settle(failure: str | None) -> None:
        if record is not None:
            _settle(record, link.has_header, failure, link.closed_by_peer)

    def admitted() -> Iterator[Message | Pause]:
        """What comes, up to a scan's header as long as the gate is open; from there on it has no say."""
        messages = iter(link)
        for message in messages:
            if isinstance(message, Header):
                link.bells, link.has_header = (gate.cut,), True
                gate.enter(session, lambda: settle(CUT))
                yield message
                break
            yield message
        yield from messages

    failure: str | None = "ended by a defect"
    try:
        failure = _run(link, session, admitted(), SILENCE_SECONDS if record is None else options.patience)
    finally:
        gate.leave(session)
        settle(failure)


def _run(link: Link, session: Session, messages: Iterator[Message | Pause], patience: float) -> str | None:
    """The whole session; why its raw data is worth keeping, or None. patience: with a client that sends on after that.

    A scan that failed for the name of its pipeline was never run, and can be sent again: its data is not.
    """
    try:
        session.run(messages, link.send)
        link.send(Close())
        link.finish(SILENCE_SECONDS)
        return None
    except Stopped as exc:
        text = str(exc)
        log.log(logging.ERROR if session.begun else logging.INFO, "%s", text)
        if session.has_scan:
            link.bells = ()  # one has rung
            report_at_once(link, session.fault(text), CUT_SECONDS)
            return text
        if not session.begun:
            return text
        patience = SILENCE_SECONDS
    except ConnectionFailed as exc:
        log.log(logging.ERROR if session.begun else logging.INFO, "%s", exc)  # some only ask whether anybody listens
        # What it sent before it went is raw data of its scan.
        link.drain(SILENCE_SECONDS, math.inf if session.has_scan else DRAIN_SECONDS)
        if session.begun:
            with contextlib.suppress(ConnectionFailed):  # a peer that only stopped sending can still read
                tell(link, session.fault(str(exc)))
        return str(exc)
    except UnknownPipeline as exc:
        log.error("%s", exc)
        report_to_client(link, session, str(exc), patience)
        return None
    except Exception as exc:  # noqa: BLE001 - it is logged, and told to the client
        text = logged_failure(exc)
    report_to_client(link, session, text, patience)
    return text


def report_to_client(link: Link, session: Session, text: str, patience: float) -> None:
    """Tell a client of its failure, in its dialect, as `report` does.

    Parameters
    ----------
    link : Link
        To the client.
    session : Session
        Which failed; it knows the words for its dialect.
    text : str
        What is told.
    patience : float
        Seconds that a client which still sends may be silent.
    """
    seconds = math.inf if session.has_scan else max(DRAIN_SECONDS, patience)
    report(link, lambda: session.fault(text), patience, seconds, session.hear)


def _settle(record: RawRecord, is_scan: bool, failure: str | None, complete: bool) -> None:
    """Raw data stays where a scan failed."""
    if failure is None or not is_scan:
        record.discard()
        return
    kept = record.keep()
    if kept is not None:
        log.error("raw data kept in %s%s", kept, "" if complete else ", as far as it came: no CLOSE")
