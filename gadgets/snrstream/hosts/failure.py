"""What a peer is told of a failure, and when, whichever way it came."""

import logging
import math
import time
from collections.abc import Callable

from ..errors import ConnectionFailed, SnrstreamError
from ..wire.messages import LONGEST_TEXT, Close, Fault, Message, Pause, Text
from .link import Link

log = logging.getLogger(__name__)

SILENCE_SECONDS = 2.0
BEFORE_FAULT_SECONDS = 0.1  # Gadgetron, which frees what closes its output, may crash where both ends close it at once
MOST_CUT_SECONDS = 0.5  # for which a Gadgetron that sends on is heard where this process is to end


def logged_failure(exc: Exception) -> str:
    """Log what ended a session, from where it was caught.

    Parameters
    ----------
    exc : Exception
        Of ours, or a defect, which is logged with its traceback.

    Returns
    -------
    str
        The line for the peer.
    """
    if isinstance(exc, SnrstreamError):
        text = str(exc)
    elif isinstance(exc, MemoryError):
        text = "out of memory; expected a smaller scan, or a host with more"
    else:
        log.exception("a defect of snrstream")
        return f"internal error: {type(exc).__name__}: {exc}"
    log.error("%s", text[:LONGEST_TEXT])
    return text


def fault(text: str, is_gadgetron: bool) -> Text | Fault:
    """The message that tells of a failure.

    Parameters
    ----------
    text : str
        Cut where it is long.
    is_gadgetron : bool
        Whether it is for a Gadgetron whose external module we are.
    """
    text = text[:LONGEST_TEXT]
    return Fault(f"snrstream: {text}") if is_gadgetron else Text(f"ERROR: {text}")


def report(
    link: Link,
    told: Callable[[], Text | Fault],
    patience: float,
    seconds: float = math.inf,
    hear: Callable[[Message | Pause], None] = lambda _: None,
) -> None:
    """Tell a peer of its failure, once it has sent all it has. Never raises.

    Before, it might not read, and a reset would take the text away; a Gadgetron may crash where it hears of a failure
    while it sends, or right at its CLOSE. One that pauses hears of it in the pause; what it sends later is read on.

    Parameters
    ----------
    link : Link
        To the peer.
    told : callable
        Gives the message that tells of the failure, once it is known who the peer is.
    patience : float
        Seconds that a peer which still sends may be silent.
    seconds : float
        After which it is no longer listened to, in any case.
    hear : callable
        Is given what the peer sends before it is told.
    """
    link.drain(SILENCE_SECONDS, seconds, hear)
    try:
        tell(link, told())
    except ConnectionFailed as exc:
        log.error("the error above could not be delivered: %s", exc)
        return
    if not link.closed_by_peer:
        link.drain(patience, seconds)
    link.finish(SILENCE_SECONDS)


def report_at_once(link: Link, message: Text | Fault, silence: float) -> None:
    """Tell a peer that is no longer listened to: it may still read. Never raises.

    A Gadgetron is heard for a moment, to its end or a pause, for the same reason as by `report`. One that sends on is
    told all the same: a mere end would look like success to its client, which is worse than a crash.

    Parameters
    ----------
    link : Link
        To the peer.
    message : Text or Fault
        What tells of the failure.
    silence : float
        Seconds that it may take nothing, and then send nothing, of what is read away.
    """
    link.hasten(silence)
    if isinstance(message, Fault):
        link.pass_over(silence, MOST_CUT_SECONDS)
    try:
        tell(link, message)
    except ConnectionFailed:
        return
    link.finish(silence)


def tell(link: Link, message: Text | Fault) -> None:
    """Send what tells of a failure, and our CLOSE.

    Parameters
    ----------
    link : Link
        To a peer that has come to its end, or pauses.
    message : Text or Fault
        What tells of the failure.

    Raises
    ------
    ConnectionFailed
        Where it cannot be delivered.
    """
    if isinstance(message, Fault):
        time.sleep(BEFORE_FAULT_SECONDS)
    link.send(message)
    link.send(Close())
