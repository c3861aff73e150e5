"""How far a long command is: a bar on a terminal, else a line at each tenth."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The items one by one, told on stderr once each is done with. what: they are."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what)
        return
    start = time.monotonic()
    for n, item in enumerate(items, 1):
        yield item
        if 10 * n // total > 10 * (n - 1) // total:
            print(f"{what}: {n} of {total}, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
