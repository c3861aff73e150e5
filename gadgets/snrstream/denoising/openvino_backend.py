"""ONNX files run by OpenVINO on the CPU, in bfloat16 where the processor has it."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .backend import Opening, Stop, reason

if TYPE_CHECKING:
    import openvino

log = logging.getLogger(__name__)

ANY_NUMBER = 1 << 30
PRECISIONS = {"openvino-bfloat16": "bf16", "openvino": "f32"}  # by the device's name, the faster first


class Cancellation:
    """Ends the run that it was given to: from then on it raises, whatever OpenVINO's own error is."""

    def __init__(self) -> None:
        self._lock, self._asked = threading.Lock(), False
        self._request: openvino.InferRequest | None = None

    @property
    def terminate(self) -> bool:
        """Whether it has been asked for."""
        return self._asked

    @terminate.setter
    def terminate(self, asked: bool) -> None:
        with self._lock:
            self._asked = asked
            if asked and self._request is not None:
                self._request.cancel()

    def start(self, request: openvino.InferRequest) -> None:
        """Start the run, unless it is to end already. Raises RuntimeError then."""
        with self._lock:
            if self._asked:
                raise RuntimeError("the run was cancelled before it began")
            request.start_async()
            self._request = request

    def over(self) -> None:
        """The run has ended: its request may serve another."""
        with self._lock:
            self._request = None


class OpenVinoBackend:
    """A compiled network. device: OpenVINO's, and its precision. It may be run by several threads."""

    def __init__(self, compiled: openvino.CompiledModel, precision: str) -> None:
        self._compiled = compiled
        self._idle: list[openvino.InferRequest] = []
        self.device = f"CPU {precision}"
        n_batch = compiled.input(0).partial_shape[0]
        self.most_at_once = ANY_NUMBER if n_batch.is_dynamic else n_batch.get_length()

    def stop(self) -> Cancellation:
        """A signal that ends the run that it is given to."""
        return Cancellation()

    def run(self, batch: np.ndarray, stop: Stop) -> np.ndarray:
        """The network's answer, float32."""
        import openvino

        with self._request() as request:
            request.set_input_tensor(openvino.Tensor(batch, shared_memory=True))
            if isinstance(stop, Cancellation):
                stop.start(request)
                try:
                    request.wait()
                finally:
                    stop.over()
            else:
                request.infer()
            return np.array(request.get_output_tensor().data, np.float32)  # a copy: the request keeps its memory

    @contextlib.contextmanager
    def _request(self) -> Iterator[openvino.InferRequest]:
        """One that no other thread uses."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        yield request
        self._idle.append(request)  # not after a failure


def devices() -> tuple[str, ...]:
    """What OpenVINO has here, the fastest first; empty where it is not installed, or does not start."""
    if importlib.util.find_spec("openvino") is None:
        return ()
    try:
        found = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except Exception as exc:  # noqa: BLE001 - what its libraries raise where the system lacks something
        log.warning("OpenVINO does not start: %s", reason(exc))
        return ()
    return tuple(name for name, precision in PRECISIONS.items() if precision == "f32" or precision.upper() in found)


def opening(data: bytes, device: str) -> Opening:
    """See `Opening`; nothing stops the loading. data: an ONNX file that ONNX Runtime has taken, its weights inside."""

    def load() -> OpenVinoBackend:
        core = _core()
        wanted = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[device],
            "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
        }
        return OpenVinoBackend(core.compile_model(core.read_model(data), "CPU", wanted), PRECISIONS[device])

    return load, lambda: None


@functools.cache
def _core() -> openvino.Core:
    """Imported without the package that tells its maker of each import; OpenVINO does without where it is missing."""
    telemetry = "openvino_telemetry"
    before = sys.modules.get(telemetry)
    sys.modules[telemetry] = None  # type: ignore[assignment]  # what import takes for a module that is not there
    try:
        import openvino
    finally:
        if before is None:
            del sys.modules[telemetry]
        else:
            sys.modules[telemetry] = before
    return openvino.Core()
