"""stdin and stdout as the two ends of a pipe."""

import os
import sys
from io import BufferedReader
from typing import Any

from ..errors import ConfigurationError, ConnectionFailed


class Sink:
    """Where a stream goes: a descriptor, of a pipe or a file. Nothing is buffered."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Returns once all of it has left. Raises ConnectionFailed where it cannot, as when the reader is gone."""
        rest = memoryview(bytes(data))
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as exc:
            raise ConnectionFailed(f"stdout cannot be written: {exc.strerror or exc}") from None

    def flush(self) -> None:
        """There is nothing to flush."""


def standard_pipes() -> tuple[BufferedReader, Sink]:
    """stdin, and stdout for a stream alone: what else would be printed there goes to stderr from now on.

    Raises ConfigurationError where one of them is closed, or a terminal.
    """
    for name, file, descriptor in (("stdin", sys.stdin, 0), ("stdout", sys.stdout, 1)):
        _check(name, file, descriptor)
    sink = Sink(os.dup(1))
    os.dup2(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else 2, 1)
    return sys.stdin.buffer, sink  # type: ignore[return-value]  # typed as a BinaryIO, it is a BufferedReader


def _check(name: str, file: Any, descriptor: int) -> None:
    if file is None:
        raise ConfigurationError(f"{name} is closed; expected a pipe or a file")
    if os.isatty(descriptor):
        raise ConfigurationError(f"{name} is a terminal; expected a pipe or a file")
    os.set_blocking(descriptor, True)  # what shares it may have left it otherwise, and no data would look like the end
