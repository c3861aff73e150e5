"""Servers that stop writing, stop reading, or vanish, at every message that `send` sends or gets."""

import contextlib
import itertools
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from snrstream.errors import SnrstreamError
from snrstream.hosts.client import send_scan
from snrstream.hosts.link import Link
from snrstream.hosts.scan_source import open_scan
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, Header
from snrtrain.benchmarks import small_scan
from tests.processes import forked

from .conftest import ENVIRONMENT
from .test_client_peers import LINES, MOST_SECONDS, NOISE, n_open, reset, stop_writing, wait_until
from .test_stream import read_images

N_LARGE = 40  # lines which are more than the buffers between the two can hold: 10 MiB
N_MESSAGES = 2 + 1 + N_LARGE  # of a scan, ahead of its CLOSE
IMAGE = encode(
    ismrmrd.Image.from_array(
        np.ones((1, 8, 8), np.float32), transpose=False, field_of_view=(8, 8, 8),
        read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
    )
)  # fmt: skip

# How many messages the server has read, and what it has sent.
MOMENTS = {
    "nothing": (0, b""),
    "the configuration": (1, b""),
    "the header": (2, b""),
    "the first line": (3, b""),
    "mid scan": (20, b""),
    "an image in mid scan": (20, IMAGE),
    "half an image in mid scan": (20, IMAGE[:300]),
    "before CLOSE": (N_MESSAGES, b""),
    "CLOSE": (N_MESSAGES + 1, b""),
    "two images": (N_MESSAGES + 1, 2 * IMAGE),
    "half an image": (N_MESSAGES + 1, IMAGE + IMAGE[:300]),
}


def close_by_word(sock: socket.socket) -> None:
    """CLOSE, in the midst of the scan, and nothing is read any more."""
    sock.sendall(encode(Close()))


ENDS = {
    "silent": (lambda sock: None, "sent nothing for 0.5 s"),
    "half-closed": (stop_writing, "went away"),
    "dead": (lambda sock: None, "(sent|took) nothing for 0.5 s"),
    "reset": (reset, "went away"),
    "closed": (socket.socket.close, "went away"),
    "CLOSE": (close_by_word, r"closed after \d+ acquisitions"),
}
READ_ON = ("silent", "half-closed")


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.mrd"
    line = ismrmrd.Acquisition(LINES[0].getHead(), np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32))
    line.resize(number_of_samples=8192, active_channels=len(NOISE.data))
    messages = [Header(small_scan.HEADER), NOISE, *itertools.repeat(line, N_LARGE), Close()]
    path.write_bytes(b"".join(map(encode, messages)))
    return path


class Failing:
    """A server for one client, up to a moment; then its end comes."""

    def __init__(self, moment: str, end: str, over: threading.Event) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._listener.settimeout(MOST_SECONDS)
        self.port = self._listener.getsockname()[1]
        self._moment, self._end, self._over = moment, end, over
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        n_read, sent = MOMENTS[self._moment]
        with self._listener, self._listener.accept()[0] as sock:
            sock.settimeout(MOST_SECONDS)
            for _ in itertools.islice(Link(sock, "client", MOST_SECONDS), n_read):
                pass
            sock.sendall(sent)
            ENDS[self._end][0](sock)
            with contextlib.suppress(OSError):
                while self._end in READ_ON and sock.recv(1 << 16):
                    pass
            self._over.wait(MOST_SECONDS)

    def join(self) -> None:
        self._thread.join(MOST_SECONDS)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def failing(moments: list[str], end: str) -> Iterator[list[int]]:
    """Ports of servers, one for each moment."""
    over = threading.Event()
    servers = [Failing(moment, end, over) for moment in moments]
    try:
        yield [server.port for server in servers]
    finally:
        over.set()
        for server in servers:
            server.join()


@pytest.mark.parametrize("end", ENDS)
def test_a_server_that_goes_no_further(end: str, scan: Path) -> None:
    """All at once: each is told in one line, in time, and nothing stays open."""
    moments = [
        moment
        for moment, (n_read, _) in MOMENTS.items()
        if end != "CLOSE" or (n_read < N_MESSAGES and "half" not in moment)
    ]

    def told(port: int) -> str:
        with open_scan(scan) as opened, pytest.raises(SnrstreamError) as error:
            send_scan(opened, "127.0.0.1", port, "grappa_snr", patience=0.5)
        return str(error.value)

    with failing(["nothing"], "closed") as (port,):
        told(port)  # what is opened once
    n_before, threads = n_open(), set(threading.enumerate())
    with failing(moments, end) as ports, ThreadPoolExecutor(len(ports)) as clients:
        texts = [future.result(MOST_SECONDS) for future in [clients.submit(told, port) for port in ports]]
    for moment, port, text in zip(moments, ports, texts, strict=True):
        if "cannot connect" in text:
            assert (moment, end) == ("nothing", "reset")
            continue
        assert re.match(rf"server 127\.0\.0\.1:{port} ({ENDS[end][1]})", text), (moment, text)
        n_images = MOMENTS[moment][1].count(IMAGE)
        assert re.search(rf"\b\d+ acquisitions( sent, | and ){n_images} images", text), (moment, text)
    assert wait_until(lambda: set(threading.enumerate()) <= threads and n_open() <= n_before)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("n_images", [0, 1])
def test_the_command_ends_with_one_line_and_status_1(end: str, n_images: int, scan: Path, tmp_path: Path) -> None:
    """An image that came before stays."""
    out = tmp_path / "out"
    with failing(["an image in mid scan" if n_images else "mid scan"], end) as (port,):
        command = forked("-m", "snrstream", "send", str(scan), "--port", str(port), "--patience", "0.5")
        done = subprocess.run(
            [*command, "--output", str(out)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
        )
    (line,) = [line for line in done.stderr.splitlines() if "INFO" not in line]
    assert done.returncode == 1 and re.match(rf"snrstream: server 127\.0\.0\.1:{port} ({ENDS[end][1]})", line), line
    if n_images == 0:
        assert done.stdout == "" and not out.exists()
        return
    assert done.stdout == f"1 images (series 0) in {out}: images.h5, dicom/, preview.png\n"
    assert line.endswith("1 images received): the images are of what came before") or "and 1 images; expected" in line
    assert len(read_images(out)["image_0"]) == len([*(out / "dicom").iterdir()]) == 1


def test_a_server_that_goes_while_the_scan_pauses(scan: Path, tmp_path: Path) -> None:
    """It comes through a pipe, whose other end stays open and gives no more."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with failing(["the first line"], "closed") as (port,):
        command = forked("-m", "snrstream", "send", str(fifo), "--port", str(port), "--output", str(tmp_path / "out"))
        process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE)
        try:
            with open(fifo, "wb") as pipe:
                pipe.write(scan.read_bytes()[: len(encode(Header(small_scan.HEADER))) + len(encode(NOISE)) + 100])
                pipe.flush()
                _, errors = process.communicate(timeout=MOST_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 1 and b"went away" in errors and errors.count(b"\n") == 1
