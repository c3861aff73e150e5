"""Long commands: tasks shared among processes, and how far they are."""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from snrstream.errors import ConfigurationError

SECONDS_BETWEEN_LINES = 30

Task = TypeVar("Task")
Result = TypeVar("Result")


def each(function: Callable[[Task], Result], tasks: Sequence[Task], n_workers: int) -> Iterator[Result]:
    """`function` of each task, in their order; in this process where one is enough, else in so many others.

    Those are spawned, for the threads of torch and ONNX Runtime do not survive a fork, use one thread of torch each,
    and end with this process. Raises ConfigurationError where one of them was killed.
    """
    n_workers = min(n_workers, len(tasks))
    if n_workers <= 1:
        yield from map(function, tasks)
        return
    pool = ProcessPoolExecutor(n_workers, get_context("spawn"), _begin)
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is told once, by this process
    try:
        results = pool.map(_unpacked, [pickle.dumps((function, task)) for task in tasks])
        signal.signal(signal.SIGINT, ours)
        yield from results
    except BrokenProcessPool:
        raise ConfigurationError(
            f"one of --workers {n_workers} was killed; expected memory for each: fewer take less"
        ) from None
    finally:
        signal.signal(signal.SIGINT, ours)
        for child in active_children():  # none of them has work that is still wanted
            child.terminate()
        pool.shutdown(cancel_futures=True)


def progress(items: Iterable[Any] | None = None, **options: Any) -> "tqdm[Any]":
    """A bar of tqdm's on a terminal; elsewhere a plain line when it begins, and every half minute."""
    if not sys.stderr.isatty():
        options |= {"file": _Lines(), "mininterval": SECONDS_BETWEEN_LINES, "miniters": 1, "leave": False}
        options["bar_format"] = "{desc}: {n_fmt} of {total_fmt} in {elapsed}, {remaining} to go{postfix}"
    return tqdm(items, **options)


class _Lines:
    """A file for tqdm, which moves the cursor: its texts as lines on stderr."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def _unpacked(packed: bytes) -> Any:
    """Packed here: else tensors go through shared memory, of which containers have little."""
    function, task = pickle.loads(packed)  # noqa: S301 - by `each`, in the parent process
    return function(task)


def _begin() -> None:
    """Of a worker, which leaves it to its parent when to end, and ends with it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
