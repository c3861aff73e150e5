"""One way in: `recon` and `send` take raw data of every format, told by its content."""

import os
import sys
import threading
from pathlib import Path

import h5py
import ismrmrd
import mrd
import numpy as np
import pydicom
import pytest

import snrstream
from snrstream.cli.main import main
from snrstream.errors import ConfigurationError, ProtocolError, ScanError
from snrstream.hosts.conversation import Options
from snrstream.hosts.scan_source import open_scan
from snrstream.wire.encoder import encode
from snrstream.wire.messages import ConfigFile, Fault, Text
from tests import mrd2_streams
from tests.piped_scan import CLOSE, END_MARK, PipedScan

from .test_faults import inside
from .test_stream import assert_identical, read_images


@pytest.fixture(scope="module")
def brain(raw_scan) -> PipedScan:
    return PipedScan.of(raw_scan("brain_16ch_r3"))


@pytest.fixture(scope="module")
def folder_of_hdf5(raw_scan, tmp_path_factory) -> Path:
    """The outputs of the HDF5 file."""
    out = tmp_path_factory.mktemp("hdf5")
    assert main(["recon", str(raw_scan("brain_16ch_r3")), "--pipeline", "grappa_snr", "--output", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def of_hdf5(folder_of_hdf5) -> dict[str, list[ismrmrd.Image]]:
    """Its images."""
    return read_images(folder_of_hdf5)


def dicom(folder: Path) -> dict[str, dict]:
    """All that the files say, but when they were made."""
    found = {path.name: pydicom.dcmread(path) for path in (folder / "dicom").iterdir()}
    for dataset in found.values():
        for keyword in ("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"):
            delattr(dataset, keyword)
    return {name: dataset.to_json_dict() for name, dataset in found.items()}


def recon(path: Path, out: Path, *more: str) -> int:
    return main(["recon", str(path), "--pipeline", "grappa_snr", "--output", str(out), *more])


def waveform() -> ismrmrd.Waveform:
    return ismrmrd.Waveform.from_array(np.arange(6, dtype=np.uint32).reshape(2, 3), waveform_id=1)


@pytest.fixture(scope="module")
def streams(brain) -> dict[str, bytes]:
    """The scan in every format of a stream, also as a server keeps it: behind what its client sent before."""
    asides = encode(ConfigFile("grappa_denoise.xml"))
    messages = brain.version_1(0)
    header, items = mrd2_streams.read(brain.version_2(0))
    item = mrd.StreamItem.WaveformUint32(mrd.Waveform(waveform_id=1, data=np.ones((2, 3), np.uint32)))
    return {
        "messages": messages,
        "kept": asides + messages,
        "without CLOSE": asides + messages[: -len(CLOSE)],
        "with waveforms": asides + messages[: -len(CLOSE)] + encode(waveform()) + encode(Text("{}")) + CLOSE,
        "version 2": brain.version_2(0),
        "version 2 without its end mark": brain.version_2(0)[: -len(END_MARK)],
        "version 2 with waveforms": mrd2_streams.written(header, [*items, item]),
    }


@pytest.mark.parametrize(
    "kind",
    ["messages", "kept", "without CLOSE", "with waveforms", "version 2", "version 2 without its end mark",
     "version 2 with waveforms"],
)  # fmt: skip
def test_every_stream_gives_the_files_of_the_hdf5_file(
    folder_of_hdf5, of_hdf5, streams, kind: str, tmp_path, capfd
) -> None:
    path = tmp_path / "scan.h5"  # a name that says nothing
    path.write_bytes(streams[kind])
    assert recon(path, tmp_path / "out") == 0
    assert_identical(read_images(tmp_path / "out"), of_hdf5)
    assert {place.name for place in (tmp_path / "out").iterdir()} == {"images.h5", "dicom", "preview.png"}
    assert dicom(tmp_path / "out") == dicom(folder_of_hdf5) and len(list((tmp_path / "out/dicom").iterdir())) == 3
    assert (tmp_path / "out/preview.png").read_bytes() == (folder_of_hdf5 / "preview.png").read_bytes()
    without_end = "without" in kind
    assert ("scan.h5 ended without" in capfd.readouterr().err) == without_end


def test_a_named_pipe_is_read_as_it_comes(of_hdf5, streams, tmp_path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(streams["messages"]))
    writer.start()
    assert recon(path, tmp_path / "out") == 0
    writer.join()
    assert_identical(read_images(tmp_path / "out"), of_hdf5)


@pytest.mark.parametrize("kind", ["kept", "version 2"])
def test_send_takes_every_stream(server, of_hdf5, streams, kind: str, tmp_path) -> None:
    host, port, _ = server
    path = tmp_path / "kept.mrd"
    path.write_bytes(streams[kind])
    out = tmp_path / "out"
    address = ["--host", host, "--port", str(port)]
    assert main(["send", str(path), "--pipeline", "grappa_snr", *address, "--output", str(out)]) == 0
    assert_identical(read_images(out), of_hdf5)


def test_kept_raw_data_that_was_cut_short_gives_the_images_of_what_came(brain, of_hdf5, tmp_path, capfd) -> None:
    path = tmp_path / "kept.mrd"
    path.write_bytes(encode(ConfigFile("nope")) + brain.version_1(0, 1)[:-1000])
    assert recon(path, tmp_path / "out") == 0
    err = capfd.readouterr().err
    assert "kept.mrd: the stream ended inside this acquisition message" in err
    assert "kept.mrd ended without CLOSE: images are made of what has come" in err
    images = read_images(tmp_path / "out")
    assert_identical({series: found[:1] for series, found in images.items()}, of_hdf5)
    assert "1 of 43 image lines never arrived" in images["image_1"][1].meta["SNRSTREAM_warning"]


@pytest.mark.parametrize(
    ("end", "why"),
    [(b"\xff\xff garbage", "unknown message id 65535"), (encode(Fault("no coil")), "tells of a failure: no coil")],
)
def test_a_stream_that_breaks_off_gives_the_images_of_before_and_status_1(
    brain, of_hdf5, end: bytes, why: str, tmp_path, capfd
) -> None:
    path = tmp_path / "kept.mrd"
    first = brain.version_1(0)[: -len(CLOSE)]
    path.write_bytes(first + end)
    assert recon(path, tmp_path / "out") == 1
    out, err = capfd.readouterr()
    assert "3 images" in out and err.splitlines()[-1].startswith("snrstream: kept.mrd") and why in err
    assert "the images are of what came before" in err
    assert_identical(read_images(tmp_path / "out"), of_hdf5)


def test_send_of_a_stream_that_breaks_off_ends(server, brain, tmp_path, capfd) -> None:
    host, port, _ = server
    path = tmp_path / "kept.mrd"
    path.write_bytes(brain.version_1(0)[: -len(CLOSE)] + encode(Fault("no coil")))
    address = ["--host", host, "--port", str(port)]
    assert main(["send", str(path), "--pipeline", "grappa_snr", *address, "--output", str(tmp_path / "out")]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == (
        "snrstream: kept.mrd tells of a failure: no coil: the images are of what came before"
    )
    assert len(read_images(tmp_path / "out")) == 3


def test_a_scan_may_be_read_again(streams, raw_scan, tmp_path) -> None:
    path = tmp_path / "kept.mrd"
    for source in (raw_scan("brain_16ch_r3").read_bytes(), streams["with waveforms"], streams["version 2"]):
        path.write_bytes(source)
        with open_scan(path) as scan:
            first = list(scan.acquisitions())
            assert first == list(scan.acquisitions()) and len(first) == 60
            assert scan.header.encoding[0].trajectory.value == "cartesian"
    path.write_bytes(streams["with waveforms"])
    with open_scan(str(path)) as scan:
        assert list(scan.items())[60:] == [waveform()]


def test_hdf5_behind_a_block_of_the_users_and_in_another_group(raw_scan, tmp_path) -> None:
    path = tmp_path / "scan.mrd"
    path.write_bytes(b"hello".ljust(512) + raw_scan("brain_16ch_r3").read_bytes())
    with open_scan(path) as scan:
        assert scan.n_acquisitions == 60
    with pytest.raises(ScanError, match=r"scan\.mrd has no scan in group 'other'; expected one of its .*: dataset$"):
        open_scan(path, "other")


def renamed(source: Path, path: Path, *groups: str) -> Path:
    """A copy of an HDF5 file whose scan lies in each of these groups."""
    with h5py.File(source, "r") as theirs, h5py.File(path, "w") as ours:
        for group in groups:
            theirs.copy("dataset", ours, group)
    return path


@pytest.mark.parametrize("group", ["dataset_2", "patient/second scan"])
def test_the_only_group_is_taken_by_itself(of_hdf5, raw_scan, group: str, tmp_path) -> None:
    path = renamed(raw_scan("brain_16ch_r3"), tmp_path / "scan.h5", group)
    assert recon(path, tmp_path / "out") == 0
    assert_identical(read_images(tmp_path / "out"), of_hdf5)
    (image,) = snrstream.reconstruct(path, "grappa_snr", group=group)
    np.testing.assert_array_equal(image.image, of_hdf5["image_1"][0].data[0])


def test_of_several_groups_one_is_named_or_is_called_dataset(of_hdf5, raw_scan, tmp_path, capfd) -> None:
    several = renamed(raw_scan("brain_16ch_r3"), tmp_path / "several.h5", "dataset_1", "dataset_2")
    with h5py.File(several, "r+") as file:
        file["images/xml"] = b"no scan"
        del file["dataset_1/data"]
        renamed(raw_scan("brain_16ch_r1"), tmp_path / "other.h5", "scan")
        with h5py.File(tmp_path / "other.h5") as other:
            other.copy("scan", file["dataset_1"].parent, "dataset_3")
    assert recon(several, tmp_path / "out") == 1
    told = "several.h5 holds 2 scans, none in group 'dataset'; expected one of its groups: dataset_2, dataset_3"
    assert capfd.readouterr().err.splitlines()[-1].endswith(told)
    assert (
        main(
            [
                "recon",
                str(several),
                "--group",
                "dataset_2",
                "--pipeline",
                "grappa_snr",
                "--output",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert_identical(read_images(tmp_path / "out"), of_hdf5)
    usual = renamed(raw_scan("brain_16ch_r3"), tmp_path / "usual.h5", "dataset", "dataset_2")
    with open_scan(usual) as scan:
        assert scan.n_acquisitions == 60


def test_send_takes_a_group(of_hdf5, raw_scan, tmp_path) -> None:
    path = renamed(raw_scan("brain_16ch_r3"), tmp_path / "scan.h5", "a", "b")
    with inside(Options()) as (_, port):
        to = ["--port", str(port), "--pipeline", "grappa_snr", "--output", str(tmp_path / "out")]
        assert main(["send", str(path), "--group", "b", *to]) == 0
    assert_identical(read_images(tmp_path / "out"), of_hdf5)


def test_groups_that_cannot_be(raw_scan, streams, tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(streams["messages"])
    with pytest.raises(ScanError, match="a is no HDF5 file and has no group 'dataset'; expected none to be named"):
        open_scan(path, "dataset")
    with pytest.raises(ScanError, match="group is of <class 'int'>; expected a text"):
        open_scan(path, 5)
    with open_scan(path) as scan, pytest.raises(ScanError, match="group is 'a' for a scan that is open"):
        snrstream.reconstruct(scan, group="a")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["numbers"] = [1, 2]
    with pytest.raises(ScanError, match=r"empty\.h5 is no ISMRMRD file; expected a group with a header, xml, and acq"):
        open_scan(tmp_path / "empty.h5")


def test_what_is_no_raw_data(brain, tmp_path) -> None:
    path = tmp_path / "a"
    for data, error, text in [
        (b"", ScanError, "a is empty; expected an ISMRMRD HDF5 file"),
        (b"hello\n", ScanError, "a is no raw data; expected an ISMRMRD HDF5 file"),
        (CLOSE, ProtocolError, "a ends before an ISMRMRD header came"),
        (brain.version_2(0)[:100], ProtocolError, "the MRD v2 stream of a ends in the middle"),
    ]:
        path.write_bytes(data)
        with pytest.raises(error, match=text):
            open_scan(path)
    with pytest.raises(ScanError, match="nowhere does not exist; expected an ISMRMRD HDF5 file"):
        open_scan(tmp_path / "nowhere")
    with pytest.raises(ScanError, match="is a folder; expected an ISMRMRD HDF5 file"):
        open_scan(tmp_path)


def test_version_2_without_its_package(brain, tmp_path, monkeypatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(brain.version_2(0))
    monkeypatch.delitem(sys.modules, "snrstream.hosts.mrd2_stream", raising=False)
    monkeypatch.setitem(sys.modules, "mrd", None)
    with pytest.raises(ConfigurationError, match=r"a is an MRD v2 stream, .* pip install 'mrd-python"):
        open_scan(path)


def test_a_pipe_is_read_once(streams, tmp_path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(streams["messages"]))
    writer.start()
    with open_scan(path) as scan:
        assert len(list(scan.items())) == 60
        with pytest.raises(ProtocolError, match="is a pipe and can be read once; expected a file"):
            scan.items()
    writer.join()
