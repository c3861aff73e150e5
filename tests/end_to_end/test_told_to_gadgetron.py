"""When a Gadgetron hears of a failure: it may crash where that comes while it sends, or right as it closes."""

import contextlib
import itertools
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from snrstream.hosts.conversation import Options, converse
from snrstream.hosts.gate import Gate
from snrstream.hosts.session import Session
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigText, Fault, Header
from snrtrain.benchmarks import small_scan

from .conftest import started_module

MODULE = ConfigText(b'<configuration><gadget name="noise_adjust"/><gadget name="accumulate"/></configuration>')
LINES = [encode(line) for line in small_scan.acquisitions()]
OPENING = b"".join([encode(MODULE), encode(Header(small_scan.HEADER)), *LINES[:3]])
BEHIND_CLOSE, BEHIND_PAUSE = 0.1, 0.3  # seconds: the least, and with the pause itself


@contextlib.contextmanager
def connected(gate: Gate) -> Iterator[socket.socket]:
    """A server that Gadgetron reached by `<connect>`, and which has begun the scan."""
    ours, theirs = socket.socketpair()
    session = Session("Gadgetron")

    def serve() -> None:
        with ours:
            converse(ours, session, Options(), gate)

    thread = threading.Thread(target=serve)
    with theirs:
        theirs.settimeout(60)
        theirs.sendall(OPENING)
        thread.start()
        while not session.has_scan:
            time.sleep(0.01)
        yield theirs
        theirs.close()
        thread.join(60)
        assert not thread.is_alive()
    gate.close()
    gate.remove()


def answers(sock: socket.socket) -> tuple[list, float]:
    """All that comes, and when the first of it came."""
    decoder, messages = Decoder(), []
    assert sock.recv(1, socket.MSG_PEEK)
    told_at = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(1 << 16):
            messages += decoder.receive(data)
    return messages, told_at


@contextlib.contextmanager
def interrupted(host: str, tmp_path) -> Iterator[tuple[socket.socket, float]]:
    """A Gadgetron whose scan is interrupted right as the context begins, and when."""
    if host == "server":
        gate = Gate()
        with connected(gate) as sock:
            gate.close()
            since = time.monotonic()
            gate.cut.ring()
            yield sock, since
        return
    with started_module(tmp_path / "log") as (sock, process):
        sock.sendall(OPENING)
        while b"INFO" not in (tmp_path / "log").read_bytes():  # the scan has begun
            time.sleep(0.01)
        since = time.monotonic()
        process.send_signal(signal.SIGTERM)
        yield sock, since


@pytest.mark.parametrize("host", ["server", "module"])
@pytest.mark.parametrize("then", ["pauses", "closes", "sends on"])
def test_an_interruption_is_told_in_a_pause_or_a_while_after_close(host: str, then: str, tmp_path) -> None:
    """One that sends on for long is told all the same: an end without a word would look like success."""
    with interrupted(host, tmp_path) as (sock, since):
        stopping = threading.Event()

        def send_on() -> None:
            with contextlib.suppress(OSError):
                for line in itertools.cycle(LINES[3:]):
                    sock.sendall(line)
                    if stopping.wait(0.005):
                        return

        sender = threading.Thread(target=send_on)
        if then == "sends on":
            sender.start()
        if then == "closes":
            since = time.monotonic()
            sock.sendall(encode(Close()))
            sock.shutdown(socket.SHUT_WR)
        messages, told_at = answers(sock)
        stopping.set()
        if then == "sends on":
            sender.join()
    *_, fault, close = messages
    assert isinstance(fault, Fault) and "ended" in fault.text and isinstance(close, Close)
    assert told_at - since >= {"closes": BEHIND_CLOSE, "pauses": BEHIND_PAUSE, "sends on": 0}[then]


def test_one_that_stopped_sending_hears_of_it_a_while_later() -> None:
    with connected(Gate()) as sock:
        ended_at = time.monotonic()
        sock.shutdown(socket.SHUT_WR)
        (fault, close), told_at = answers(sock)
    assert isinstance(fault, Fault) and "went away without CLOSE" in fault.text and isinstance(close, Close)
    assert told_at - ended_at >= BEHIND_CLOSE


def test_one_that_failed_itself_hears_of_it_a_while_after_its_close() -> None:
    """Its own chain failed, and it sends on what it has."""
    with connected(Gate()) as sock:
        sock.sendall(encode(Fault("its own chain")))
        for line in LINES[3:15]:
            sock.sendall(line)
            time.sleep(0.02)
        closed_at = time.monotonic()
        sock.sendall(encode(Close()))
        (fault, close), told_at = answers(sock)
    assert isinstance(fault, Fault) and "its own chain" in fault.text and isinstance(close, Close)
    assert told_at - closed_at >= BEHIND_CLOSE
