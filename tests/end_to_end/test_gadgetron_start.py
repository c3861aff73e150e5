"""Our module under the start line of Gadgetron, with peers that fail, and headers that its package refuses."""

import importlib.metadata
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
from gadgetron.external.connection import Connection

from snrstream.hosts.gadgetron_module import chain
from snrstream.hosts.link import Link
from snrstream.hosts.spool import can_read
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigText, Fault, Header
from snrstream.wire.scan_file import ScanFile
from snrtrain.benchmarks import dying_clients
from tests.processes import forked, fresh

from .conftest import ENVIRONMENT, exchange, started_module

CONFIGURATION = b'<configuration><gadget name="noise_adjust"/></configuration>'
RECONSTRUCTION = b'<configuration><gadget name="noise_adjust"/><gadget name="accumulate"/></configuration>'
LEAST_SECONDS = 0.03  # in which no Gadgetron of 150 crashed
MOST_LINES = 30  # on stderr, of a scan: its start, its end and what happens once


@pytest.fixture(autouse=True)
def _installed() -> None:
    files = importlib.metadata.files("snrstream") or []
    assert "snrstream_gadgetron.pth" in map(str, files), "the installed snrstream is of older source; install it anew"


@pytest.fixture(scope="module")
def scan(raw_scan) -> tuple[bytes, list[ismrmrd.Acquisition]]:
    with ScanFile(raw_scan("brain_16ch_r3")) as file:
        return file.header_xml, list(file.acquisitions())


def read_all(sock: socket.socket) -> list:
    """Every message up to the end of the connection, CLOSE too."""
    decoder, messages = Decoder(), []
    while data := sock.recv(1 << 16):
        messages += decoder.receive(data)
    decoder.finish()
    return messages


