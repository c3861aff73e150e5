"""A server of its own process, for who wants to try or measure one."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ..errors import ConnectionFailed

START_SECONDS = 60


@contextmanager
def server_process() -> Iterator[tuple[int, int]]:
    """Run `snrstream serve` on a free port of the loopback interface, as long as the context lasts.

    Yields
    ------
    port, pid : int
        Its TCP port, and the number of its process.

    Raises
    ------
    ConnectionFailed
        Where it does not listen in time.
    """
    with tempfile.TemporaryFile("w+b") as log:
        command = [sys.executable, "-m", "snrstream", "serve", "--port", "0"]
        process = subprocess.Popen(command, stderr=log)
        try:
            yield _wait_for_port(process, log), process.pid
        finally:
            process.terminate()
            process.wait()


def _wait_for_port(process: subprocess.Popen[bytes], log: IO[bytes]) -> int:
    """The port that the log of the process names. Raises ConnectionFailed where there is none in time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        log.seek(0)
        found = re.search(rb"listening on [\d.]+:(\d+)", log.read())
        if found:
            return int(found[1])
        time.sleep(0.1)
    log.seek(0)
    raise ConnectionFailed(f"the server did not start within {START_SECONDS} s: {log.read().decode().strip()}")
