"""Whatever breaks: the client hears of it, nothing is lost, and the next client is served."""

import contextlib
import io
import itertools
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import pytest

from snrstream.gadgets import coil_combine
from snrstream.gadgets.gadget import Gadget
from snrstream.hosts import conversation, failure
from snrstream.hosts.conversation import Options
from snrstream.hosts.link import Link
from snrstream.hosts.server import ROOM_SECONDS, Server, listen
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigFile, ConfigText, Fault, Header, Text
from snrtrain.benchmarks import small_scan
from tests.processes import forked, fresh, says
from tests.sessions import answers_to

from .conftest import ENVIRONMENT, Running, running

OPENING = [ConfigFile("grappa_snr"), Header(small_scan.HEADER)]
SCAN = [*OPENING, *small_scan.acquisitions()]
UNUSABLE = ConfigText(b'<configuration><gadget name="nope"/></configuration>')


def dial(address: tuple[str, int]) -> tuple[socket.socket, Link]:
    sock = socket.create_connection(address, timeout=30)
    return sock, Link(sock, "server", 30)


def converse(address: tuple[str, int], messages: list[Any]) -> list[Any]:
    """All that the server answers to a client that sends these messages and CLOSE."""
    sock, link = dial(address)
    with sock:
        for message in [*messages, Close()]:
            link.send(message)
        return list(link)


def pixels(answers: list[Any]) -> list[bytes]:
    return [answer.data.tobytes() for answer in answers if isinstance(answer, ismrmrd.Image)]


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    return pixels(answers_to(SCAN))


@contextlib.contextmanager
def inside(options: Options) -> Iterator[tuple[str, int]]:
    """A server in this process, into which faults can be put; its address."""
    with listen("127.0.0.1", 0) as listener:
        server = Server(options)
        listener.settimeout(0.1)
        stopping = threading.Event()

        def accept() -> None:
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    server.accept(listener)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            stopping.set()
            thread.join()
            server.finish()


def test_a_client_killed_at_every_message_boundary(server, expected: list[bytes]) -> None:
    """By a reset and by a plain end in turn; also in the middle of the message that follows."""
    address = server[:2]
    for n_sent in range(len(SCAN) + 1):
        for cut in (0, 100):
            sock, link = dial(address)
            with sock:
                for message in SCAN[:n_sent]:
                    link.send(message)
                sock.sendall(encode(SCAN[n_sent])[:cut] if n_sent < len(SCAN) else b"")
                if n_sent % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert pixels(converse(address, SCAN)) == expected


@pytest.mark.parametrize("moment", ["start", "middle", "end"])
def test_a_gadget_that_raises(moment: str, monkeypatch, tmp_path: Path, expected: list[bytes]) -> None:
    """Images made before arrive, then the error; the raw data is kept, and gives the images once the fault is gone."""
    real = coil_combine.start

    class Faulty(Gadget):
        def __init__(self, gadget: Gadget) -> None:
            if moment == "start":
                raise RuntimeError("broken")
            self.gadget, self.n_taken = gadget, 0

        def take(self, item):
            self.n_taken += 1
            if moment == "middle" and self.n_taken == 2:
                raise RuntimeError("broken")
            return self.gadget.take(item)

        def end(self):
            raise RuntimeError("broken")

    scan = [*SCAN, *(a for a in small_scan.acquisitions(repetition=1) if not a.is_flag_set(19))]
    with inside(Options(keep_raw=tmp_path)) as address:
        with monkeypatch.context() as patch:
            patch.setattr(coil_combine, "start", lambda scan, parameters: Faulty(real(scan, parameters)))
            *images, error = converse(address, scan)
        assert isinstance(error, Text) and error.text == "ERROR: internal error: RuntimeError: broken"
        assert len(pixels(images)) == {"start": 0, "middle": 3, "end": 6}[moment]
        assert pixels(converse(address, SCAN)) == expected
    (kept,) = tmp_path.iterdir()
    assert kept.name.endswith(".mrd")
    messages = list(Decoder().receive(kept.read_bytes()))
    assert b"".join(map(encode, messages)) == b"".join(map(encode, [*scan, Close()]))
    assert len(pixels(answers_to(messages[:-1]))) == 6