PARTS = {
    "nothing": lambda config, header, data: b"",
    "half an id": lambda config, header, data: config[:1],
    "half a configuration": lambda config, header, data: config[:30],
    "a configuration": lambda config, header, data: config,
    "half a header": lambda config, header, data: config + header[: len(header) // 2],
    "half an acquisition": lambda config, header, data: config + header + data + data[: len(data) // 2],
}
HALF_OPEN = ("half an id", "a configuration", "half an acquisition")  # the peer still reads


@pytest.mark.parametrize("part", PARTS)
def test_the_module_ends_where_its_peer_does(part: str, scan, tmp_path) -> None:
    """With an error and status 1, wherever that is; a peer that still reads gets it as message 8."""
    header, acquisitions = scan
    log = tmp_path / "log"
    with started_module(log) as (sock, process):
        sock.sendall(PARTS[part](*map(encode, (ConfigText(CONFIGURATION), Header(header), acquisitions[0]))))
        if part in HALF_OPEN:
            sock.shutdown(socket.SHUT_WR)
            *_, fault, close = read_all(sock)
            assert isinstance(fault, Fault) and "Gadgetron went away" in fault.text
            assert isinstance(close, Close)
    assert process.returncode == 1
    assert re.search(r"ERROR.* Gadgetron went away", log.read_text())
    assert "Traceback" not in log.read_text()


def changed(header: bytes, kind: str) -> bytes:
    text = header.decode()
    if kind == "unknown element":
        return text.replace("<encoding>", "<vendorsOwn><deep>1</deep></vendorsOwn><encoding>", 1).encode()
    root = re.search(r"<ismrmrdHeader[^>]*>", text)[0]
    return text.replace(root, "<ismrmrdHeader>", 1).encode()


@pytest.mark.parametrize("kind", ["unknown element", "no namespace"])
def test_a_header_that_the_package_refuses(kind: str, module, scan) -> None:
    header, acquisitions = scan
    images = exchange(module, RECONSTRUCTION.decode(), changed(header, kind), acquisitions)
    assert [type(image) for image in images] == 2 * [ismrmrd.Image]


FAULTS = {
    "no XML for a configuration": ([encode(ConfigText(b"<configuration"))], "is not well-formed XML"),
    "a header that is none": (
        [encode(ConfigText(CONFIGURATION)), encode(Header(b"<nothing/>"))],
        "has root element 'nothing'",
    ),
    "CLOSE alone": ([], "Gadgetron closed before a scan came; expected a configuration and a header"),
    "a message that is unknown": ([b"\xff\x0f"], "unknown message id 4095"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_session_that_is_none(fault: str, tmp_path) -> None:
    """Message 8 and then CLOSE, after all input was read, and status 1."""
    messages, text = FAULTS[fault]
    with started_module(tmp_path / "log") as (sock, process):
        sock.sendall(b"".join(messages) + encode(Close()))
        sock.shutdown(socket.SHUT_WR)
        error, close = read_all(sock)
    assert isinstance(error, Fault) and error.text.startswith("snrstream: ") and text in error.text
    assert isinstance(close, Close) and process.returncode == 1
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_gadget_that_fails_in_mid_scan(scan, tmp_path) -> None:
    """What was made before arrives, then message 8, then CLOSE; and status 1."""
    images = [
        ismrmrd.Image.from_array(np.full((n, 1, 8, 12), 1 + 1j, np.complex64), transpose=False, field_of_view=(8, 8, 8))
        for n in (1, 2, 1)
    ]
    finish = ConfigText(b'<configuration><gadget name="image_finish"/></configuration>')
    with started_module(tmp_path / "log") as (sock, process):
        for message in (finish, Header(scan[0]), *images, Close()):
            sock.sendall(encode(message))
        first, *_, error, close = read_all(sock)
    assert isinstance(first, ismrmrd.Image) and isinstance(close, Close) and process.returncode == 1
    assert isinstance(error, Fault) and "expected pixels of one channel" in error.text


def test_a_module_that_cannot_be_loaded_is_an_error_too(scan, tmp_path) -> None:
    with started_module(tmp_path / "log", target="nope") as (sock, process):
        sock.sendall(encode(ConfigText(CONFIGURATION)) + encode(Header(scan[0])) + encode(Close()))
        error, close = read_all(sock)
    assert isinstance(error, Fault) and "'nope'" in error.text
    assert isinstance(close, Close) and process.returncode == 1


def test_a_first_scan_without_a_compile_cache_writes_few_lines(scan, tmp_path) -> None:
    header, acquisitions = scan
    gadgets = ("noise_adjust", "accumulate", "grappa", "coil_combine", "denoise")
    pipeline = f"<configuration>{''.join(f'<gadget name={name!r}/>' for name in gadgets)}</configuration>"
    log = tmp_path / "log"
    with started_module(log, python=fresh, NUMBA_CACHE_DIR=str(tmp_path / "numba")) as (sock, process):
        images = exchange(sock, pipeline, header, acquisitions)
    assert process.returncode == 0 and len(images) > 2
    assert any((tmp_path / "numba").rglob("*.nb?")), "nothing was compiled"
    lines = log.read_text().splitlines()
    assert len(lines) <= MOST_LINES, "\n".join(lines[:50])
    assert any("INFO" in line and "acquisitions in" in line for line in lines)  # our own are there


@pytest.mark.parametrize("arguments", [[], ["-c", "pass"], ["-m", "gadgetron"]])
def test_other_processes_are_left_alone(arguments: list[str]) -> None:
    """Nothing of ours is imported, and nothing is said."""
    command = [sys.executable, "-v", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, input=b"", capture_output=True, timeout=60)
    assert done.returncode == 0 and b"import 'snrstream" not in done.stderr
    assert b"Error processing line" not in done.stderr


def test_another_module_has_the_connection_of_the_package(scan, tmp_path) -> None:
    header, acquisitions = scan
    with started_module(tmp_path / "log", "gadgetron.examples", "pass_through") as (sock, process):
        images = exchange(sock, CONFIGURATION.decode(), header, acquisitions[:2])
    assert [image.scan_counter for image in images] == [a.scan_counter for a in acquisitions[:2]]
    assert process.returncode == 0 and "ModuleConnection" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("dies", [False, True], ids=["whole", "dies"])
def test_a_connection_of_the_package_is_taken_over(dies: bool, scan) -> None:
    """As where the module is on PYTHONPATH alone, or called by `gadgetron.external.listen`."""
    header, acquisitions = scan
    ours, theirs = socket.socketpair()
    got, status = [], []

    def peer() -> None:
        link = Link(ours, "module")
        for message in [ConfigText(RECONSTRUCTION), Header(header), *acquisitions]:
            link.send(message)
        if dies:
            ours.shutdown(socket.SHUT_WR)
        else:
            link.send(Close())
        got.extend(read_all(ours))

    thread = threading.Thread(target=peer)
    thread.start()
    with ours, Connection(theirs) as connection:
        try:
            chain(connection)
        except SystemExit as exc:
            status.append(exc.code)
        connection.socket.close()
        thread.join(60)
    *_, last = got
    assert isinstance(last, Close) and status == ([1] if dies else [])
    assert sum(isinstance(message, Fault) for message in got) == dies
    assert sum(isinstance(message, ismrmrd.Image) for message in got) == 2


def test_the_hook_names_the_start_line_of_the_configurations() -> None:
    """The file's only line is for `python -m gadgetron PORT snrstream.gadgetron TARGET`."""
    (line,) = (Path(ENVIRONMENT["PYTHONPATH"]) / "snrstream_gadgetron.pth").read_text().splitlines()
    assert line.startswith("import ") and '["-m", "gadgetron", "snrstream.gadgetron"]' in line


def test_a_failure_is_told_a_while_after_close(scan, tmp_path) -> None:
    """Gadgetron may crash where it hears of one while it sends, or as it closes: not before, and not at once."""
    with started_module(tmp_path / "log") as (sock, _):
        sock.sendall(
            encode(ConfigText(b'<configuration><gadget name="nope"/></configuration>')) + encode(Header(scan[0]))
        )
        for acquisition in scan[1][:20]:
            sock.sendall(encode(acquisition))
            time.sleep(0.02)
        assert not can_read(sock)
        closed_at = time.monotonic()
        sock.sendall(encode(Close()))
        first = sock.recv(1)
        assert time.monotonic() - closed_at >= LEAST_SECONDS
        assert first == b"\x08"


@pytest.mark.parametrize("peer", ["silent", "dead"])
@pytest.mark.parametrize("part", PARTS)
def test_the_module_ends_where_its_peer_does_nothing_more(part: str, peer: str, scan, tmp_path) -> None:
    """And keeps the socket open. silent: it reads on; dead: it does not."""
    header, acquisitions = scan
    log = tmp_path / "log"
    with started_module(log, SNRSTREAM_PATIENCE="0.5") as (sock, process):
        sock.sendall(PARTS[part](*map(encode, (ConfigText(CONFIGURATION), Header(header), acquisitions[0]))))
        if peer == "silent":
            *_, fault, close = read_all(sock)
            assert isinstance(fault, Fault) and "sent nothing for 0.5 s" in fault.text and isinstance(close, Close)
        assert process.wait(60) == 1
    assert "Gadgetron sent nothing for 0.5 s" in log.read_text() and "Traceback" not in log.read_text()


def test_clients_that_die_at_random_moments_leave_no_module_behind() -> None:
    """A short form of `make soak`. 0 is right as well: Gadgetron closes in order where its client dies."""
    ends = dying_clients.die(6, 0, forked)
    assert sum(ends.values()) == 6 and set(ends) <= {"status 0", "status 1"}


@pytest.mark.parametrize("end", ["open", "half-closed", "reset", "closed"])
@pytest.mark.parametrize("whole", [True, False], ids=["after CLOSE", "in mid-scan"])
def test_the_module_ends_where_its_peer_takes_nothing(end: str, whole: bool, scan, tmp_path) -> None:
    """In the middle of an item that it sends: more goes back than the buffers between the two can hold."""
    line = ismrmrd.Acquisition(scan[1][1].getHead(), np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32))
    line.resize(number_of_samples=8192, active_channels=len(scan[1][0].data))
    log = tmp_path / "log"
    with started_module(log, SNRSTREAM_PATIENCE="0.5") as (sock, process):
        opening = [ConfigText(CONFIGURATION), Header(scan[0]), scan[1][0]]
        sock.sendall(b"".join(map(encode, opening)) + 30 * encode(line) + (encode(Close()) if whole else b""))
        if end == "half-closed":
            sock.shutdown(socket.SHUT_WR)
        elif end == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end in ("reset", "closed"):
            sock.close()
        assert process.wait(60) == 1
    assert re.search(r"ERROR.* Gadgetron (took nothing for 0.5 s|went away)", log.read_text())
    assert "Traceback" not in log.read_text()
