"""How many threads a scan's reconstruction uses, and work that is spread over the cores."""

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Part = TypeVar("Part")

OF_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # what one that is loaded goes by

_lock = threading.RLock()
_limit: int | None = None  # of this process, None where nobody has set any
_n_inside = 0  # contexts of `limited_threads`
_outside: tuple[int | None, int, Any] = None, 1, None  # of the first of these: our limit, torch's number, BLAS


def limit_threads(n_threads: int) -> None:
    """From now on, let each thread of this process that computes for a scan use so many of torch, OpenMP and BLAS.

    One is the default everywhere: a frame takes the same time with one thread as with two (`tools/bench.py
    stream`), and where the cores are busy, with other clients or by the denoiser, two that wait for each
    other at every small step take several times as long. Large 3D scans may want more. ONNX Runtime has threads of
    its own.

    Parameters
    ----------
    n_threads : int
        For each scan.
    """
    global _limit
    _limit = n_threads
    os.environ.update(dict.fromkeys(OF_LIBRARIES, str(n_threads)))  # for those that are loaded later
    limit_scan()


@contextlib.contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """As `limit_threads`, as long as the context lasts: a notebook around it keeps its own numbers.

    What overlaps with it in other threads is limited alike. All of them get back what the first one found. A library
    that is loaded within is limited from the next scan on.

    Parameters
    ----------
    n_threads : int
        For each scan.
    """
    import torch
    from threadpoolctl import threadpool_limits

    global _limit, _n_inside, _outside
    with _lock:
        if _n_inside == 0:
            _outside = _limit, torch.get_num_threads(), threadpool_limits(n_threads, user_api="blas")
        _n_inside += 1
        _limit, (_, torch_before, _) = n_threads, _outside
    try:
        with threadpool_limits(n_threads, user_api="openmp"):  # of this thread
            torch.set_num_threads(n_threads)
            yield
    finally:
        torch.set_num_threads(torch_before)
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                _limit, _, blas = _outside
                blas.restore_original_limits()


def limit_scan() -> None:
    """Hold this thread, in which a scan begins, to the limit, and the libraries that are loaded by now."""
    if _limit is not None:
        from threadpoolctl import threadpool_limits

        threadpool_limits(_limit)
        limit_this_thread()


def limit_this_thread() -> None:
    """Hold this thread to the limit of the process, if it has one: OpenMP counts for each thread anew.

    torch passes its number on to other threads, but some of what it calls, such as its FFT and its matrix product,
    looks at OpenMP's own number, which is that of all cores in a new thread.
    """
    if _limit is not None:
        import torch

        torch.set_num_threads(_limit)


def spread(work: Callable[[Part], None], parts: Sequence[Part]) -> None:
    """Do parts of a work that do not depend on each other, on all usable cores where threads are limited.

    That is in our hosts and in the public API. All scans of the process share one thread for each core, whatever each
    may use itself, so that cores which idle help, and never more threads run than there are cores. Elsewhere, as in
    a notebook or in training, the calling thread does all.

    Parameters
    ----------
    work : callable
        Takes a part. It must not call `spread`.
    parts : sequence
        What it takes, the same on every machine, so that the result is.

    Raises
    ------
    Exception
        What the first part that fails raises.
    """
    if _limit is None or len(parts) == 1 or usable_cores() == 1:
        for part in parts:
            work(part)
        return
    with _lock:
        pool = _pool()
    for _ in pool.map(work, parts):
        pass


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(usable_cores(), "core", initializer=_single)


def _single() -> None:
    import torch

    torch.set_num_threads(1)
