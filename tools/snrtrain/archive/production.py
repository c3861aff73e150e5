"""Makes the items of an archive that are not there yet, in one process or several."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import DONE, Entry, Pair, write_entry, write_pair
from snrtrain.work import each, progress


class Placed(Protocol):
    """What is to be made, and the folder for it."""

    @property
    def place(self) -> Path:
        """The folder."""


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
    with progress(total=n_done + len(tasks), initial=n_done, desc=what) as bar:
        for result in each(function, tasks, n_workers):
            results.append(result)
            bar.update()
    return results


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


def _make(make: Callable[[Task], Entry | Pair], task: Task) -> None:
    write(task.place, make(task))
