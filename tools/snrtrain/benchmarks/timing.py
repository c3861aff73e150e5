"""Times as ratios within one run, and the rows of the table they are printed in."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Run = Callable[[], object]

REST_SECONDS = 0.05


@dataclass(frozen=True)
class Row:
    """limit: the most that `value` should be; floor: the least. None where nothing was set."""

    what: str
    value: float
    limit: float | None = None
    floor: float | None = None

    def verdict(self) -> str:
        """What was expected of the value, and whether it was missed."""
        parts = []
        if self.limit is not None:
            parts.append(f"limit {self.limit:g}" + ("  MISSED" if self.value > self.limit else ""))
        if self.floor is not None:
            parts.append(f"at least {self.floor:g}" + ("  MISSED" if self.value < self.floor else ""))
        return "  ".join(parts)


def show(rows: Sequence[Row]) -> None:
    """Print the rows in columns."""
    width = max(len(row.what) for row in rows)
    for row in rows:
        print(f"{row.what:<{width}}  {row.value:8.2f}  {row.verdict()}".rstrip())


def seconds(run: Run, n: int = 5) -> float:
    """The minimum of n runs."""
    best = math.inf
    for _ in range(n):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def ratio(run: Run, bare: Run, n: int = 5, warm: int = 1, less: float = 0.0) -> float:
    """Minimum time of n runs of `run` over that of `bare`, taken in turn after `warm` untimed rounds.

    less: seconds that are taken off each time of `run`.
    """
    times = [(seconds(run, 1), seconds(bare, 2)) for _ in range(n + warm)][warm:]
    return (min(t for t, _ in times) - less) / min(b for _, b in times)


def rested(run: Run) -> float:
    """The time of one run after a rest."""
    time.sleep(REST_SECONDS)
    return seconds(run, 1)


def rested_ratio(run: Run, bare: Run, n: int = 15, warm: int = 2) -> float:
    """As `ratio`, for what ONNX Runtime runs: each run after a rest.

    A session's threads spin for a while after its run, and would take the time of another session.
    """
    times = [(rested(run), rested(bare)) for _ in range(n + warm)][warm:]
    return min(t for t, _ in times) / min(b for _, b in times)
