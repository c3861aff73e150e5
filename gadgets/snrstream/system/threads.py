"""How many threads one scan's reconstruction uses."""


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
