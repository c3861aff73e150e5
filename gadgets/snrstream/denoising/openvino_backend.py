"""ONNX files run by OpenVINO on the CPU, in bfloat16 where the processor has it."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .backend import Opening, Stop, reason
from .contracts import no_past
from .manifest_fields import Manifest

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

    def __init__(self, compiled: openvino.CompiledModel, precision: str, manifest: Manifest) -> None:
        self._compiled, self._manifest = compiled, manifest
        self._idle: list[openvino.InferRequest] = []
        self.device = f"CPU {precision}"
        n_batch = compiled.input(0).partial_shape[0]
        self.most_at_once = ANY_NUMBER if n_batch.is_dynamic else n_batch.get_length()

    def stop(self) -> Cancellation:
        """A signal that ends the run that it is given to."""
        return Cancellation()

    def run(self, batch: np.ndarray, stop: Stop) -> np.ndarray:
        """The network's answer, float32."""
        if self._manifest.past:
            return self.run_remembering(batch, False, no_past(self._manifest, batch), stop)[0]
        return self._outputs([batch], stop)[0]

    def run_remembering(
        self, x: np.ndarray, causal: bool, past: Sequence[np.ndarray], stop: Stop
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of a network that remembers: see `Backend`. ONNX Runtime has seen to the names and their order."""
        answer, *present = self._outputs([x, np.array([causal], np.float32), *past], stop)
        return answer, present

    def _outputs(self, inputs: Sequence[np.ndarray], stop: Stop) -> list[np.ndarray]:
        import openvino

        with self._request() as request:
            for n, part in enumerate(inputs):
                request.set_input_tensor(n, openvino.Tensor(part, shared_memory=True))
            if isinstance(stop, Cancellation):
                stop.start(request)
                try:
                    request.wait()
                finally:
                    stop.over()
            else:
                request.infer()
            outputs = [request.get_output_tensor(n).data for n in range(len(self._compiled.outputs))]
            return [np.array(part, np.float32) for part in outputs]  # copies: the request keeps its memory

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


def opening(data: bytes, manifest: Manifest, device: str) -> Opening:
    """See `Opening`; nothing stops the loading. data: an ONNX file that ONNX Runtime has taken, its weights inside."""

    def load() -> OpenVinoBackend:
        core = _core()
        wanted = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[device],
            "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
        }
        return OpenVinoBackend(core.compile_model(core.read_model(data), "CPU", wanted), PRECISIONS[device], manifest)

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