def test_a_scan_that_failed_is_kept_whole_though_it_pauses(tmp_path: Path, monkeypatch) -> None:
    """Its client hears of the failure in the pause."""
    monkeypatch.setattr(failure, "SILENCE_SECONDS", 0.2)
    (noise, first, *lines) = small_scan.acquisitions()
    first.resize(number_of_samples=32, active_channels=3)
    with inside(Options(keep_raw=tmp_path)) as address:
        sock, link = dial(address)
        with sock:
            for message in [*OPENING, noise, first]:
                link.send(message)
            answers = iter(link)
            error = next(answers)
            assert "3 channels" in error.text, error
            time.sleep(0.5)
            for message in [*lines, Close()]:
                link.send(message)
            assert list(answers) == []  # one that goes with answers unread takes back what it has sent
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"".join(map(encode, [*OPENING, noise, first, *lines, Close()]))


def test_a_client_that_dribbles_after_its_failure_is_let_go(monkeypatch, expected: list[bytes]) -> None:
    monkeypatch.setattr(conversation, "DRAIN_SECONDS", 0.5)
    monkeypatch.setattr(failure, "SILENCE_SECONDS", 0.2)
    with inside(Options(clients=1)) as address:
        sock, link = dial(address)
        with sock:
            link.send(ConfigFile("nope"))
            sock.sendall(struct.pack("<HI", 5, 1 << 20))
            with contextlib.suppress(OSError):
                for _ in range(300):
                    sock.sendall(b"x")
                    time.sleep(0.1)
                pytest.fail("the client is still heard after 30 s")
        assert pixels(converse(address, SCAN)) == expected


def test_a_client_that_reads_nothing_before_it_has_sent_everything(server) -> None:
    """More goes back than the buffers between the two can hold: as many acquisitions, whitened, as were sent."""
    noise, line = itertools.islice(small_scan.acquisitions(), 2)
    large = ismrmrd.Acquisition(line.getHead(), np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32))
    large.resize(number_of_samples=8192, active_channels=len(noise.data))
    large.data[:] = 1
    sock, link = dial(server[:2])
    with sock:
        for message in [ConfigText(b'<configuration><gadget name="noise_adjust"/></configuration>'), OPENING[1], noise]:
            link.send(message)
        sock.sendall(encode(large) * 200)
        link.send(Close())
        assert len(list(link)) == 200 and 200 * large.data.nbytes >= 50 << 20


