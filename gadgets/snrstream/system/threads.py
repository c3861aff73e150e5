"""How many threads one scan's reconstruction uses."""

from collections.abc import Iterator
from contextlib import contextmanager


def limit_threads(n_threads: int) -> None:
    """Limit torch's threads in this process; numba runs on the calling thread, ONNX Runtime has threads of its own.

    One is the default everywhere: a frame takes the same time with one thread as with two (`tools/bench.py
    stream`), and where the cores are busy, with other clients or by the denoiser, two that wait for each
    other at every small step take several times as long. Large 3D scans may want more.

    Parameters
    ----------
    n_threads : int
        For each scan.
    """
    import torch

    torch.set_num_threads(n_threads)


@contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """As `limit_threads`, as long as the context lasts: a notebook around it keeps its own number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
