"""Answers to the questions that Gadgetron's clients ask about a server, such as `gadgetron::info`."""

import functools
import os
import platform
from collections.abc import Callable
from importlib.metadata import version

from ..errors import ProtocolError
from ..version import __version__


def answer(query: str) -> str:
    """Answer a question about this server.

    Parameters
    ----------
    query : str
        By the names of Gadgetron's own queries.

    Returns
    -------
    str
        The text that goes back.

    Raises
    ------
    ProtocolError
        For questions of other names, listing those that there are.
    """
    if query not in _ANSWERS:
        raise ProtocolError(f"unknown query {query[:100]!r}; known: {', '.join(_ANSWERS)}")
    return _ANSWERS[query]()


@functools.cache
def _info() -> str:
    n_gib = _memory() / 2**30
    return (
        f"snrstream {__version__}, Python {platform.python_version()}, ismrmrd {version('ismrmrd')}, "
        f"{os.cpu_count()} cores, {n_gib:.0f} GiB of memory, {_n_devices()} CUDA devices"
    )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _n_devices() -> int:
    import torch

    return torch.cuda.device_count()


_ANSWERS: dict[str, Callable[[], str]] = {
    "ismrmrd::version": lambda: version("ismrmrd"),
    "gadgetron::version": lambda: f"snrstream {__version__}",
    "gadgetron::build": lambda: f"snrstream {__version__}",
    "gadgetron::info": _info,
    "gadgetron::info::memory": lambda: str(_memory()),
    "gadgetron::info::python": lambda: "1",
    "gadgetron::info::matlab": lambda: "0",
    "gadgetron::info::cuda": lambda: str(int(_n_devices() > 0)),
    "gadgetron::cuda::devices": lambda: str(_n_devices()),
}
