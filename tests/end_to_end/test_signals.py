"""SIGINT and SIGTERM in mid-scan: each host ends at once, in an orderly way, with the status of the signal."""

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snrstream.hosts.gate import CUT
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigFile, ConfigText, Fault, Header, Text
from snrstream.wire.scan_file import ScanFile
from tests.processes import forked, fresh, says

from .conftest import ENVIRONMENT, ROOT, started_module

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
SCAN = ROOT / "data" / "brain_16ch_r3.h5"
CHAIN = ("noise_adjust", "accumulate", "grappa", "coil_combine", "denoise", "image_finish")
MODULE = ConfigText(f"<configuration>{''.join(f'<gadget name={name!r}/>' for name in CHAIN)}</configuration>".encode())


@pytest.fixture(scope="module")
def stream() -> bytes:
    """The data of a scan that goes on for long: header, and many repetitions."""
    with ScanFile(SCAN) as scan:
        acquisitions = list(scan.acquisitions())
        parts = [encode(Header(scan.header_xml)), *map(encode, acquisitions)]
    for repetition in range(1, 41):
        for acquisition in acquisitions[1:]:
            acquisition.idx.repetition = repetition
            parts.append(encode(acquisition))
    return b"".join(parts)


def received(sock: socket.socket) -> list:
    """All whole messages up to the end, be it a reset."""
    decoder, messages = Decoder(), []
    with contextlib.suppress(OSError):
        while data := sock.recv(1 << 16):
            messages += decoder.receive(data)
    return messages


def send(sock: socket.socket, data: bytes) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(OSError):
            sock.sendall(data)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextlib.contextmanager
def served(log: Path, raw: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[bytes], tuple[str, int]]]:
    command = fresh("-m", "snrstream", "serve", "--port", "0", "--keep-raw", str(raw), *map(str, arguments))
    with open(log, "wb") as stderr, subprocess.Popen(command, stderr=stderr, env=ENVIRONMENT) as process:
        try:
            says(log, "listening on")
            host, port = re.search(r"listening on ([\d.]+):(\d+)", log.read_text()).groups()
            yield process, (host, int(port))
        finally:
            process.kill()


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)], ids=["SIGINT", "2 x SIGTERM"])
def test_a_server_that_is_interrupted_cuts_its_scans(signals: tuple[signal.Signals, ...], stream, tmp_path) -> None:
    """One that computes and one whose client pauses: both clients hear of it, and all that came is kept."""
    log, raw = tmp_path / "log", tmp_path / "raw"
    opening = encode(ConfigFile("grappa_denoise"))
    with served(log, raw) as (process, address), contextlib.ExitStack() as stack:
        busy, pausing = (stack.enter_context(socket.create_connection(address, 60)) for _ in range(2))
        pausing.sendall(opening + stream[:300_000])
        sender = send(busy, opening + stream)
        while not busy.recv(1 << 16, socket.MSG_PEEK):  # its first image is there, and more are made
            pass
        for number in signals[:-1]:
            process.send_signal(number)
            says(log, "stopping; 2 scans to finish")
        process.send_signal(signals[-1])
        for sock in (pausing, busy):
            assert received(sock)[-2:] == [Text(f"ERROR: {CUT}"), Close()]
        sender.join()
        assert process.wait(20) == STATUS[signals[-1]]
    text = log.read_text()
    assert "Traceback" not in text and text.count("interrupted; 2 scans are cut") == 1
    kept = sorted((path.suffix, path.read_bytes()) for path in raw.iterdir())
    whole = opening + stream
    assert all(suffix == ".mrd" and whole.startswith(data) for suffix, data in kept)
    assert len(opening) + 300_000 in [len(data) for _, data in kept]