def test_kept_raw_data_is_reconstructed_from_a_pipe(tmp_path: Path, monkeypatch, expected: list[bytes]) -> None:
    def broken(scan, parameters):
        raise RuntimeError("broken")

    with inside(Options(keep_raw=tmp_path)) as address:
        monkeypatch.setattr(coil_combine, "start", broken)
        converse(address, SCAN)
    (kept,) = tmp_path.iterdir()
    command = forked("-m", "snrstream", "recon", "--from-stream", "--pipeline", "grappa_snr")
    with open(kept, "rb") as stdin:
        done = subprocess.run(command, stdin=stdin, env=ENVIRONMENT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert pixels(list(Decoder().receive(done.stdout))) == expected


def test_raw_data_of_scans_that_end_well_or_never_begin_is_not_kept(tmp_path: Path) -> None:
    with inside(Options(keep_raw=tmp_path)) as address:
        converse(address, SCAN)
        converse(address, [ConfigFile("nope")])
        converse(address, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "opening",
    [
        [ConfigFile("nope"), OPENING[1]],
        [ConfigFile("openrecon"), OPENING[1], Text('{"parameters": {"config": "nope"}}')],
    ],
)
def test_raw_data_of_a_scan_with_a_mistyped_pipeline_is_not_kept(tmp_path: Path, opening: list[Any]) -> None:
    with inside(Options(keep_raw=tmp_path)) as address:
        (error,) = converse(address, [*opening, *SCAN[len(OPENING) :]])
    assert "unknown pipeline 'nope'" in error.text
    assert list(tmp_path.iterdir()) == []


def test_raw_data_of_a_scan_with_a_pipeline_that_cannot_be_used_is_kept(tmp_path: Path) -> None:
    messages = [UNUSABLE, *SCAN[1:]]
    with inside(Options(keep_raw=tmp_path)) as address:
        (error,) = converse(address, messages)
    assert "unknown gadget 'nope'" in error.text
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"".join(map(encode, [*messages, Close()]))


def test_raw_data_of_a_client_that_died_is_kept_as_far_as_it_came(tmp_path: Path) -> None:
    with inside(Options(keep_raw=tmp_path)) as address:
        sock, link = dial(address)
        with sock:
            for message in SCAN[:10]:
                link.send(message)
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"".join(map(encode, SCAN[:10]))


def test_a_full_disk_where_raw_data_should_be_kept_costs_no_image(tmp_path: Path, expected, caplog) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:  # noqa: ARG002 as a file's
            raise OSError(28, os.strerror(28))

    with inside(Options(keep_raw=tmp_path)) as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdopen", lambda descriptor, *args, **kwargs: (os.close(descriptor), Full())[1])
        assert pixels(converse(address, SCAN)) == expected
    assert "raw data cannot be kept: No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_raw_data_that_a_full_disk_cut_short_is_kept_as_far_as_it_was_written(tmp_path: Path, caplog) -> None:
    messages = [UNUSABLE, *SCAN[1:], Close()]
    whole = b"".join(map(encode, messages))
    most = len(whole) // 2
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with inside(Options(keep_raw=tmp_path)) as address:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))  # for files, as a disk that fills
        try:
            (error,) = converse(address, messages[:-1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "unknown gadget 'nope'" in error.text
    (kept,) = tmp_path.iterdir()
    assert kept.suffix == ".mrd" and kept.read_bytes() == whole[:most]
    assert f"raw data kept in {kept}: no more than the first {most} of {len(whole)} bytes" in caplog.text


def test_raw_data_of_a_client_that_takes_no_image_is_kept_whole(tmp_path: Path, caplog) -> None:
    """Also what came while its images could not be sent."""
    noise, line = itertools.islice(small_scan.acquisitions(), 2)
    large = ismrmrd.Acquisition(line.getHead(), np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32))
    large.resize(number_of_samples=8192, active_channels=len(noise.data))
    messages = [ConfigText(b'<configuration><gadget name="noise_adjust"/></configuration>'), OPENING[1], noise]
    stream = b"".join(map(encode, messages)) + encode(large) * 200 + encode(Close())
    with inside(Options(keep_raw=tmp_path, patience=2)) as address:
        sock, _ = dial(address)
        with sock:
            sock.sendall(stream)
            for _ in range(300):
                if list(tmp_path.glob("*.mrd")):
                    break
                time.sleep(0.1)
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == stream
    assert "took nothing for 2 s" in caplog.text and f"raw data kept in {kept}\n" in caplog.text


def test_a_gadgetron_that_dialled_us_gets_its_error_message(server) -> None:
    xml = b'<configuration><gadget name="nope"/></configuration>'
    (answer,) = converse(server[:2], [ConfigText(xml), *SCAN[1:]])
    assert isinstance(answer, Fault) and "unknown gadget 'nope'" in answer.text


def test_a_failure_is_told_to_a_gadgetron_a_while_after_its_close(server) -> None:
    """Which may crash where it hears of one right as it closes."""
    sock, link = dial(server[:2])
    with sock:
        for message in [UNUSABLE, *SCAN[1:]]:
            link.send(message)
        closed_at = time.monotonic()
        link.send(Close())
        assert sock.recv(1) == b"\x08" and time.monotonic() - closed_at >= 0.03


@pytest.mark.parametrize("late", [False, True])
def test_a_gadgetron_too_many_gets_its_error_message(late: bool) -> None:
    """late: what tells that it is one comes as it has been refused already."""
    with inside(Options(clients=1)) as address:
        other, _ = dial(address)
        with other:
            sock, link = dial(address)
            with sock:
                time.sleep(ROOM_SECONDS + 0.5 if late else 0.0)
                for message in [
                    ConfigText(b'<configuration><gadget name="noise_adjust"/></configuration>'),
                    *SCAN[1:],
                    Close(),
                ]:
                    link.send(message)
                (fault,) = link
    assert isinstance(fault, Fault) and fault.text.startswith("snrstream: server is busy: it has 1 clients")


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Running]:
    """A server for 8 clients that may be silent for 4 s."""
    with running(tmp_path / "log", "--clients", 8, "--patience", 4) as found:
        yield found


