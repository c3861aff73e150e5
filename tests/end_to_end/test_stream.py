"""Scans through the socket."""

import socket
import threading
import time
from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from snrstream.cli.main import main
from snrstream.errors import ConnectionFailed
from snrstream.hosts.client import send_scan
from snrstream.hosts.link import Link
from snrstream.system.resources import folder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigFile, ConfigText, Header, Query, Response, Text
from snrstream.wire.scan_file import ScanFile
from snrtrain.benchmarks import small_scan


def read_images(path: Path) -> dict[str, list[ismrmrd.Image]]:
    with ismrmrd.Dataset(str(path / "images.h5"), "dataset", mode="r") as dataset:
        groups = sorted(name for name in dataset.list() if name.startswith("image_"))
        return {g: [dataset.read_image(g, n) for n in range(dataset.number_of_images(g))] for g in groups}


def assert_identical(left: dict, right: dict) -> None:
    assert left.keys() == right.keys()
    for group, images in left.items():
        for a, b in zip(images, right[group], strict=True):
            assert a.data.dtype == b.data.dtype
            assert a.data.tobytes() == b.data.tobytes()
            assert a.meta == b.meta
            assert bytes(a.getHead()) == bytes(b.getHead())


def test_the_models_are_ready_before_the_server_listens(server) -> None:
    _, _, log = server
    before, listening, _ = log.read_text().partition("server: listening on")
    assert listening and "model snraware 1.0.0 is ready on " in before


@pytest.mark.parametrize("pipeline", ["grappa_snr", "grappa_denoise"])
def test_recon_and_send_give_bit_identical_images(server, raw_scan, tmp_path, pipeline: str, capfd) -> None:
    host, port, _ = server
    scan = str(raw_scan("brain_16ch_r3"))
    assert main(["recon", scan, "--pipeline", pipeline, "--output", str(tmp_path / "a")]) == 0
    to = ["--host", host, "--port", str(port)]
    assert main(["send", scan, *to, "--pipeline", pipeline, "--output", str(tmp_path / "b")]) == 0
    here, there = read_images(tmp_path / "a"), read_images(tmp_path / "b")
    expected = {
        "grappa_snr": ["image_1", "image_20", "image_300"],
        "grappa_denoise": ["image_1", "image_2", "image_20"],
    }
    assert sorted(here) == sorted(expected[pipeline])
    assert_identical(here, there)
    for side in ("a", "b"):
        assert len(list((tmp_path / side / "dicom").glob("*.dcm"))) == 3
        assert (tmp_path / side / "preview.png").is_file()
    assert "3 images" in capfd.readouterr().out


def test_a_configuration_sent_whole(server, raw_scan) -> None:
    host, port, _ = server
    file = folder("pipelines") / "grappa_snr.xml"
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        by_file = send_scan(scan, host, port, str(file))
        by_name = send_scan(scan, host, port, "grappa_snr.xml")
    for a, b in zip(by_file, by_name, strict=True):
        assert a.image.data.tobytes() == b.image.data.tobytes()


def test_properties_that_a_user_sets_are_the_same_from_a_file_and_through_a_server(server, raw_scan, tmp_path) -> None:
    host, port, _ = server
    settings = ["--set", "alpha_by_g=1:0.5 2:0.1", "--set", "residual=true", "--set", "output=magnitude"]
    scan = str(raw_scan("brain_16ch_r3"))
    assert main(["recon", scan, *settings, "--output", str(tmp_path / "a")]) == 0
    address = ["--host", host, "--port", str(port)]
    assert main(["send", scan, *address, *settings, "--output", str(tmp_path / "b")]) == 0
    here, there = (read_images(tmp_path / side) for side in "ab")
    assert_identical(here, there)
    assert sorted(here) == ["image_1", "image_2", "image_20", "image_3"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("alpha", "setting is 'alpha'; expected KEY=VALUE"),
        ("alfa=0", "unknown property 'alfa' for grappa_denoise; its gadgets have: noise_adjust: missing_noise, "),
        ("alpha=2", "gadget denoise: alpha is 2.0; expected a number from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_one_line_from_a_file_and_through_a_server(
    server, raw_scan, tmp_path, capsys, setting, message
) -> None:
    host, port, _ = server
    for command in (["recon"], ["send", "--host", host, "--port", str(port)]):
        arguments = [str(raw_scan("brain_16ch_r3")), "--set", setting, "--output", str(tmp_path / "out")]
        try:
            status = main([*command, *arguments])
        except SystemExit as exc:
            status = exc.code
        assert status == 1 and message in capsys.readouterr().err.splitlines()[-1]


def test_four_clients_at_once(server, raw_scan) -> None:
    host, port, _ = server
    results: list[bytes] = []

    def one() -> None:
        with ScanFile(raw_scan("brain_16ch_r3")) as scan:
            results.append(send_scan(scan, host, port, "grappa_snr")[0].image.data.tobytes())

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and len(set(results)) == 1


def dial(server) -> tuple[socket.socket, Link]:
    sock = socket.create_connection(server[:2], timeout=30)
    return sock, Link(sock, "server", patience=30)


@pytest.mark.parametrize("pipeline", ["isalive", "grappa_denoise", "default_measurement_dependencies"])
def test_who_waits_for_the_answer_to_a_query_gets_it(server, pipeline) -> None:
    sock, link = dial(server)
    scan = [Header(small_scan.HEADER), *small_scan.acquisitions()] if pipeline != "isalive" else []
    with sock:
        answers = iter(link)
        for number, message in enumerate([ConfigFile(pipeline), *scan[:3]]):
            link.send(message)
            link.send(Query(number, "gadgetron::version"))
            assert next(answers).id == number
        for message in [*scan[3:], Query(99, "gadgetron::version"), Close()]:
            link.send(message)
        kinds = [type(answer) for answer in answers]
    assert Text not in kinds and kinds.count(Response) == 1
    assert kinds.count(ismrmrd.Image) == (3 if pipeline == "grappa_denoise" else 0)


def preamble(scan: ScanFile, pipeline: str = "grappa_snr") -> list:
    return [ConfigFile(pipeline), Header(scan.header_xml)]


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([ConfigFile("../secret")], "not a plain name"),
        ([ConfigFile("nope")], "unknown pipeline 'nope'"),
        ([ConfigText(b"<configuration><stream><gadget name='x'/></stream></configuration>")], "unknown gadget 'x'"),
        ([Header(b"<a/>")], "Header begins the session; expected a configuration"),
        ([ConfigFile("grappa_snr"), Text("hello")], "Text after the configuration; expected the ISMRMRD header"),
        ([ConfigFile("grappa_snr"), Header(b"<a/>")], "root element 'a'"),
    ],
)
def test_what_is_wrong_reaches_the_client_after_its_input_was_read(server, messages, match) -> None:
    sock, link = dial(server)
    with sock:
        for message in messages:
            link.send(message)
        sock.sendall(bytes(encode(Text("x" * 100_000)) * 20))  # a client that is still sending
        link.send(Close())
        (answer,) = link
    assert answer.text.startswith("ERROR") and match in answer.text


