"""Fixtures of the tests of hosts."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from snrstream.system import interruption

SIGNALS = (signal.SIGINT, signal.SIGTERM, interruption.KNOCK)


@pytest.fixture
def _interruptible(monkeypatch) -> Iterator[None]:
    """SIGINT and SIGTERM raise Interrupted in the test's thread, as in the processes that we start."""
    monkeypatch.setattr(interruption, "_here", threading.local())  # or the tests behind would seem interrupted
    monkeypatch.setattr(interruption, "KNOCK_SECONDS", 0.05)
    before = {each: signal.getsignal(each) for each in SIGNALS}
    others = threading.enumerate()
    interruption.interruptible()
    (watcher,) = set(threading.enumerate()) - set(others)
    yield
    os.close(signal.set_wakeup_fd(-1))
    watcher.join()  # or it might knock while another test waits
    for each, handler in before.items():
        signal.signal(each, handler)
