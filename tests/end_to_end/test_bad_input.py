"""Whatever a user gets wrong: status 1, one clear line on stderr, no traceback."""

import os
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import ismrmrd
import pytest

from snrstream.cli.main import main
from snrstream.wire.scan_file import ScanFile

from .conftest import ENVIRONMENT


@pytest.fixture
def brain(raw_scan) -> Path:
    return raw_scan("brain_16ch_r3")


@pytest.fixture
def fails(capfd):
    """A function that runs a command, expects it to fail, and returns its one line."""

    def run(*arguments: object) -> str:
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as exc:
            status = exc.code
        captured = capfd.readouterr()
        lines = [line for line in captured.err.splitlines() if " INFO " not in line and " WARNING" not in line]
        assert status == 1, captured
        assert len(lines) == 1 and lines[0].startswith("snrstream: "), captured
        assert "internal error" not in lines[0] and captured.out == ""
        return lines[0]

    return run


@pytest.fixture
def recon_fails(fails, tmp_path):
    return lambda scan, pipeline="grappa_snr": fails(
        "recon", scan, "--pipeline", pipeline, "--output", tmp_path / "out"
    )


@pytest.fixture
def rewritten(brain, tmp_path):
    """A function that copies the brain scan with another header, or without some acquisitions."""

    def write(header=lambda xml: xml, keep=lambda acquisition: True) -> Path:
        path = tmp_path / "other.h5"
        path.unlink(missing_ok=True)
        with ScanFile(brain) as scan, ismrmrd.Dataset(str(path), "dataset") as out:
            out.write_xml_header(header(scan.header_xml.decode()))
            for acquisition in scan.acquisitions():
                if keep(acquisition):
                    out.append_acquisition(acquisition)
        return path

    return write


def test_files_that_are_no_scan(recon_fails, tmp_path, brain) -> None:
    assert "missing.h5 does not exist" in recon_fails(tmp_path / "missing.h5")
    assert "is a folder; expected an ISMRMRD HDF5 file, a stream" in recon_fails(tmp_path)
    text = tmp_path / "text.h5"
    text.write_text("hello")
    assert "text.h5 is no raw data; expected an ISMRMRD HDF5 file, a stream" in recon_fails(text)
    empty = tmp_path / "empty.h5"
    empty.touch()
    assert "empty.h5 is empty; expected" in recon_fails(empty)
    data = brain.read_bytes()
    for share in (0.01, 0.3, 0.5, 0.9, 0.999):
        cut = tmp_path / "cut.h5"
        cut.write_bytes(data[: int(share * len(data))])
        assert "cut.h5" in recon_fails(cut)


