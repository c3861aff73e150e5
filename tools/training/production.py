"""Makes the items of an archive that are not there yet, in one process or several."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from tqdm import tqdm

from tools.training.archive import DONE, Entry, Pair, write_entry, write_pair


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
    """`function` of each task, with a progress bar; after the first error no further task is begun."""
    results = []
    with (
        tqdm(total=n_done + len(tasks), initial=n_done, desc=what, disable=None) as bar,
        _workers(min(n_workers, max(1, len(tasks)))) as mapped,
    ):
        for result in mapped(function, tasks):
            results.append(result)
            bar.update()
    return results


def _make(make: Callable[[Task], Entry | Pair], task: Task) -> None:
    item = make(task)
    if isinstance(item, Pair):
        write_pair(task.place, item)
    else:
        write_entry(task.place, item)


@contextmanager
def _workers(n_workers: int) -> Iterator[Callable[..., Iterable]]:
    """A `map` over `n_workers` processes; over this one where one is enough."""
    if n_workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(n_workers, get_context("spawn"), torch.set_num_threads, (1,))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
