"""A signal in the main thread ends a wait for a peer that takes nothing, and loses no byte of the stream."""

import contextlib
import signal
import socket
import threading
import time

import pytest

from snrstream.hosts.link import Link
from snrstream.system import interruption
from snrstream.system.interruption import Interrupted, interrupt
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Text

from .test_link import LARGE, narrow

MOST_SECONDS = 5.0  # after which the peer reads all the same, so that a link that hears nothing fails and hangs not


@pytest.fixture
def _interruptible(monkeypatch):
    monkeypatch.setattr(interruption, "_here", threading.local())  # or the tests behind would seem interrupted
    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def fill(sock: socket.socket) -> bytes:
    """Send until not one byte more is taken; what was."""
    sock.setblocking(False)
    n_bytes = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            n_bytes += sock.send(b"x" * 100)
    return b"x" * n_bytes


@pytest.mark.usefixtures("_interruptible")
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
