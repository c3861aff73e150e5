"""Fixtures shared by all tests."""

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import ismrmrd
import pytest
from ismrmrd import xsd

from snrstream.wire.header import parse_header
from snrstream.wire.scan_file import ScanFile

from .storage import Storage, serving

# Before any test module reads the environment for its subprocesses: noise measurements of tests are not the user's.
STORE = tempfile.TemporaryDirectory(prefix="snrstream-noise-")
os.environ["SNRSTREAM_NOISE_STORE"] = STORE.name
os.environ.pop("GADGETRON_STORAGE_ADDRESS", None)
FURTHER_DATA = os.environ.pop("SNRSTREAM_TEST_DATA", "")  # no test finds it, but for those that ask for `test_data`

hypothesis.settings.register_profile("suite", deadline=None)  # a busy machine is no fault of an example
hypothesis.settings.load_profile("suite")

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "data"


def pytest_unconfigure() -> None:
    STORE.cleanup()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Tells each process of pytest-xdist, whose environment is ours, where further raw data is."""
    node.workerinput["further_data"] = FURTHER_DATA


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that need further raw data, before `-m` selects by the mark."""
    for item in items:
        if "test_data" in getattr(item, "fixturenames", ()):
            item.add_marker("needs_data")


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What a command that runs in this process, be it of a fixture for many tests, makes of the loggers ends there."""
    root = logging.getLogger()
    handlers = [handler for handler in root.handlers if not type(handler).__module__.startswith("snrstream.")]

    def reset() -> None:
        root.handlers[:] = handlers
        for name, level in (("", logging.WARNING), ("snrstream", logging.NOTSET), ("gadgetron", logging.NOTSET)):
            logging.getLogger(name).setLevel(level)

    reset()
    yield
    reset()


@pytest.fixture(scope="session")
def test_data(pytestconfig: pytest.Config) -> Path:
    """The folder with further raw data, named by SNRSTREAM_TEST_DATA; skips the test where it is not at hand.

    Of the whole session, so that it skips before fixtures of a module or a test start a process.
    """
    named = getattr(pytestconfig, "workerinput", {}).get("further_data", FURTHER_DATA)
    lacking = [part for part in ("captures", "gadgetron_4.7.2") if not (Path(named) / part).is_dir()]
    if not named or lacking:
        pytest.skip(f"further raw data is not at hand: SNRSTREAM_TEST_DATA is '{named}', without {', '.join(lacking)}")
    return Path(named)


@pytest.fixture(scope="session")
def raw_scan():
    """A function from a shipped scan's name to its path."""
    return lambda name: SHIPPED / f"{name}.h5"


@pytest.fixture(scope="session")
def read_scan(raw_scan):
    """A function from a shipped scan's name, or the path of another, to its parsed header and list of acquisitions."""

    def read(name: str | Path) -> tuple[xsd.ismrmrdHeader, list[ismrmrd.Acquisition]]:
        with ScanFile(name if isinstance(name, Path) else raw_scan(name)) as scan:
            return parse_header(scan.header_xml), list(scan.acquisitions())

    return read


@pytest.fixture
def storage(monkeypatch) -> Iterator[Storage]:
    """A storage server whose address the environment gives."""
    with serving() as server:
        monkeypatch.setenv("GADGETRON_STORAGE_ADDRESS", f"{server.address}/")
        yield server