def test_damage_inside_the_file(tmp_path, brain, capfd) -> None:
    """Zeros over a stretch of the file end in an error of one line, or in images where they hit nothing vital."""
    data = brain.read_bytes()
    statuses = []
    for start in range(0, len(data) - 20_000, len(data) // 12):
        path = tmp_path / "damaged.h5"
        path.write_bytes(data[:start] + bytes(20_000) + data[start + 20_000 :])
        statuses.append(main(["recon", str(path), "--pipeline", "grappa_snr", "--output", str(tmp_path / "o")]))
        err = capfd.readouterr().err
        assert "Traceback" not in err and "internal error" not in err
    assert set(statuses) <= {0, 1} and 1 in statuses


def test_hdf5_without_a_scan(recon_fails, tmp_path, brain) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = [1, 2]
    assert "no ISMRMRD file" in recon_fails(path)
    shutil.copy(brain, path)
    with h5py.File(path, "r+") as file:
        del file["dataset/xml"]
    assert "header" in recon_fails(path)
    shutil.copy(brain, path)
    with h5py.File(path, "r+") as file:
        del file["dataset/data"]
    assert "holds no acquisitions" in recon_fails(path)
    with h5py.File(path, "r+") as file:
        file["dataset/data"] = [1, 2]
    assert "holds no acquisitions; expected head" in recon_fails(path)


def test_headers(recon_fails, rewritten) -> None:
    start, end = "<encoding>", "</encoding>"
    assert "not well-formed" in recon_fails(rewritten(lambda xml: xml[:500]))
    assert "no encoding section" in recon_fails(
        rewritten(lambda xml: xml[: xml.index(start)] + xml[xml.index(end) + len(end) :])
    )
    assert "trajectory is 'radial'" in recon_fails(rewritten(lambda xml: xml.replace(">cartesian<", ">radial<")))


def test_acquisitions(recon_fails, rewritten) -> None:
    noise, acs, both = 19, 20, 21
    assert "no image acquisitions" in recon_fails(rewritten(keep=lambda a: a.is_flag_set(noise)))
    assert "no noise measurement" in recon_fails(rewritten(keep=lambda a: not a.is_flag_set(noise)))
    assert "no ACS" in recon_fails(rewritten(keep=lambda a: not (a.is_flag_set(acs) or a.is_flag_set(both))))

    def short(a: ismrmrd.Acquisition) -> bool:
        return not (a.is_flag_set(acs) or a.is_flag_set(both)) or 60 <= a.idx.kspace_encode_step_1 < 68

    assert "ACS has 8 lines" in recon_fails(rewritten(keep=short))


def test_goes_on_without_noise_if_the_pipeline_says_so_loudly(rewritten, tmp_path, capfd) -> None:
    from snrstream.system.resources import folder

    xml = (folder("pipelines") / "grappa_snr.xml").read_text()
    loud = '<gadget name="noise_adjust"><property name="missing_noise" value="unwhitened"/></gadget>'
    pipeline = tmp_path / "raw.xml"
    pipeline.write_text(xml.replace('<gadget name="noise_adjust"/>', loud))
    scan = rewritten(keep=lambda a: not a.is_flag_set(19))
    assert main(["recon", str(scan), "--pipeline", str(pipeline), "--output", str(tmp_path / "o")]) == 0
    assert "NOT IN SNR UNITS" in capfd.readouterr().err
    with ismrmrd.Dataset(str(tmp_path / "o" / "images.h5"), "dataset", mode="r") as dataset:
        assert "NOT IN SNR UNITS" in dataset.read_image("image_1", 0).meta["SNRSTREAM_warning"]


def test_pipelines(recon_fails, brain, tmp_path) -> None:
    assert "unknown pipeline 'nope'; known:" in recon_fails(brain, "nope")
    assert "does not exist" in recon_fails(brain, "../pipelines/nope.xml")
    for xml, expected in [
        ("<configuration><gadget name='nope'/></configuration>", "unknown gadget 'nope'"),
        ("<configuration><gadget name='grappa'><property name='k' value='1'/></gadget></configuration>",
         "unknown property 'k'; known: kernel_e1"),
        ("<configuration><gadget name='noise_adjust'/></configuration>", "expected the gadget accumulate"),
        ("<configuration><gadget name='denoise'><property name='model' value='../x'/></gadget></configuration>",
         "not a plain name"),
    ]:  # fmt: skip
        path = tmp_path / "mine.xml"
        path.write_text(xml)
        assert expected in recon_fails(brain, path)


def test_output_folders(fails, brain, tmp_path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be made" in fails("recon", brain, "--output", tmp_path / "file")
    scan = tmp_path / "images.h5"
    shutil.copy(brain, scan)
    assert "overwrite the scan" in fails("recon", scan, "--output", tmp_path)


def test_a_full_disk(brain, tmp_path) -> None:
    """A limit on the size of files stands for the full disk: one line, status 1, and nothing half-written."""
    command = [sys.executable, "-m", "snrstream", "recon", str(brain), "--pipeline", "grappa_snr"]

    def fails(most: int, text: str) -> Path:
        out = tmp_path / str(most)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # noqa: E731
        failed = subprocess.run(
            [*command, "--output", str(out)], env=ENVIRONMENT, capture_output=True, text=True, preexec_fn=limit
        )
        assert failed.returncode == 1 and "Traceback" not in failed.stderr
        assert failed.stderr.splitlines()[-1].startswith(f"snrstream: {text}")
        return out

    assert not fails(10_000, "cannot write outputs").exists()
    out = fails(200_000, "no images.h5 in ")
    assert sorted(path.name for path in out.iterdir()) == ["dicom", "preview.png"]


def test_a_log_that_cannot_be_written_costs_no_image(brain, tmp_path) -> None:
    """Neither where nobody reads it any more, nor where its disk is full."""
    command = [sys.executable, "-m", "snrstream", "recon", str(brain), "--pipeline", "grappa_snr", "--output"]
    ours, theirs = os.pipe()
    os.close(ours)
    with open("/dev/full", "w") as full, open(theirs, "w") as gone:
        for number, stderr in enumerate((full, gone)):
            out = tmp_path / str(number)
            done = subprocess.run([*command, str(out)], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=stderr)
            assert done.returncode == 0 and b"3 images" in done.stdout and (out / "images.h5").is_file()


def test_arguments(fails, brain, tmp_path) -> None:
    assert "the following arguments are required" in fails()
    assert "invalid choice" in fails("reconstruct")
    assert "required: --output" in fails("recon", brain)
    assert "port is '99999'" in fails("serve", "--port", "99999")
    assert "port is 'x'" in fails("send", brain, "--port", "x", "--output", tmp_path)


def test_ports(fails, brain, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in fails("serve", "--port", port)
    out = ("--output", tmp_path / "o")
    assert f"cannot connect to server 127.0.0.1:{port}" in fails("send", brain, "--port", port, *out)
    assert "cannot connect to server no.such.host.invalid" in fails(
        "send", brain, "--host", "no.such.host.invalid", *out
    )
    assert "cannot listen on no.such.host.invalid" in fails("serve", "--host", "no.such.host.invalid")


def test_as_a_process_the_status_is_1() -> None:
    command = [sys.executable, "-m", "snrstream"]
    failed = subprocess.run(
        [*command, "recon", "no.h5", "--output", "o"], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1 and failed.stdout == ""
