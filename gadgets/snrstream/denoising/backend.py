"""What runs a network: ONNX Runtime, OpenVINO or TorchScript, on one device."""

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

LONGEST_REASON = 300  # characters of a backend's own text
RAISED = re.compile(r"\w+(\.\w+)*(Error|Exception): ")
NO_MEMORY = (
    "out of memory",
    "out_of_memory",
    "failed to allocate memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)


class Stop(Protocol):
    """One run's signal to end: ONNX Runtime's RunOptions, or the like of it."""

    terminate: bool


class Backend(Protocol):
    """A network on a device. device: its name, for logs. most_at_once: how many items one run takes."""

    device: str
    most_at_once: int

    def stop(self) -> Stop:
        """A new signal. `terminate = True`, from any thread, ends the run that it was given to, where that can be."""

    def run(self, batch: np.ndarray, stop: Stop) -> np.ndarray:
        """The network's answer, float32, to `batch`, float32. Raises whatever the backend raises.

        A network that remembers is given no past, and lets each frame see all others.
        """

    def run_remembering(
        self, x: np.ndarray, causal: bool, past: Sequence[np.ndarray], stop: Stop
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The answer of a network whose manifest has `past`, and what is to be kept of these frames.

        An ONNX file has inputs x, causal, past_0 ..., and outputs y, present_0 ...; a TorchScript file takes x, causal
        and the list of the pasts, and gives y and the list of the presents.

        Parameters
        ----------
        x
            `(B, C, T, H, W)` float32: `contracts.input_shape`.
        causal
            Whether a frame sees itself and those before it alone, or all; in the file `(1)` float32, 1 or 0.
        past
            For each cell `(B, P, C, H / d, W / d)` float32, of P frames directly before `x`, 0 or more, oldest first.

        Returns
        -------
        answer
            As `run`.
        present
            As `past`, of the T frames of `x`, to be appended to it.
        """


Opening = tuple[Callable[[], Backend], Callable[[], None]]  # what loads a network, and what tells it to stop


def is_out_of_memory(exc: BaseException) -> bool:
    """Both backends have several classes for it, and ONNX Runtime none: the text tells."""
    text = str(exc).lower()
    return isinstance(exc, MemoryError) or any(phrase in text for phrase in NO_MEMORY)


def reason(exc: BaseException) -> str:
    """A backend's text as one line. TorchScript's is a traceback that ends with the error."""
    lines = [line for line in str(exc).splitlines() if line.strip()]
    if lines and any("TorchScript" in line for line in lines):
        raised = [n for n, line in enumerate(lines) if RAISED.match(line)]
        lines = lines[raised[-1] :] if raised else lines[-1:]
    return " ".join(" ".join(lines).split())[:LONGEST_REASON] or type(exc).__name__
