import subprocess

import h5py
import ismrmrd
import numpy as np
import pytest

from snrstream.errors import ScanError
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.scan_file import AT_ONCE, ScanFile
from tests.processes import forked


def test_the_same_acquisitions_as_ismrmrd_reads(raw_scan) -> None:
    path = raw_scan("brain_16ch_r1")
    with ScanFile(path) as scan, ismrmrd.Dataset(str(path), "dataset", mode="r") as dataset:
        assert scan.n_acquisitions == dataset.number_of_acquisitions() > 2 * AT_ONCE
        for number, acquisition in enumerate(scan.acquisitions()):
            assert acquisition == dataset.read_acquisition(number)


def test_trajectories(tmp_path) -> None:
    acquisition = ismrmrd.Acquisition.from_array(
        np.ones((2, 4), np.complex64), np.arange(12, dtype=np.float32).reshape(4, 3)
    )
    with ismrmrd.Dataset(str(tmp_path / "a.h5"), "dataset") as dataset:
        dataset.write_xml_header("<a/>")
        dataset.append_acquisition(acquisition)
    with ScanFile(tmp_path / "a.h5") as scan:
        assert list(scan.acquisitions()) == [acquisition]


def test_samples_in_a_file_are_plain_whatever_their_flags_say(tmp_path) -> None:
    """Sent on under the flag of a compression, they would be taken for compressed ones."""
    with ismrmrd.Dataset(str(tmp_path / "a.h5"), "dataset") as dataset:
        dataset.write_xml_header("<a/>")
        for number in range(1, 5):
            line = ismrmrd.Acquisition.from_array(np.ones((2, 4), np.complex64))
            line.set_flag(getattr(ismrmrd, f"ACQ_COMPRESSION{number}"))
            line.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
            dataset.append_acquisition(line)
    with ScanFile(tmp_path / "a.h5") as scan:
        lines = list(scan.acquisitions())
    assert [line.flags for line in lines] == 4 * [1 << (ismrmrd.ACQ_LAST_IN_SLICE - 1)]
    assert list(Decoder().receive(b"".join(map(encode, lines)))) == lines


def test_data_that_contradicts_its_header(tmp_path) -> None:
    with ismrmrd.Dataset(str(tmp_path / "a.h5"), "dataset") as dataset:
        dataset.write_xml_header("<a/>")
        dataset.append_acquisition(ismrmrd.Acquisition.from_array(np.ones((2, 4), np.complex64)))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        record = file["dataset/data"][0]
        record["head"]["number_of_samples"] = 5
        file["dataset/data"][0] = record
    with ScanFile(tmp_path / "a.h5") as scan, pytest.raises(ScanError, match="acquisition 0 of 1 does not fit"):
        list(scan.acquisitions())


def test_data_of_more_dimensions(tmp_path) -> None:
    with ismrmrd.Dataset(str(tmp_path / "a.h5"), "dataset") as dataset:
        dataset.write_xml_header("<a/>")
        dataset.append_acquisition(ismrmrd.Acquisition.from_array(np.ones((2, 4), np.complex64)))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        records = file["dataset/data"][:]
        del file["dataset/data"]
        file["dataset"].create_dataset("data", data=records.reshape(1, 1), dtype=records.dtype)
    with pytest.raises(ScanError, match=r"dataset/data has shape \(1, 1\); expected one dimension"):
        ScanFile(tmp_path / "a.h5")


READ_BY_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from snrstream.wire.scan_file import ScanFile

def read(number):
    with ScanFile(sys.argv[1]) as scan:
        return sum(1 for _, line in zip(range(60 if number % 2 else 1), scan.acquisitions()))

with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(read, range(200))))
"""


def test_files_may_be_read_by_several_threads(raw_scan) -> None:
    """In a process of its own, for h5py crashes where it is left alone."""
    command = forked("-c", READ_BY_THREADS, str(raw_scan("brain_16ch_r3")))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"{100 * 61}\n")
