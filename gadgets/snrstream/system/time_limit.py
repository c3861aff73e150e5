"""Work with a time limit, in a thread that is left behind where it does not end."""

import concurrent.futures
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .interruption import THREAD
from .threads import limit_this_thread

Result = TypeVar("Result")

GRACE_S = 1.0  # for work that was told to end, which takes until its present step is done

_here = threading.local()
_left_behind: list[tuple[str | None, threading.Thread]] = []  # under the keys that they bar
_lock = threading.Lock()


def cancel_when(given_up: concurrent.futures.Future[None]) -> None:
    """From now on, end the work of this thread's calls of `within` when it is given up.

    Parameters
    ----------
    given_up : concurrent.futures.Future[None]
        Done from the moment on at which nobody wants the work any more.
    """
    _here.given_up = given_up


def within(limit_s: float, key: str, work: Callable[[], Result], cancel: Callable[[], None]) -> Result:
    """Do work in a thread of its own, which may take only so long.

    After the limit, `cancel` tells the work to end. A thread that goes on for `GRACE_S` all the same is left behind,
    for no thread can be ended from outside. Until it ends by itself, work of the same `key` is refused, so that one
    scan after the other cannot pile up threads.

    Parameters
    ----------
    limit_s : float
        Seconds that it may take.
    key : str
        What it works with, such as a model.
    work : Callable[[], Result]
        What is done.
    cancel : Callable[[], None]
        Tells the work to end, from another thread than the work's.

    Returns
    -------
    Result
        What `work` returns.

    Raises
    ------
    TimeoutError
        After the limit.
    RuntimeError
        Where work is refused, or was given up by who called it (`cancel_when`).
    Exception
        What `work` raises.
    """
    with _lock:
        _left_behind[:] = [entry for entry in _left_behind if entry[1].is_alive()]
        if any(other == key for other, _ in _left_behind):
            raise RuntimeError("an earlier run that exceeded its time limit still goes on")
    given_up: concurrent.futures.Future[None] | None = getattr(_here, "given_up", None)
    if given_up is not None and given_up.done():
        raise RuntimeError("given up")
    answer: concurrent.futures.Future[Result] = concurrent.futures.Future()

    def run() -> None:
        try:
            limit_this_thread()
            answer.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it is raised again in the caller's thread
            answer.set_exception(exc)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    ends: list[concurrent.futures.Future[Any]] = [answer] if given_up is None else [answer, given_up]
    concurrent.futures.wait(ends, limit_s, concurrent.futures.FIRST_COMPLETED)
    if answer.done():
        return answer.result()
    cancel()
    unwanted = given_up is not None and given_up.done()
    worker.join(GRACE_S)
    if worker.is_alive():
        with _lock:
            _left_behind.append((None if unwanted else key, worker))  # what is unwanted ends by itself
    if unwanted:
        raise RuntimeError("given up")
    raise TimeoutError(f"no answer within {limit_s:g} s")


def leave(status: int) -> NoReturn:
    """End the process, without the destructors of C++ libraries where another thread still runs.

    It may compute with what they would destroy, or be ended by Python inside of C++: torch aborts then, and the status
    is lost.

    Parameters
    ----------
    status : int
        Of the process.
    """
    if all(thread is threading.current_thread() or thread.name == THREAD for thread in threading.enumerate()):
        sys.exit(status)
    logging.shutdown()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with contextlib.suppress(OSError, ValueError):  # closed, or its reader is gone
            stream.flush()
    os._exit(status)
