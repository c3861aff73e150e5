"""Makes the items of an archive that are not there yet, in one process or several."""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from tqdm import tqdm

from snrstream.errors import ConfigurationError
from tools.training.archive import DONE, Entry, Pair, write_entry, write_pair

SECONDS_BETWEEN_LINES = 30


class Placed(Protocol):
    """What is to be made, and the folder for it."""

    @property
    def place(self) -> Path: ...


Task = TypeVar("Task", bound=Placed)
Result = TypeVar("Result")


def complete(tasks: Sequence[Task], make: Callable[[Task], Entry | Pair], n_workers: int, what: str) -> int:
    """Make and write every task whose folder is not finished; how many there were. what: for the progress bar."""
    missing = [task for task in tasks if not (task.place / DONE).is_file()]
    run(functools.partial(_make, make), missing, n_workers, what, n_done=len(tasks) - len(missing))
    return len(missing)


def run(
    function: Callable[[Task], Result], tasks: Sequence[Task], n_workers: int, what: str, n_done: int = 0
) -> list[Result]:
    """`function` of each task, with a progress bar; after the first error no further task is begun.

    Raises ConfigurationError where a process is killed.
    """
    results = []
    with (
        progress(total=n_done + len(tasks), initial=n_done, desc=what) as bar,
        _workers(min(n_workers, max(1, len(tasks)))) as mapped,
    ):
        for result in mapped(function, tasks):
            results.append(result)
            bar.update()
    return results


def progress(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """tqdm's bar on a terminal; elsewhere a plain line when it begins, and every half minute."""
    if not sys.stderr.isatty():
        options |= {"file": _Lines(), "mininterval": SECONDS_BETWEEN_LINES, "miniters": 1, "leave": False}
        options["bar_format"] = "{desc}: {n_fmt} of {total_fmt} in {elapsed}, {remaining} to go{postfix}"
    return tqdm(iterable, **options)


def write(place: Path, item: Entry | Pair) -> None:
    """Write to the folder `place`. Raises ConfigurationError where that fails."""
    with writing(place):
        if isinstance(item, Pair):
            write_pair(place, item)
        else:
            write_entry(place, item)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raises ConfigurationError, naming `place`, for what the system refuses."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{place} cannot be written: {error.strerror or error}") from None


class _Lines:
    """A file for tqdm, which moves the cursor: its texts as lines on stderr."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def _make(make: Callable[[Task], Entry | Pair], task: Task) -> None:
    write(task.place, make(task))


@contextmanager
def _workers(n_workers: int) -> Iterator[Callable[..., Iterable]]:
    """A `map` over `n_workers` processes; over this one where one is enough."""
    if n_workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(n_workers, get_context("spawn"), _begin)
    try:
        yield pool.map
    except KeyboardInterrupt:
        for process in active_children():
            process.terminate()
        raise
    except BrokenProcessPool:
        raise ConfigurationError("a process was killed; expected memory for each: fewer --workers take less") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Of a worker, which leaves it to its parent when to end, and ends with it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