def test_bytes_that_are_no_messages(server) -> None:
    sock, link = dial(server)
    with sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        (answer,) = link
    assert answer.text.startswith("ERROR: unknown message id 17735")


def test_an_image_leaves_before_the_next_repetition_is_sent(server, raw_scan) -> None:
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        acquisitions = list(scan.acquisitions())
        sock, link = dial(server)
        with sock:
            for message in [*preamble(scan), *acquisitions]:
                link.send(message)
            first = [next(iter(link)) for _ in range(3)]
            assert [image.image_series_index for image in first] == [1, 20, 300]
            for acquisition in acquisitions[1:]:
                acquisition.idx.repetition = 1
                link.send(acquisition)
            link.send(Close())
            second = list(link)
    assert [image.repetition for image in second] == [1, 1, 1]
    assert np.array_equal(first[0].data, second[0].data)


def a_server_that_hangs_up(after_bytes: int, answer: bytes = b"") -> int:
    listener = socket.create_server(("127.0.0.1", 0))

    def once() -> None:
        with listener, listener.accept()[0] as sock:
            left = after_bytes
            while left > 0:
                left -= len(sock.recv(min(left, 65536)))
            if answer:
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass

    threading.Thread(target=once, daemon=True).start()
    return listener.getsockname()[1]


class SlowScan(ScanFile):
    def acquisitions(self):
        for number, acquisition in enumerate(super().acquisitions()):
            if number == 10:
                time.sleep(1.5)
            yield acquisition


def test_a_server_that_takes_half_the_scan_and_calls_it_done(raw_scan) -> None:
    image = ismrmrd.Image.from_array(np.zeros((4, 4), np.float32), transpose=False)
    port = a_server_that_hangs_up(100_000, encode(image) + encode(Close()))
    with SlowScan(raw_scan("brain_16ch_r3")) as scan, pytest.raises(ConnectionFailed, match="and 1 images; expected"):
        send_scan(scan, "127.0.0.1", port, "grappa_snr")


def test_a_client_that_goes_on_after_close_still_gets_its_images(server, raw_scan) -> None:
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        sock, link = dial(server)
        with sock:
            for message in [*preamble(scan), *scan.acquisitions(), Close()]:
                link.send(message)
            sock.sendall(bytes(2_000_000))
            assert len(list(link)) == 3


@pytest.mark.parametrize("after_bytes", [1, 1026, 6000, 400_000])
def test_server_gone_in_mid_scan(raw_scan, tmp_path, capfd, after_bytes: int) -> None:
    port = a_server_that_hangs_up(after_bytes)
    scan = str(raw_scan("brain_16ch_r3"))
    status = main(["send", scan, "--port", str(port), "--pipeline", "grappa_snr", "--output", str(tmp_path / "o")])
    (line,) = capfd.readouterr().err.splitlines()
    assert status == 1
    assert line.startswith(f"snrstream: server 127.0.0.1:{port} went away") and "0 images received" in line


def test_an_answer_cut_short(raw_scan) -> None:
    port = a_server_that_hangs_up(1026, encode(Text("hi")) + b"\xfe\x03half an image")
    with (
        ScanFile(raw_scan("brain_16ch_r3")) as scan,
        pytest.raises(ConnectionFailed, match="ended inside this image message"),
    ):
        send_scan(scan, "127.0.0.1", port, "grappa_snr")
