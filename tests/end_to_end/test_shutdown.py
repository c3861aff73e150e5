"""A server that stops finishes the scans that run, and no other one begins."""

import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ismrmrd
import pytest

from snrstream.errors import ConnectionFailed
from snrstream.hosts.conversation import Options, converse
from snrstream.hosts.gate import STOPPING, Gate
from snrstream.hosts.link import Link
from snrstream.hosts.server import Server, listen
from snrstream.hosts.session import Session
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigFile, Header, Text
from snrtrain.benchmarks import small_scan

CONFIGURATION, HEADER = ConfigFile("grappa_snr"), Header(small_scan.HEADER)
SCAN = [CONFIGURATION, HEADER, *small_scan.acquisitions()]


class Stopping:
    """A server in this process, whose clients are all accepted before it stops in a thread."""

    def __init__(self, listener: socket.socket, options: Options) -> None:
        self._listener = listener
        self._server = Server(options)
        self._thread = threading.Thread(target=self._server.finish)

    def dial(self) -> tuple[socket.socket, Link]:
        sock = socket.create_connection(self._listener.getsockname(), timeout=30)
        self._server.accept(self._listener)
        return sock, Link(sock, "server", 30)

    def stop(self) -> None:
        self._thread.start()

    def stopped(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()


@contextlib.contextmanager
def stopping(options: Options) -> Iterator[Stopping]:
    with listen("127.0.0.1", 0) as listener:
        server = Stopping(listener, options)
        yield server
        assert server.stopped(120)


def begin(link: Link, caplog: pytest.LogCaptureFixture) -> None:
    """Send a part of the scan, and wait until it has begun."""
    caplog.set_level(logging.INFO)
    for message in SCAN[:10]:
        link.send(message)
    for _ in range(1200):
        if "scan with grappa_snr" in caplog.text:
            return
        time.sleep(0.1)
    pytest.fail(caplog.text)


def n_images(answers: list[Any]) -> int:
    return sum(isinstance(answer, ismrmrd.Image) for answer in answers)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", None),
        (encode(CONFIGURATION)[:100], None),
        (encode(CONFIGURATION), Text(f"ERROR: {STOPPING}")),
        (encode(CONFIGURATION) + encode(HEADER)[:-1], Text(f"ERROR: {STOPPING}")),
    ],
    ids=["silent", "in its configuration", "before its header", "in its header"],
)
def test_a_client_without_a_scan_is_let_go_before_the_scan_that_runs_has_ended(
    sent: bytes, answer: Text | None, caplog
) -> None:
    """Though the scan's client came first; and none takes long, though it may be silent for 900 s."""
    with stopping(Options()) as server:
        running, link = server.dial()
        waiting, waiting_link = server.dial()
        with running, waiting:
            begin(link, caplog)
            waiting.sendall(sent)
            time.sleep(0.5)
            server.stop()
            waiting.settimeout(60)
            if answer is None:
                assert waiting.recv(1) == b""
            else:
                assert list(waiting_link) == [answer]
            with contextlib.suppress(ConnectionFailed):
                for message in [*SCAN[1:], Close()]:  # too late
                    waiting_link.send(message)
            assert not server.stopped(0.2)
            for message in [*SCAN[10:], Close()]:
                link.send(message)
            assert n_images(list(link)) == 3


def test_a_stop_among_clients_that_just_begin_finishes_those_that_it_counts(caplog) -> None:
    """Each gets all of its images or none, whichever of its messages had been read."""
    caplog.set_level(logging.INFO)
    results: list[int] = []

    def scan(sock: socket.socket, link: Link, delay: float) -> None:
        answers = []
        with sock, contextlib.suppress(ConnectionFailed, OSError):
            time.sleep(delay)
            for message in [*SCAN, Close()]:
                link.send(message)
            answers += link
        results.append(n_images(answers))

    with stopping(Options(clients=12)) as server:
        clients = [(*server.dial(), 0.02 * number) for number in range(12)]
        threads = [threading.Thread(target=scan, args=client) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(0.12)
        server.stop()
        for thread in threads:
            thread.join()
    found = re.search(r"stopping; (\d+) scans to finish", caplog.text)
    assert found is not None and set(results) <= {0, 3}
    finished_before = len(re.findall("acquisitions in", caplog.text.split("stopping;")[0]))
    assert results.count(3) - finished_before <= int(found[1]) <= results.count(3)


def test_clients_that_wait_for_room_are_refused_as_ever(caplog) -> None:
    with stopping(Options(clients=1)) as server:
        running, link = server.dial()
        with running:
            begin(link, caplog)
            other, other_link = server.dial()
            with other:
                for message in [*SCAN, Close()]:
                    other_link.send(message)
                server.stop()
                (error,) = other_link
            assert error.text.startswith("ERROR: server is busy")
            for message in [*SCAN[10:], Close()]:
                link.send(message)
            assert n_images(list(link)) == 3


def test_a_scan_that_came_too_late_is_told_so_and_its_raw_data_kept(tmp_path: Path) -> None:
    """It was on its way when the server stopped."""
    stream = b"".join(map(encode, [*SCAN, Close()]))
    gate = Gate()
    gate.close()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(stream[:100_000])

        def rest() -> None:
            with contextlib.suppress(OSError):  # the other end may close as it takes the last byte
                theirs.sendall(stream[100_000:])
                theirs.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=rest)
        sender.start()
        with ours:
            converse(ours, Session("peer"), Options(keep_raw=tmp_path), gate)
        assert list(Link(theirs, "server", 10)) == [Text(f"ERROR: {STOPPING}")]
        sender.join()
    gate.remove()
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == stream


def test_a_gate_lets_nobody_in_once_it_has_counted() -> None:
    """However the threads fall: who was let in was counted, who was not was told."""
    for _ in range(200):
        gate, entered, refused = Gate(), [], []
        barrier = threading.Barrier(5)

        def enter(gate=gate, entered=entered, refused=refused, barrier=barrier) -> None:
            barrier.wait()
            try:
                gate.enter(threading.current_thread())
                entered.append(1)
            except ConnectionFailed:
                refused.append(1)

        threads = [threading.Thread(target=enter) for _ in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait()
        n_counted = gate.close()
        for thread in threads:
            thread.join()
        gate.remove()
        assert (len(entered), len(refused)) == (n_counted, 4 - n_counted)
