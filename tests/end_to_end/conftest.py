"""A real server in a process of its own."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "gadgets")}


@dataclass(frozen=True)
class Running:
    """`snrstream serve` in a process. address: host and port."""

    address: tuple[str, int]
    log: Path
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(log: Path, *arguments: object) -> Iterator[Running]:
    """A server with further arguments, until it is told to stop; it must not fail in between."""
    with open(log, "wb") as stderr:
        command = [sys.executable, "-m", "snrstream.cli", "serve", "--port", "0", *map(str, arguments)]
        process = subprocess.Popen(command, stderr=stderr, env=ENVIRONMENT)
    try:
        for _ in range(600):
            found = re.search(r"listening on ([\d.]+):(\d+)", log.read_text())
            if found:
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            pytest.fail(f"server did not start: {log.read_text()}")
        yield Running((found[1], int(found[2])), log, process)
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, int, Path]]:
    """Host and port of `snrstream serve`, and the file that its log goes to."""
    log = tmp_path_factory.mktemp("server") / "log"
    with running(log) as found:
        yield (*found.address, log)
