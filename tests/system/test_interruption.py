"""What a signal comes to where a library makes another error of it."""

import signal
import subprocess
import sys

import pytest

from snrstream.cli import main
from snrstream.errors import ScanError
from snrstream.system import interruption


@pytest.mark.parametrize("error", [ScanError("no such scan"), ImportError("initialization failed")])
def test_the_status_is_that_of_the_signal(error: Exception, monkeypatch, capsys) -> None:
    def results(_options):
        try:
            interruption.interrupt(signal.SIGINT, None)
        except KeyboardInterrupt:
            raise error from None

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(interruption, "_here", type("Here", (), {})())
    monkeypatch.setattr(main, "_results", results)
    try:
        assert main.main(["models", "list"]) == 130
    finally:
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)
    assert capsys.readouterr().err.splitlines()[-1] == "snrstream: interrupted by SIGINT"


LEAVING = """
import atexit, os, sys, threading
from snrstream.system.interruption import interruptible
from snrstream.system.time_limit import leave
def is_open(number):
    try:
        return bool(os.fstat(number))
    except OSError:
        return False
"""


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("interruptible(); atexit.register(print, 'orderly'); leave(3)", 3, "orderly"),
        ("os.close(0); os.close(1); interruptible(); leave(is_open(0) + is_open(1))", 0, ""),
        ("threading.Thread(target=threading.Event().wait, daemon=True).start(); sys.stdout = None; leave(3)", 3, ""),
    ],
    ids=["as ever", "stdin and stdout stay closed", "stdout closed, another thread"],
)
def test_a_process_that_can_be_interrupted_leaves_as_any_other(script: str, status: int, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVING + script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (status, said, "")
