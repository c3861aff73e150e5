"""A signal ends a wait of the main thread, be it for ever, and loses no byte of the stream."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from snrstream.hosts.link import Link
from snrstream.hosts.pipe_ends import Sink
from snrstream.hosts.stream_reader import first_bytes
from snrstream.system.interruption import Interrupted
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Text

from .test_link import LARGE, narrow

pytestmark = pytest.mark.usefixtures("_interruptible")

MOST_SECONDS = 5.0  # after which the peer reads all the same, so that a link that hears nothing fails and hangs not


def fill(sock: socket.socket) -> bytes:
    """Send until not one byte more is taken; what was."""
    sock.setblocking(False)
    n_bytes = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            n_bytes += sock.send(b"x" * 100)
    return b"x" * n_bytes


@pytest.mark.parametrize("spool", [False, True], ids=["", "spool"])
@pytest.mark.parametrize("patience", [None, 60.0], ids=["for ever", "patience"])
def test_a_signal_ends_the_wait_for_a_peer_that_takes_nothing(spool: bool, patience: float | None) -> None:
    came, told, heard = bytearray(), threading.Event(), []
    with narrow() as (ours, theirs):
        before = fill(ours)
        link = Link(ours, "peer", patience, spool=spool)

        def peer() -> None:
            time.sleep(0.2)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
            heard.append(told.wait(MOST_SECONDS))
            while data := theirs.recv(1 << 16):
                came.extend(data)

        thread = threading.Thread(target=peer)
        thread.start()
        with pytest.raises(Interrupted):
            link.send(LARGE)
        told.set()
        link.send(Text("behind it"))
        ours.close()
        thread.join()
    assert heard == [True]
    assert came == before + encode(LARGE) + encode(Text("behind it"))


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def receiving() -> None:
    with narrow() as (ours, _):
        next(iter(Link(ours, "peer", None)))


def sending() -> None:
    with narrow() as (ours, _):
        Link(ours, "peer", None).send(LARGE)


def accepting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.accept()


def reading_a_pipe() -> None:
    with pipe() as (source, _), open(source, "rb", closefd=False) as file:
        first_bytes(file, "stdin")


def writing_a_pipe() -> None:
    with pipe() as (_, sink):
        Sink(sink).write(bytes(1 << 20))


def joining_a_thread() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        thread.join()
    finally:
        ended.set()


def waiting_for_a_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            process.wait()
        finally:
            process.kill()


@pytest.mark.parametrize(
    "wait",
    [receiving, sending, accepting, reading_a_pipe, writing_a_pipe, joining_a_thread, waiting_for_a_process],
    ids=lambda wait: wait.__name__,
)
def test_a_signal_that_does_not_break_off_a_wait_for_ever_is_answered_all_the_same(wait: Callable[[], None]) -> None:
    """As one that comes just before the wait begins. Here it comes to another thread."""
    over, rescued = threading.Event(), []

    def peer() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if not over.wait(MOST_SECONDS):
            rescued.append(True)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGURG)

    thread = threading.Thread(target=peer)
    thread.start()
    try:
        with pytest.raises(Interrupted):
            wait()
    finally:
        over.set()
        thread.join()
    assert not rescued
