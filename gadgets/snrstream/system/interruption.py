"""SIGINT and SIGTERM end a command: what is open is closed, and the status tells of the signal."""

import contextlib
import signal
import threading
from collections.abc import Iterator

_here = threading.local()  # of the main thread, which answers signals: whether it may not be interrupted, and by what


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM has come.

    Parameters
    ----------
    number : int
        Of the signal.

    Attributes
    ----------
    name : str
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number, self.name = number, signal.Signals(number).name


def interrupt(number: int, _frame: object) -> None:
    """The handler of both signals. One that comes while this one is answered ends the process there and then.

    Raises
    ------
    Interrupted
        At once, or where `uninterrupted` ends.
    """
    if getattr(_here, "is_held", False):
        _here.number = number
        return
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    _here.raised = Interrupted(number)
    raise _here.raised


def what_interrupted() -> Interrupted | None:
    """What `interrupt` raised in this thread: a library that it came upon may have made another error of it."""
    return getattr(_here, "raised", None)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold `interrupt` back for what takes microseconds, and must be done in whole."""
    _here.is_held, _here.number = True, None
    try:
        yield
    finally:
        _here.is_held = False
    if _here.number is not None:
        interrupt(_here.number, None)


def interruptible() -> None:
    """Have both signals raise `Interrupted` in the main thread of this process, from where it is called."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)


def interrupted_status(exc: KeyboardInterrupt) -> int:
    """The status of a process that a signal ended, as shells have it: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + (exc.number if isinstance(exc, Interrupted) else signal.SIGINT)
