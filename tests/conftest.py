"""Fixtures shared by all tests."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ismrmrd
import pytest
import torch
from ismrmrd import xsd

from snrstream.mrd.header import parse_header
from snrstream.mrd.scan_file import ScanFile

from .storage import Storage, serving

# As one scan has: two threads that wait for each other at every small step make the tests twice as slow.
torch.set_num_threads(1)

# Before any test module reads the environment for its subprocesses: noise measurements of tests are not the user's.
STORE = tempfile.TemporaryDirectory(prefix="snrstream-noise-")
os.environ["SNRSTREAM_NOISE_STORE"] = STORE.name
os.environ.pop("GADGETRON_STORAGE_ADDRESS", None)

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data"


def pytest_unconfigure() -> None:
    STORE.cleanup()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with further raw data, from SNRSTREAM_TEST_DATA; it may not exist."""
    return Path(os.environ.get("SNRSTREAM_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def raw_scan(test_data: Path):
    """A function from a scan's name to its path, which skips the test where the scan is not at hand."""

    def find(name: str) -> Path:
        for folder in (SHIPPED, test_data):
            path = folder / f"{name}.h5"
            if path.is_file():
                return path
        pytest.skip(f"{name}.h5 is not at hand (SNRSTREAM_TEST_DATA is {test_data})")

    return find


@pytest.fixture(scope="session")
def read_scan(raw_scan):
    """A function from a scan's name to its parsed header and list of acquisitions."""

    def read(name: str) -> tuple[xsd.ismrmrdHeader, list[ismrmrd.Acquisition]]:
        with ScanFile(raw_scan(name)) as scan:
            return parse_header(scan.header_xml), list(scan.acquisitions())

    return read


@pytest.fixture
def storage(monkeypatch) -> Iterator[Storage]:
    """A storage server whose address the environment gives."""
    with serving() as server:
        monkeypatch.setenv("GADGETRON_STORAGE_ADDRESS", f"{server.address}/")
        yield server
