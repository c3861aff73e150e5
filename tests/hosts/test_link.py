"""A link gives all that comes, in order, whatever it sends meanwhile, and tells when it is about to wait."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snrstream.errors import ConnectionFailed, ProtocolError
from snrstream.hosts.link import Link
from snrstream.hosts.spool import can_read
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, Header, Pause, Query, Text

LARGE = Text("x" * 200_000)  # more than the buffers of `narrow` hold


@contextlib.contextmanager
def narrow() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends between which only a few kilobytes fit."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            end.settimeout(10)
        yield ours, theirs


class Peer(threading.Thread):
    """Sends chunks, doing something before each, and reads the rest only then.

    received: all that came to it. paused: to be set where the other end is about to wait.
    """

    def __init__(self, sock: socket.socket, chunks: list[bytes], actions: Iterator[str]) -> None:
        super().__init__(daemon=True)
        self._socket, self._chunks, self._actions = sock, chunks, actions
        self.received = bytearray()
        self.paused = threading.Event()

    def run(self) -> None:
        for chunk, action in zip(self._chunks, self._actions, strict=False):
            if action == "wait":
                self.paused.wait(0.05)  # in vain where the other end waits for us to read
            elif action == "read" and can_read(self._socket):
                self.received += self._socket.recv(5000)
            self.paused.clear()
            self._socket.sendall(chunk)
        while data := self._socket.recv(1 << 16):
            self.received += data
        self._socket.shutdown(socket.SHUT_WR)


def some_message(number: int, size: int) -> ismrmrd.Acquisition | Text:
    """Two kinds, for large acquisitions go right into their own arrays."""
    if number % 3:
        return Text(f"{number} {'x' * size}")
    return ismrmrd.Acquisition.from_array(np.full((1, size // 8 + 1), number + 1j, np.complex64), scan_counter=number)


@settings(max_examples=80)
@given(
    sizes=st.lists(st.integers(0, 40_000), max_size=8),
    cuts=st.lists(st.floats(0, 1), max_size=10),
    actions=st.lists(st.sampled_from(["go on", "wait", "read"]), min_size=1, max_size=11),
    answers=st.lists(st.integers(0, 30_000) | st.none(), min_size=1, max_size=6),
)
def test_every_byte_arrives_once_and_in_order_at_both_ends(
    sizes: list[int],
    cuts: list[float],
    actions: list[str],
    answers: list[int | None],
) -> None:
    """At any split of what the peer sends, with answers that it reads late, sent at pauses and between messages."""
    messages = [some_message(number, size) for number, size in enumerate(sizes)]
    stream = b"".join(map(encode, [*messages, Close()]))
    places = [0, *sorted(round(cut * len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(places)]
    recorded, seen, sent = bytearray(), [], bytearray()
    with narrow() as (ours, theirs):
        link = Link(ours, "peer", 3, recorded.extend, spool=True, pauses=True)
        peer = Peer(theirs, chunks, itertools.cycle(actions))
        peer.start()
        for item, answer in zip(link, itertools.cycle(answers), strict=False):
            seen.append(item)
            if isinstance(item, Pause):
                peer.paused.set()
            if answer is not None:
                link.send(Text("y" * answer))
                sent += encode(Text("y" * answer))
        link.finish(60)
        peer.join(60)
    data = [item for item in seen if not isinstance(item, Pause)]
    assert b"".join(map(encode, data)) == b"".join(map(encode, messages))
    assert recorded == stream and peer.received == sent


def test_what_comes_while_an_answer_is_sent_in_a_pause_is_read_next() -> None:
    later = [Text(f"{number}{'x' * 20_000}") for number in range(5)]
    with narrow() as (ours, theirs):
        link = Link(ours, "peer", 3, spool=True, pauses=True)
        messages = iter(link)
        assert next(messages) == Pause()
        peer = Peer(theirs, [encode(message) for message in [*later, Close()]], itertools.repeat("go on"))
        peer.start()
        link.send(LARGE)
        assert [message for message in messages if message != Pause()] == later
        link.finish(60)
        peer.join(60)
    assert peer.received == encode(LARGE)


def test_patience_without_end_does_not_keep_a_link_from_reading_while_it_sends() -> None:
    stream = encode(LARGE) + encode(Close())
    with narrow() as (ours, theirs):
        link = Link(ours, "peer", None, spool=True)
        sender = threading.Thread(target=link.send, args=(LARGE,), daemon=True)
        sender.start()
        theirs.sendall(stream)  # which raises TimeoutError where nobody reads
        peer = Peer(theirs, [], itertools.repeat("go on"))
        peer.start()
        sender.join(60)
        assert list(link) == [LARGE]
        link.finish(60)
        peer.join(60)
    assert peer.received == encode(LARGE)


def test_an_end_that_comes_while_an_answer_is_sent_is_the_end_behind_what_came() -> None:
    """And no CLOSE: the peer half-closes, and reads."""
    with narrow() as (ours, theirs):
        link = Link(ours, "peer", 3, spool=True)
        theirs.sendall(encode(Text("last")))
        theirs.shutdown(socket.SHUT_WR)
        peer = Peer(theirs, [], itertools.repeat("go on"))
        timer = threading.Timer(0.2, peer.start)
        timer.start()
        link.send(LARGE)
        messages = iter(link)
        assert next(messages) == Text("last")
        for _ in range(2):  # also when asked again
            with pytest.raises(ConnectionFailed, match="peer went away without CLOSE"):
                next(iter(link))
        link.finish(60)
        timer.join()
        peer.join(60)
    assert peer.received == encode(LARGE)


def test_a_socket_that_another_thread_closed_is_a_peer_that_is_gone() -> None:
    """A client waits a second for a sender that waits for its scan; what that one sends next finds no socket."""
    ours, theirs = socket.socketpair()
    link = Link(ours, "peer", 3)
    for end in (ours, theirs):
        end.close()
    for _ in range(2):
        with pytest.raises(ConnectionFailed, match="peer went away: Bad file descriptor"):
            link.send(Text("more"))


@pytest.mark.parametrize("n_early", [0, 1, 20])
def test_draining_after_silence_still_finds_header_and_close(n_early: int) -> None:
    """n_early: bytes of the header that come before the peer falls silent."""
    stream = encode(Header(b"<ismrmrdHeader/>")) + encode(Close())
    recorded = bytearray()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = Link(ours, "peer", 0.05, recorded.extend)
        theirs.sendall(stream[:n_early])
        with pytest.raises(ProtocolError, match=r"peer sent nothing for 0\.05 s"):
            next(iter(link))
        link.drain(0.05)  # in vain, too
        theirs.sendall(stream[n_early:] + b"behind CLOSE")
        link.drain(5)
    assert link.has_header and link.closed_by_peer
    assert recorded.startswith(stream)


def test_draining_after_bytes_that_are_no_messages_reads_and_records_the_rest() -> None:
    stream = encode(Text("first")) + b"\xff\xff" + bytes(300_000) + encode(Close())
    recorded = bytearray()
    with narrow() as (ours, theirs):
        link = Link(ours, "peer", 3, recorded.extend)
        peer = threading.Thread(target=lambda: (theirs.sendall(stream), theirs.shutdown(socket.SHUT_WR)))
        peer.start()
        with pytest.raises(ProtocolError, match="unknown message id 65535"):
            list(link)
        assert list(link) == []
        link.drain(3)
        peer.join()
    assert recorded == stream and not link.closed_by_peer


def test_draining_ends_in_time_though_the_peer_does_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = Link(ours, "peer", 3)
        stopping = threading.Event()

        def dribble() -> None:
            while not stopping.wait(0.01):
                theirs.sendall(encode(Text("more")))

        peer = threading.Thread(target=dribble)
        peer.start()
        begin = time.monotonic()
        link.drain(1, seconds=0.2)
        assert time.monotonic() - begin < 30  # where it would last for ever
        assert next(iter(link)) == Text("more")  # the limit was the drain's
        stopping.set()
        peer.join()


def test_nothing_is_sent_behind_a_message_that_went_out_in_part() -> None:
    """The peer would read it as the rest of that message."""
    with narrow() as (ours, theirs):
        link = Link(ours, "peer", 0.2, spool=True)
        with pytest.raises(ConnectionFailed, match=r"peer took nothing for 0\.2 s"):
            link.send(LARGE)
        before = theirs.recv(1 << 20)
        with pytest.raises(ConnectionFailed, match=r"peer took nothing for 0\.2 s"):
            link.send(Text("ERROR"))
        ours.close()
        rest = b"".join(iter(lambda: theirs.recv(1 << 20), b""))
    assert encode(LARGE).startswith(before + rest)


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
