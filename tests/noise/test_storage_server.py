"""Noise measurements in a storage server."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from xml.sax import saxutils

import numpy as np
import pytest
from ismrmrd import xsd

from snrstream.noise import storage_server
from snrstream.noise.blob import encode_noise
from snrstream.wire.header import parse_header
from snrstream.wire.measurement import storage_tags

from ..noise_measurements import noise_measurement
from ..storage import serving

FLOAT32 = 1e-6  # of the largest variance: what rounding to complex float leaves


def header(measurement: str, subject: str = "", device: str = "", study: str = "") -> xsd.ismrmrdHeader:
    """A header with these ids, and empty elements for those that are not given."""
    subject = saxutils.escape(subject)
    return parse_header(
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        f"<subjectInformation><patientID>{subject}</patientID></subjectInformation>"
        f"<studyInformation><studyID>{study}</studyID></studyInformation>"
        f"<measurementInformation><measurementID>{measurement}</measurementID><patientPosition>HFS</patientPosition>"
        "</measurementInformation>"
        f"<acquisitionSystemInformation><deviceID>{device}</deviceID></acquisitionSystemInformation>"
        "<experimentalConditions><H1resonanceFrequency_Hz>1</H1resonanceFrequency_Hz></experimentalConditions>"
        "</ismrmrdHeader>"
    )


def test_what_is_stored_is_found_by_a_later_scan(storage) -> None:
    noise = noise_measurement(labels=("A", "B", "C", "D"))
    storage_server.keep("45387_1079885_1079904_343", noise, header("45387_1079885_1079904_343"))
    found = storage_server.find("45387_1079885_1079904_343", header("45387_1079885_1079904_349"))
    assert np.abs(found.covariance - noise.covariance).max() <= FLOAT32 * noise.covariance.real.max()
    assert found.labels == noise.labels and found.n_samples == noise.n_samples
    ((tags, body),) = storage.blobs
    assert body == encode_noise(noise)
    assert tags == {
        "subject": "1079885", "device": "45387", "session": "1079904", "name": "noise_covariance",
        "measurement": "45387_1079885_1079904_343", "_ttl": "172800s",
    }  # fmt: skip
    assert storage.paths[1] == (
        "/v1/blobs/data/latest?subject=1079885&device=45387&session=1079904&name=noise_covariance"
        "&measurement=45387_1079885_1079904_343"
    )
    assert storage_server.find("45387_1079885_1079904_343", None) is not None


@pytest.mark.parametrize(
    ("of_scan", "expected"),
    [
        (header("m", subject="S", device="D", study="T"), {"subject": "S", "device": "D", "session": "T"}),
        (header("m", subject="S & T?#"), {"subject": "S & T?#"}),
        (header("d_s_t_1", subject="S"), {"subject": "S", "device": "d", "session": "t"}),
        (header("d__t_1"), {"device": "x", "subject": "y", "session": "z"}),
        (header("m"), {"device": "x", "subject": "y", "session": "z"}),
    ],
)
def test_tags_are_gadgetrons(storage, of_scan, expected) -> None:
    storage_server.keep("x_y_z_1", noise_measurement(), of_scan)
    ((tags, _),) = storage.blobs
    common = {"name": "noise_covariance", "measurement": "x_y_z_1", "_ttl": "172800s"}
    assert tags == expected | common


@pytest.mark.parametrize(
    ("measurement", "device", "subject", "session"),
    [
        ("45387_1_2_3", "45387", "1", "2"),
        ("a b_c.d-e_f_4", "a b", "c.d-e", "f"),
        ("d_s_t_", "d", "s", "t"),
        ("_s__", None, "s", None),
        ("__t_1", None, None, None),
        ("a_b_c", None, None, None),
        ("a_b_c_d_e", None, None, None),
        ("simulated", None, None, None),
    ],
)
def test_an_id_has_four_parts_as_gadgetrons_expression_has_it(measurement, device, subject, session) -> None:
    """What std::regex finds by `^([^_]*)_([^_]*)_([^_]*)_([^_]*)$`, in the scan's own id and in that of another."""
    known = {"device": device, "subject": subject, "session": session}
    expected = {name: value for name, value in known.items() if value}
    assert storage_tags(header(measurement), "other") == storage_tags(None, measurement) == expected


def test_without_a_subject_nothing_is_sent(storage) -> None:
    storage_server.keep("m", noise_measurement(), header("m", device="D"))
    assert storage_server.find("m", header("n")) is None
    assert storage.paths == []


