"""Sessions without a socket."""

from collections.abc import Iterable
from typing import Any

from snrstream.hosts.session import Session


def answers_to(messages: Iterable[Any], session: Session | None = None) -> list[Any]:
    """All that a peer gets which has sent these messages, without its CLOSE, ahead of all others."""
    sent: list[Any] = []
    (session or Session("peer")).run(iter(messages), sent.append)
    return sent
