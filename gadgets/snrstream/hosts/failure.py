"""What a peer is told of a failure, whichever way it came."""

import logging

from ..errors import SnrstreamError
from ..wire.messages import LONGEST_TEXT

log = logging.getLogger(__name__)


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
