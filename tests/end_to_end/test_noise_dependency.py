"""A noise measurement of its own, then a scan that names it, through a server in another process."""

import socket
import threading
from pathlib import Path
from xml.sax import saxutils

import ismrmrd
import numpy as np
import pytest

from snrstream.cli.main import main
from snrstream.errors import ConnectionFailed
from snrstream.hosts.client import send_scan
from snrstream.hosts.link import Link
from snrstream.noise.query import noise_summary
from snrstream.system.resources import folder
from snrstream.wire.messages import Close, ConfigFile, ConfigText, Dependency, Header
from snrstream.wire.scan_file import ScanFile

from ..noise.test_noise_query import NOT_STORED, query

OWN_ID = "<measurementID>164128_1_1_3</measurementID>"
FLOAT32 = 1e-3  # of the largest value: sums in another order, in float32 and in all steps; 1.4e-4 was found


class Scan:
    """The shipped brain scan under other ids, with all or some of its acquisitions. written: as a file."""

    def __init__(self, path: Path) -> None:
        with ScanFile(path) as scan:
            self.xml = scan.header_xml.decode()
            acquisitions = list(scan.acquisitions())
        self.noise = [a for a in acquisitions if a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
        self.lines = [a for a in acquisitions if a not in self.noise]
        assert len(self.noise) == 1 and OWN_ID in self.xml

    def header(self, measurement: str, named: str | None = None) -> str:
        xml = self.xml.replace(OWN_ID, f"<measurementID>{saxutils.escape(measurement)}</measurementID>")
        if named is not None:
            dependency = (
                f"<measurementDependency><dependencyType>Noise</dependencyType><measurementID>{saxutils.escape(named)}"
                "</measurementID></measurementDependency></measurementInformation>"
            )
            xml = xml.replace("</measurementInformation>", dependency)
        return xml


@pytest.fixture(scope="module")
def brain(raw_scan) -> Scan:
    return Scan(raw_scan("brain_16ch_r3"))


@pytest.fixture
def send(server):
    """A function from a pipeline, a header and acquisitions to what the server answers."""

    def exchange(pipeline: str, header: str, acquisitions: list) -> list:
        first = ConfigText(pipeline.encode()) if pipeline.startswith("<") else ConfigFile(pipeline)
        return dialled(server, [first, Header(header.encode()), *acquisitions, Close()])

    return exchange


def dialled(server, messages: list) -> list:
    with socket.create_connection(server[:2], timeout=60) as sock:
        link = Link(sock, "server")
        for message in messages:
            link.send(message)
        return list(link)


def asked(server, measurement: str) -> bytes:
    (answer,) = dialled(server, [ConfigText(query(measurement)), Close()])
    assert isinstance(answer, Dependency)
    return answer.xml


def test_noise_first_then_the_scan_that_names_it(server, brain, send) -> None:
    """The images are those of the scan with its own noise, pixel for pixel."""
    assert asked(server, "1_1_1_100") == NOT_STORED
    assert send("default_measurement_dependencies.xml", brain.header("1_1_1_100"), brain.noise) == []
    assert asked(server, "1_1_1_100") == noise_summary(query("1_1_1_100")) != NOT_STORED
    later = send("grappa_denoise", brain.header("1_1_1_101", "1_1_1_100"), brain.lines)
    own = send("grappa_denoise", brain.header("1_1_1_101"), brain.noise + brain.lines)
    assert [image.image_series_index for image in own] == [1, 20, 2]
    for a, b in zip(later, own, strict=True):
        assert a.data.tobytes() == b.data.tobytes() and a.meta == b.meta and "SNRSTREAM_warning" not in a.meta


def test_channels_in_another_order(brain, send) -> None:
    """The later scan has its channels the other way round but one, with their labels."""
    order = [*reversed(range(15)), 15]
    header = brain.header("1_1_1_201", "1_1_1_200")
    for place, channel in enumerate(order):
        header = header.replace(f"<coilName>coil_{place}<", f"<coilName>new_{channel}<")
    header = header.replace("<coilName>new_", "<coilName>coil_")
    lines = [ismrmrd.Acquisition(line.getHead(), data=line.data[order]) for line in brain.lines]
    send("default_measurement_dependencies.xml", brain.header("1_1_1_200"), brain.noise)
    own = send("grappa_snr", brain.header("1_1_1_201"), brain.noise + brain.lines)
    later = send("grappa_snr", header, lines)
    unmatched = send("grappa_snr", brain.header("1_1_1_201", "1_1_1_200"), lines)
    assert [image.image_series_index for image in own] == [1, 20, 300]
    for a, b, wrong in zip(later, own, unmatched, strict=True):
        tolerance = FLOAT32 * np.abs(b.data).max()
        assert np.abs(np.abs(a.data) - np.abs(b.data)).max() <= tolerance
        assert np.abs(np.abs(wrong.data) - np.abs(b.data)).max() > tolerance


@pytest.mark.parametrize("named", ["1_1_1_300", "../../x", 10_000 * "x"])
def test_a_missing_dependency_travels_in_the_images(brain, send, named: str) -> None:
    images = send("grappa_denoise", brain.header("1_1_1_301", named), brain.lines)
    assert [image.image_series_index for image in images] == [1, 20, 2]
    assert images[2].meta["SNRSTREAM_denoised"] == "false"
    for image in images:
        told = image.meta["SNRSTREAM_warning"]
        text = told if isinstance(told, str) else told[0]
        assert text.startswith(f"NOT IN SNR UNITS: noise measurement '{named[:100]}' that the scan names is not stored")


def test_a_missing_dependency_is_an_error_if_the_pipeline_says_so(brain, send) -> None:
    pipeline = (folder("pipelines") / "grappa_snr.xml").read_text()
    strict = '<gadget name="noise_adjust"><property name="missing_dependency" value="error"/></gadget>'
    (answer,) = send(
        pipeline.replace('<gadget name="noise_adjust"/>', strict), brain.header("1_1_1_401", "1_1_1_400"), brain.lines
    )
    assert answer.text.startswith("ERROR: noise measurement '1_1_1_400' that the scan names is not stored here")


def written(path: Path, header: str, acquisitions: list) -> Path:
    with ismrmrd.Dataset(str(path), "dataset") as dataset:
        dataset.write_xml_header(header)
        for acquisition in acquisitions:
            dataset.append_acquisition(acquisition)
    return path


def test_the_commands_take_a_noise_measurement_alone(server, brain, tmp_path, capfd) -> None:
    """Status 0 and a line that says why there are no images; then the scan that names it, by `recon`."""
    host, port, _ = server
    noise = written(tmp_path / "noise.h5", brain.header("1_1_1_500"), brain.noise)
    whole = written(tmp_path / "whole.h5", brain.header("1_1_1_500"), brain.noise + brain.lines)
    later = written(tmp_path / "later.h5", brain.header("1_1_1_501", "1_1_1_500"), brain.lines)
    to = ["--host", host, "--port", str(port)]
    alone = tmp_path / "alone.xml"
    alone.write_text('<configuration><gadget name="noise_adjust"/></configuration>')
    dependencies = "default_measurement_dependencies"
    by_server = "no images: noise measurement, kept as ID 1_1_1_500 by the server, for scans that name it\n"
    for command, said in (
        (["send", noise, *to, "--pipeline", dependencies], by_server),
        (["send", whole, *to, "--pipeline", f"{dependencies}.xml"], by_server),
        (["send", noise, *to, "--pipeline", alone, "--output", tmp_path / "o"], by_server),
        (
            ["recon", noise, "--pipeline", dependencies],
            "noise measurement kept as ID 1_1_1_500, for scans that name it\n",
        ),
    ):
        assert main([str(part) for part in command]) == 0
        assert capfd.readouterr().out == said
        assert not (tmp_path / "o").exists() or not any((tmp_path / "o").iterdir())
    assert main(["recon", str(later), "--pipeline", "grappa_snr", "--output", str(tmp_path / "o")]) == 0
    assert "NOT IN SNR UNITS" not in capfd.readouterr().err
    assert main(["send", str(noise), *to, "--pipeline", "grappa_snr", "--output", str(tmp_path / "o")]) == 1
    assert "no image acquisitions" in capfd.readouterr().err


def test_no_images_of_an_image_scan_stay_an_error(brain, tmp_path) -> None:
    """Of a server that only closes: it may have failed without a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close_only() -> None:
            with listener.accept()[0] as sock:
                link = Link(sock, "client")
                for _ in link:
                    pass
                link.send(Close())

        thread = threading.Thread(target=close_only)
        thread.start()
        path = written(tmp_path / "scan.h5", brain.header("1"), brain.noise + brain.lines)
        with ScanFile(path) as scan, pytest.raises(ConnectionFailed, match="sent no images for 60 acquisitions"):
            send_scan(scan, "127.0.0.1", listener.getsockname()[1], "grappa_snr")
        thread.join()