def test_a_scan_that_cannot_be_woken_is_kept_all_the_same(tmp_path) -> None:
    """It computes for as long as it likes: the process does not wait, and its raw data has its name."""
    gadgets, log, raw = tmp_path / "gadgets", tmp_path / "log", tmp_path / "raw"
    gadgets.mkdir()
    (gadgets / "stuck.py").write_text(STUCK)
    xml = b'<configuration><gadget name="noise_adjust"/><gadget name="stuck"/></configuration>'
    with ScanFile(SCAN) as scan:
        sent = [ConfigText(xml), Header(scan.header_xml), *itertools.islice(scan.acquisitions(), 3)]
    with served(log, raw, "--gadgets", gadgets) as (process, address), socket.create_connection(address, 60) as sock:
        sock.sendall(b"".join(map(encode, sent)))
        says(log, "stuck now")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    (kept,) = raw.iterdir()
    assert kept.suffix == ".mrd" and b"".join(map(encode, sent)).startswith(kept.read_bytes())
    assert "interrupted; 1 scans are cut" in log.read_text() and "Traceback" not in log.read_text()


STUCK = '''
"""Never comes back."""
import logging, time
AFTER = "noise_adjust"
from dataclasses import dataclass
from snrstream.gadgets.gadget import Gadget

@dataclass(frozen=True)
class Parameters:
    pass

class Stuck(Gadget):
    def take(self, item):
        logging.getLogger("snrstream.stuck").info("stuck now")
        time.sleep(600)
        yield item

def start(scan, parameters):
    return Stuck()
'''


@pytest.mark.parametrize("number", STATUS)
def test_a_module_that_is_interrupted_tells_gadgetron(number: signal.Signals, stream, tmp_path) -> None:
    """Whose client would take a mere end for success."""
    log = tmp_path / "log"
    with started_module(log) as (sock, process):
        sender = send(sock, encode(MODULE) + stream)
        while not sock.recv(1 << 16, socket.MSG_PEEK):
            pass
        process.send_signal(number)
        messages = received(sock)
        assert len(messages) > 1, (messages, log.read_text())
        *_, fault, close = messages
        sender.join()
        assert isinstance(fault, Fault) and f"ended by {number.name}" in fault.text and isinstance(close, Close)
        assert process.wait(20) == STATUS[number]
    assert "Traceback" not in log.read_text() and f"ended by {number.name}" in log.read_text()


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_a_reconstruction_that_is_interrupted(number: signal.Signals, kind: str, stream, tmp_path) -> None:
    """In its midst, of a file and in a pipe."""
    command = forked("-m", "snrstream", "recon", "--pipeline", "grappa_denoise")
    path, out = tmp_path / "scan.mrd", tmp_path / "out"
    path.write_bytes(stream + encode(Close()))
    command += [str(path), "--output", str(out)] if kind == "file" else ["--from-stream"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT) as process:
        try:
            if kind == "pipe":
                os.set_blocking(process.stdout.fileno(), True)
                feeder = send_to_pipe(process, stream)
                assert process.stdout.read(100_000)  # images leave
            else:
                for line in process.stderr:
                    if b"prewhitening" in line:
                        break
            process.send_signal(number)
            status, errors = process.wait(20), process.stderr.read().decode()
            assert status == STATUS[number], errors
        finally:
            process.kill()
        if kind == "pipe":
            feeder.join()
    assert errors.splitlines()[-1] == f"snrstream: interrupted by {number.name}" and "Traceback" not in errors
    assert not out.exists()


def send_to_pipe(process: subprocess.Popen[bytes], data: bytes) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(OSError):
            os.write(process.stdin.fileno(), data[:1])
            rest = memoryview(data)[1:]
            while rest:
                rest = rest[os.write(process.stdin.fileno(), rest) :]

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("number", STATUS)
def test_a_client_that_is_interrupted(number: signal.Signals, tmp_path) -> None:
    """Which waits for a server that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = forked("-m", "snrstream", "send", str(SCAN), "--port", str(listener.getsockname()[1]))
        process = subprocess.Popen(
            [*command, "--output", str(tmp_path / "out")], stderr=subprocess.PIPE, env=ENVIRONMENT
        )
        try:
            sock, _ = listener.accept()
            with sock:
                assert sock.recv(1000)
                process.send_signal(number)
                _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == STATUS[number]
    assert errors.decode().splitlines()[-1] == f"snrstream: interrupted by {number.name}" and b"Traceback" not in errors
    assert not (tmp_path / "out").exists()
