"""Cases shared among processes."""

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch

from snrstream.errors import ConfigurationError

Case = TypeVar("Case")
Result = TypeVar("Result")


def each(function: Callable[[Case], Result], cases: Sequence[Case], n_workers: int) -> Iterator[Result]:
    """`function` of each case, in their order; in this process where one is enough, else in so many others.

    Those are spawned, for the threads of torch and ONNX Runtime do not survive a fork, and use one thread of torch
    each. Raises ConfigurationError where one of them was killed.
    """
    n_workers = min(n_workers, len(cases))
    if n_workers <= 1:
        yield from map(function, cases)
        return
    pool = ProcessPoolExecutor(n_workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))
    try:
        ours = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is told once, by this process
        results = pool.map(_unpacked, [pickle.dumps((function, case)) for case in cases])
        signal.signal(signal.SIGINT, ours)
        yield from results
    except BrokenProcessPool:
        raise ConfigurationError(
            f"one of --workers {n_workers} was killed; expected memory enough for so many"
        ) from None
    finally:
        for child in multiprocessing.active_children():  # none of them has work that is still wanted
            child.terminate()
        pool.shutdown(cancel_futures=True)


def _unpacked(packed: bytes) -> Result:
    """Packed here: else tensors go through shared memory, of which containers have little."""
    function, case = pickle.loads(packed)
    result: Result = function(case)
    return result