def test_eight_clients_of_which_three_stall(few: Running, expected: list[bytes]) -> None:
    stalled = [dial(few.address) for _ in range(3)]
    # one after its first message, one among the data, one before CLOSE
    for (_, link), n_sent in zip(stalled, (1, 4, len(SCAN)), strict=True):
        for message in SCAN[:n_sent]:
            link.send(message)
    results: list[list[bytes]] = []
    threads = [
        threading.Thread(target=lambda: results.extend(pixels(converse(few.address, SCAN)) for _ in range(3)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 15
    for sock, link in stalled:
        with sock:
            *images, error = link
            assert isinstance(error, Text) and "sent nothing for 4 s; expected data or CLOSE" in error.text
    assert pixels(images) == expected  # of the one that sent all but CLOSE
    assert pixels(converse(few.address, SCAN)) == expected


def test_a_client_too_many_is_told_so_once_its_input_was_read(few: Running, expected: list[bytes]) -> None:
    others = [dial(few.address) for _ in range(8)]
    try:
        for _, link in others:
            link.send(SCAN[0])
        time.sleep(0.5)
        (error,) = converse(few.address, SCAN)
        assert isinstance(error, Text) and error.text.startswith("ERROR: server is busy: it has 8 clients")
    finally:
        for sock, _ in others:
            sock.close()
    assert pixels(converse(few.address, SCAN)) == expected


def test_sigterm_in_mid_scan(tmp_path: Path, expected: list[bytes]) -> None:
    """The scan that runs gets its images; nobody else is taken; the server ends with status 0."""
    with running(tmp_path / "log", python=fresh) as found:
        idle, _ = dial(found.address)
        sock, link = dial(found.address)
        with sock, idle:
            for message in SCAN[:10]:
                link.send(message)
            says(found.log, "scan with grappa_snr")
            found.process.send_signal(signal.SIGTERM)
            says(found.log, "stopping; 1 scans to finish")
            with pytest.raises(ConnectionRefusedError):
                dial(found.address)
            for message in [*SCAN[10:], Close()]:
                link.send(message)
            assert pixels(list(link)) == expected
            assert idle.recv(1) == b""
        assert found.process.wait(30) == 0


def test_many_scans_in_a_row_leave_nothing_behind(tmp_path: Path, expected: list[bytes]) -> None:
    """A short form of `make soak`: no descriptor stays open."""
    with running(tmp_path / "log", python=fresh) as found:
        folder = Path(f"/proc/{found.process.pid}/fd")
        for number in range(30):
            assert pixels(converse(found.address, SCAN)) == expected
            if number == 5:
                before = len(list(folder.iterdir()))
        for _ in range(600):  # the last one's are closed after its client was told
            if len(list(folder.iterdir())) <= before:
                break
            time.sleep(0.1)
        assert len(list(folder.iterdir())) <= before


def test_the_ismrmrd_packages_own_stream_is_understood(server, expected: list[bytes]) -> None:
    """Written by its ProtocolSerializer, read by its ProtocolDeserializer."""
    from ismrmrd.serialization import ConfigFile as TheirConfigFile
    from ismrmrd.serialization import ProtocolDeserializer, ProtocolSerializer

    with socket.create_connection(server[:2], timeout=30) as sock, sock.makefile("rwb") as stream:
        with ProtocolSerializer(stream) as writer:
            writer.serialize(TheirConfigFile("grappa_snr"))
            writer.serialize(ismrmrd.xsd.CreateFromDocument(small_scan.HEADER))
            for acquisition in small_scan.acquisitions():
                writer.serialize(acquisition)
        images = list(ProtocolDeserializer(stream).deserialize())
    assert [image.data.tobytes() for image in images] == expected
    assert all(np.isfinite(image.data).all() for image in images)
