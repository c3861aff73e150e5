"""Start lines of processes in which our commands run: `python ...`, without the seconds that its imports take."""

import atexit
import functools
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("forked_python.py")


def fresh(*arguments: str) -> list[str]:
    """Where a test is about the process itself."""
    return [sys.executable, *arguments]


def forked(*arguments: str) -> list[str]:
    """In place of `fresh`, where a test is not about how a process starts.

    arguments: `-m MODULE ...`, `-c CODE ...` or `SCRIPT.py ...`. The process that is seen is not the one that works:
    it has its status and its standard streams, and passes on its signals, but not what /proc tells of it.
    """
    return [sys.executable, "-I", "-S", str(SCRIPT), "start", _address(), *arguments]


@functools.cache
def _address() -> str:
    """Where the process listens that forks; there is one for each process of the tests, until that ends."""
    folder = tempfile.TemporaryDirectory(prefix="snrstream-")
    address = f"{folder.name}/socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()  # so that nobody need wait until it is ready
        command = [sys.executable, "-P", str(SCRIPT), "serve", str(listener.fileno())]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[listener.fileno()]
        )

    def stop() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(stop)
    return address


def says(log: Path, text: str) -> None:
    """Wait until a log has `text`."""
    for _ in range(600):
        if text in log.read_text():
            return
        time.sleep(0.1)
    pytest.fail(log.read_text())
