"""SIGINT and SIGTERM end a command: what is open is closed, and the status tells of the signal."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

KNOCK = signal.SIGURG  # which nobody else sends, and which does nothing where it has no handler
KNOCK_SECONDS = 0.5  # that the main thread has to answer

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
    """Have both signals raise `Interrupted` in the main thread of this process, from where it is called.

    Python looks at signals between its own steps, and where one breaks off a call to the system. One that comes just
    before such a call, or to another thread, breaks off nothing: it would be answered once the call returns, which for
    a silent peer is never. So a thread that hears of each signal sees to it that such a call is broken off.
    """
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    answers: list[int] = []
    signal.signal(KNOCK, lambda number, _: answers.append(number))
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    arguments = heard, answers, threading.get_ident()
    threading.Thread(target=_see_to_answers, args=arguments, name="signals", daemon=True).start()


def _see_to_answers(heard: int, answers: list[int], main: int) -> None:
    """After each signal, knock at the main thread until it answers the knock: it answers all that has come at once.

    heard: a descriptor that gives the numbers of signals, to its end. answers: grows with each answered knock.
    """
    with open(heard, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            n_before = len(answers)
            while number[0] != KNOCK:
                time.sleep(KNOCK_SECONDS)
                if len(answers) > n_before:
                    break
                signal.pthread_kill(main, KNOCK)


def interrupted_status(exc: KeyboardInterrupt) -> int:
    """The status of a process that a signal ended, as shells have it: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + (exc.number if isinstance(exc, Interrupted) else signal.SIGINT)
