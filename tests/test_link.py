"""A link tells when it is about to wait."""

import socket

from snrstream.link import Link
from snrstream.mrd.encoder import encode
from snrstream.mrd.messages import Close, Pause, Query


def test_a_pause_is_told_before_each_wait_and_not_while_more_is_there() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        messages = iter(Link(ours, "peer", 10, pauses=True))
        assert next(messages) == Pause()
        theirs.sendall(encode(Query(1, "a")) + encode(Query(2, "b")))
        assert [next(messages) for _ in range(3)] == [Query(1, "a"), Query(2, "b"), Pause()]
        theirs.sendall(encode(Query(3, "c")) + encode(Close()))
        assert list(messages) == [Query(3, "c")]


def test_links_that_were_not_asked_to_tell_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(encode(Close()))
        assert list(Link(ours, "peer", 10)) == []
