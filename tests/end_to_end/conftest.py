"""A real server in a process of its own."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "gadgets")}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> tuple[str, int, Path]:
    """Host and port of `snrstream serve`, and the file that its log goes to."""
    log = tmp_path_factory.mktemp("server") / "log"
    with open(log, "wb") as stderr:
        command = [sys.executable, "-m", "snrstream.cli", "serve", "--port", "0"]
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
        yield found[1], int(found[2]), log
    finally:
        process.terminate()
        process.wait(10)
    assert "Traceback" not in log.read_text()
