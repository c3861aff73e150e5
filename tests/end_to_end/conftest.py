"""A real server, and a module of Gadgetron, each in a process of its own."""

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snrstream.hosts.link import Link
from snrstream.wire.messages import Close, ConfigText, Header
from tests.processes import forked

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "gadgets")}


@dataclass(frozen=True)
class Running:
    """`snrstream serve` in a process. address: host and port."""

    address: tuple[str, int]
    log: Path
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(log: Path, *arguments: object, python: Callable[..., list[str]] = forked) -> Iterator[Running]:
    """A server with further arguments, until it is told to stop; it must not fail in between."""
    with open(log, "wb") as stderr:
        command = python("-m", "snrstream", "serve", "--port", "0", *map(str, arguments))
        process = subprocess.Popen(command, stderr=stderr, env=ENVIRONMENT)
    try:
        for _ in range(1200):
            found = re.search(r"listening on ([\d.]+):(\d+)", log.read_text())
            if found:
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            pytest.fail(f"server did not start: {log.read_text()}")
        yield Running((found[1], int(found[2])), log, process)
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, int, Path]]:
    """Host and port of `snrstream serve`, and the file that its log goes to."""
    log = tmp_path_factory.mktemp("server") / "log"
    with running(log) as found:
        yield (*found.address, log)


@contextlib.contextmanager
def started_module(
    log: Path,
    name: str = "snrstream.gadgetron",
    target: str = "chain",
    python: Callable[..., list[str]] = forked,
    **environment: str,
) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """A module as Gadgetron starts it: the socket by which it dialled us, and its process. Its stderr goes to `log`."""
    with socket.create_server(("localhost", 0)) as listener, open(log, "wb") as stderr:
        command = python("-m", "gadgetron", str(listener.getsockname()[1]), name, target)
        process = subprocess.Popen(command, env=ENVIRONMENT | environment, stderr=stderr)
        try:
            listener.settimeout(60)
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(60)
                yield sock, process
            process.wait(60)
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def module(tmp_path) -> Iterator[socket.socket]:
    """The socket of a module process, which must end when it is closed."""
    with started_module(tmp_path / "module.log") as (sock, _):
        yield sock


def exchange(sock: socket.socket, configuration: str, header: bytes, items: list) -> list:
    """What a module sends back for a whole session."""
    link = Link(sock, "module")
    for message in [ConfigText(configuration.encode()), Header(header), *items, Close()]:
        link.send(message)
    return list(link)