def test_without_an_address_nothing_is_sent(monkeypatch) -> None:
    monkeypatch.delenv("GADGETRON_STORAGE_ADDRESS", raising=False)
    storage_server.keep("d_s_t_1", noise_measurement(), header("d_s_t_1"))
    assert storage_server.find("d_s_t_1", None) is None


def both(caplog) -> list[str]:
    """The warnings of storing and of looking up."""
    texts = []
    for call in (
        lambda: storage_server.keep("d_s_t_1", noise_measurement(), header("d_s_t_1")),
        lambda: storage_server.find("d_s_t_1", header("d_s_t_2")),
    ):
        caplog.clear()
        assert call() is None
        texts.append(caplog.text)
    return texts


@pytest.mark.parametrize(
    "address",
    ["file:///etc", "ftp://localhost", "localhost:9112", "http://", "http://[", "http://a b:1",
     "http://127.0.0.1:99999", "http://no.such.host.invalid:1"],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_a_warning(address: str, monkeypatch, caplog) -> None:
    monkeypatch.setenv("GADGETRON_STORAGE_ADDRESS", address)
    stored, found = both(caplog)
    assert "could not store" in stored and "could not find" in found


def test_a_server_that_is_gone_is_a_warning(monkeypatch, caplog) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("GADGETRON_STORAGE_ADDRESS", f"http://127.0.0.1:{port}")
    for text in both(caplog):
        assert "Connection refused" in text


def test_nothing_stored_and_garbage_are_warnings(storage, caplog) -> None:
    assert storage_server.find("d_s_t_1", header("d_s_t_2")) is None
    assert "HTTP Error 404" in caplog.text
    storage.answer = b"<html>"
    assert storage_server.find("d_s_t_1", header("d_s_t_2")) is None
    assert "storage server holds something else under noise measurement 'd_s_t_1'" in caplog.text


def test_an_answer_without_end_is_a_warning(storage, monkeypatch, caplog) -> None:
    monkeypatch.setattr(storage_server, "MOST_BYTES", 1 << 20)
    storage.answer = bytes(1 << 22)
    assert storage_server.find("d_s_t_1", None) is None
    assert "its answer exceeds 1 MiB" in caplog.text


def test_it_goes_nowhere_else(storage, monkeypatch, caplog) -> None:
    """Neither to where the server redirects to, nor to a proxy of the environment."""
    with serving() as other:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, other.address)
        storage.answer, storage.status, storage.location = b"", 302, f"{other.address}/v1/blobs/data/latest"
        assert storage_server.find("d_s_t_1", None) is None
        assert "HTTP Error 302" in caplog.text
        storage_server.keep("d_s_t_1", noise_measurement(), header("d_s_t_1"))
        assert other.paths == [] and len(storage.paths) == 2


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_server_that_does_not_answer_is_given_up(drip: bytes, monkeypatch, caplog) -> None:
    """Silent, or a byte now and then for ever."""
    monkeypatch.setattr(storage_server, "LIMIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("GADGETRON_STORAGE_ADDRESS", f"http://127.0.0.1:{listener.getsockname()[1]}")

        def slow() -> None:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.sendall(drip)
                while True:
                    time.sleep(0.1)
                    if drip:
                        sock.sendall(b"x")
                    elif not sock.recv(1 << 16):
                        return

        thread = threading.Thread(target=slow)
        thread.start()
        assert storage_server.find("d_s_t_1", None) is None
        thread.join()
    assert "timed out" in caplog.text or "no answer within 0.5 s" in caplog.text


LONGEST_WAIT_S = 3.0  # of a patient in the scanner, for a service that the scan can do without
BUSY_S = 5.0  # margin for a busy machine


@contextlib.contextmanager
def dripping() -> Iterator[socket.socket]:
    """A server that takes everything and answers a byte every tenth of a second, without end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while True:
                    time.sleep(0.1)
                    sock.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        yield listener
        thread.join()


@contextlib.contextmanager
def full() -> Iterator[socket.socket]:
    """A server whose queue is full: to connect to it takes as long as one waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener


@pytest.mark.parametrize("server", [dripping, full])
def test_a_scan_waits_three_seconds_at_most(server: Callable, monkeypatch, caplog) -> None:
    with server() as listener:
        monkeypatch.setenv("GADGETRON_STORAGE_ADDRESS", f"http://127.0.0.1:{listener.getsockname()[1]}")
        start = time.monotonic()
        storage_server.keep("d_s_t_1", noise_measurement(), header("d_s_t_1"))
        assert time.monotonic() - start < LONGEST_WAIT_S + BUSY_S
    assert "could not store noise measurement 'd_s_t_1'" in caplog.text
