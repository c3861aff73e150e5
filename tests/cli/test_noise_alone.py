"""A noise measurement alone, as a user has one in a file."""

import re
from pathlib import Path

import ismrmrd
import pytest

from snrstream.cli.main import main
from snrstream.noise import store
from snrstream.wire.scan_file import ScanFile

from ..end_to_end import conftest

running_server = conftest.server  # the fixture
KEEPS_NOISE = ["--pipeline", "default_measurement_dependencies"]


@pytest.fixture
def noise(raw_scan, tmp_path, monkeypatch):
    """A function that writes the noise of the shipped brain scan to a file, under an id or without one."""
    monkeypatch.setenv("SNRSTREAM_NOISE_STORE", str(tmp_path / "store"))

    def write(measurement: str | None) -> Path:
        path = tmp_path / "noise.h5"
        element = "" if measurement is None else f"<measurementID>{measurement}</measurementID>"
        with ScanFile(raw_scan("brain_16ch_r3")) as scan, ismrmrd.Dataset(str(path), "dataset") as out:
            out.write_xml_header(re.sub("<measurementID>.*?</measurementID>", element, scan.header_xml.decode()))
            out.append_acquisition(next(scan.acquisitions()))
        return path

    return write


def test_it_is_kept_and_asks_for_no_folder(noise, tmp_path, capfd) -> None:
    assert main(["recon", str(noise("7_7")), *KEEPS_NOISE]) == 0
    assert capfd.readouterr().out == "noise measurement kept as ID 7_7, for scans that name it\n"
    assert store.find("7_7") is not None
    assert sorted(place.name for place in tmp_path.iterdir()) == ["noise.h5", "store"]


def test_without_an_id_nothing_could_name_it(noise, capfd) -> None:
    assert main(["recon", str(noise(None)), *KEEPS_NOISE]) == 1
    assert "has no measurementID; expected the id by which its noise is kept" in capfd.readouterr().err


def test_one_that_cannot_be_kept_is_a_failure(noise, tmp_path, capfd) -> None:
    path = noise("7_7")
    (tmp_path / "store").write_text("no folder")
    assert main(["recon", str(path), *KEEPS_NOISE]) == 1
    warning, failure = capfd.readouterr().err.splitlines()
    assert "is not kept: " in warning and failure.startswith("snrstream: noise measurement of ")


def test_a_pipeline_of_images_points_to_the_right_one(noise, tmp_path, capfd) -> None:
    out = tmp_path / "out"
    assert main(["recon", str(noise("7_7")), "--output", str(out)]) == 1
    assert "alone is for the pipeline default_measurement_dependencies" in capfd.readouterr().err
    assert not out.exists()


def test_a_server_keeps_it_too(noise, tmp_path, capfd, running_server) -> None:
    address = ["--host", running_server[0], "--port", str(running_server[1])]
    assert main(["send", str(noise("8_8")), *KEEPS_NOISE, *address]) == 0
    assert "kept as ID 8_8 by the server" in capfd.readouterr().out
    assert "for scans that name ID 8_8" in running_server[2].read_text()
    assert main(["send", str(noise("8_8")), *address]) == 1
    assert "required: --output (see snrstream send --help)" in capfd.readouterr().err
    assert main(["send", str(noise("8_8")), *address, "--output", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    assert "alone is for the pipeline default_measurement_dependencies" in capfd.readouterr().err
