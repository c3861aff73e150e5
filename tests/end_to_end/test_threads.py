"""How many threads a scan has where nobody says so: no variable of the environment, as Gadgetron starts us."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snrstream.hosts.client import send_scan
from snrstream.hosts.scan_source import open_scan
from tests.processes import fresh

from . import conftest

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# A gadget that tells what threadpoolctl finds in the thread in which it runs, before torch is asked, for that would
# change it: torch's FFT goes by OpenMP's number.
SPY = """
import dataclasses, json, os, pathlib
import threadpoolctl
from snrstream.gadgets.gadget import Gadget

AFTER = "coil_combine"

@dataclasses.dataclass(frozen=True)
class Parameters:
    '''None.'''

def start(scan, parameters):
    return Spy()

class Spy(Gadget):
    def take(self, item):
        pools = threadpoolctl.threadpool_info()
        told = {pool["user_api"] + " " + pool["filepath"]: pool["num_threads"] for pool in pools}
        pathlib.Path(os.environ["TOLD"]).write_text(json.dumps(told))
        return (item,)

    def end(self):
        return ()
"""
NAMES = "noise_adjust", "accumulate", "grappa", "coil_combine", "spy", "image_finish"
PIPELINE = "<configuration>" + "".join(f'<gadget name="{name}"/>' for name in NAMES) + "</configuration>"

API = """
import json, sys, threadpoolctl, torch, snrstream
from concurrent.futures import ThreadPoolExecutor
torch.set_num_threads(3)
numbers = lambda: {pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
before = numbers()
with ThreadPoolExecutor(2) as pool:
    two = [pool.submit(snrstream.reconstruct, sys.argv[1], sys.argv[2]) for _ in range(2)]
    assert all(len(scan.result()) == 1 for scan in two)
assert len(snrstream.reconstruct(sys.argv[1], sys.argv[2])) == 1
assert torch.get_num_threads() == 3
print(json.dumps([before, {library: numbers()[library] for library in before}]))
"""


@pytest.fixture
def spied(tmp_path, monkeypatch) -> Path:
    """The file that the gadget `spy` writes, in processes that have it as installed, and no limit of threads."""
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one core: libraries use one thread anyway")
    (tmp_path / "spy.py").write_text(SPY)
    (tmp_path / "spy-1.0.dist-info").mkdir()
    (tmp_path / "spy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1.0\n")
    (tmp_path / "spy-1.0.dist-info" / "entry_points.txt").write_text("[snrstream.gadgets]\nspy = spy\n")
    (tmp_path / "pipeline.xml").write_text(PIPELINE)
    (tmp_path / "none").mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES} | {
        "PYTHONPATH": os.pathsep.join([conftest.ENVIRONMENT["PYTHONPATH"], str(tmp_path)]),
        "SNRSTREAM_PIPELINES": str(tmp_path / "none"),  # a server that tries none is there sooner
        "TOLD": str(tmp_path / "told.json"),
    }
    monkeypatch.setattr(conftest, "ENVIRONMENT", environment)
    return tmp_path / "told.json"


def run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=conftest.ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_one_thread(told: Path) -> None:
    numbers = json.loads(told.read_text())
    assert {what.split()[0] for what in numbers} >= {"blas", "openmp"} and set(numbers.values()) == {1}, numbers


def test_a_client_of_the_server(spied, raw_scan) -> None:
    """Each has a thread of its own, which the limit of the first one does not reach."""
    with conftest.running(spied.with_name("log"), python=fresh) as server, open_scan(raw_scan("brain_16ch_r3")) as scan:
        assert send_scan(scan, *server.address, str(spied.with_name("pipeline.xml")), {})
    check_one_thread(spied)


def test_the_module_of_gadgetron(spied, raw_scan) -> None:
    log = spied.with_name("log")
    with (
        conftest.started_module(log, python=fresh) as (sock, process),
        open_scan(raw_scan("brain_16ch_r3")) as scan,
    ):
        assert conftest.exchange(sock, PIPELINE, scan.header_xml, list(scan.acquisitions()))
    assert process.returncode == 0, log.read_text()
    check_one_thread(spied)


def test_the_command_recon(spied, raw_scan) -> None:
    out = spied.with_name("out")
    run("-m", "snrstream", "recon", raw_scan("brain_16ch_r3"), "--pipeline", spied.with_name("pipeline.xml"),
        "--output", out)  # fmt: skip
    check_one_thread(spied)


def test_the_api_gives_a_notebook_its_threads_back(spied, raw_scan) -> None:
    """Also where two run at once."""
    printed = run("-c", API, raw_scan("brain_16ch_r3"), spied.with_name("pipeline.xml"))
    before, after = json.loads(printed)
    assert 3 in before.values() and after == before
    check_one_thread(spied)


def test_work_with_a_time_limit_has_the_threads_of_its_process(spied) -> None:
    """As a network of torch has, which runs in a thread of its own. A library comes after the limit was set."""
    script = (
        "import sys, threadpoolctl; from snrstream.system.threads import limit_threads;"
        "from snrstream.system.time_limit import within; limit_threads(1);"
        "assert 'scipy' not in sys.modules; import scipy.linalg;"
        "print({pool['num_threads'] for pool in within(30, 'work', threadpoolctl.threadpool_info, print)})"
    )
    assert run("-c", script).split() == ["{1}"]
