"""Which backend runs a model: the fastest at hand whose answer is the recorded one."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ..errors import ModelError
from . import openvino_backend
from .manifest_fields import Manifest
from .model import Model
from .recorded import difference

log = logging.getLogger(__name__)

Choice = Literal["auto", "onnxruntime", "openvino"]

ON_CPU = "CPUExecutionProvider"
AUTOMATIC = ("openvino-bfloat16",)  # float32 is not so much faster that it would be chosen today and tomorrow alike
MUCH_FASTER = 0.75  # of ONNX Runtime's time
EDGE, N_ROUNDS = 128, 3  # of the frame that is timed
MOST_OFF = 10  # times the tolerance, by which a single pixel may be off where the RMS is within it


class Found(NamedTuple):
    """What a backend was measured to do.

    Attributes
    ----------
    model
        The model as it runs it.
    rms, largest
        Its answer to the test vector less the recorded one, in SNR units; None where nothing is recorded.
    ms
        A frame of `EDGE` x `EDGE`.
    """

    model: Model
    rms: float | None
    largest: float | None
    ms: float

    @property
    def agrees(self) -> bool:
        """Whether the answer is the recorded one: its RMS difference is within the tolerance, and no pixel far off.

        The tolerance is 0.01 of the noise SD. bfloat16 differs by 0.003 (RMS), and by 0.03 in single pixels.
        """
        recorded = self.model.manifest.test_vector
        if recorded is None or self.rms is None or self.largest is None:
            return False
        return self.rms <= recorded.tolerance and self.largest <= MOST_OFF * recorded.tolerance


def open_model(manifest: Manifest, path: Path, timeout_s: float, backend: Choice = "auto") -> Model:
    """The model on the backend that `backend` names.

    `auto` takes OpenVINO where the processor has bfloat16, if that is at least a quarter faster than ONNX Runtime and
    gives the recorded answer. It is measured here, once, so that all images of a process have one backend.

    Raises
    ------
    ModelError
        As `Model`; or OpenVINO is wanted, and is not installed, or the model is TorchScript, or its answer is not the
        recorded one.
    """
    model = Model(manifest, path, timeout_s)  # which also refuses a file that is not the manifest's
    if backend == "openvino":
        return _openvino(model, timeout_s)
    if backend == "onnxruntime" and manifest.format != "onnx":
        raise ModelError(f"model {manifest.name} is {manifest.format}; expected an ONNX file for backend onnxruntime")
    if backend == "onnxruntime" or model.device != ON_CPU or manifest.test_vector is None:
        return model
    try:
        others = candidates(model, timeout_s, AUTOMATIC)
        if not others:
            return model
        first, *rest = measured([model, *others], timeout_s)
    except ModelError as exc:  # of its test vector, say: no reason not to denoise
        log.warning("OpenVINO is not considered: %s", exc)
        return model
    fast = [found for found in rest if found.agrees and found.ms <= MUCH_FASTER * first.ms]
    return min(fast, key=lambda found: found.ms).model if fast else model


def candidates(
    model: Model, timeout_s: float, among: Sequence[str] = tuple(openvino_backend.PRECISIONS)
) -> list[Model]:
    """The same model on those of OpenVINO's devices that are here and can load it; each falls back to ONNX Runtime."""
    if model.manifest.format != "onnx":
        return []
    found = []
    for device in (device for device in openvino_backend.devices() if device in among):
        other = Model(model.manifest, model.path, timeout_s, (device, "cpu"))
        if not other.fallbacks:
            found.append(other)
    return found


def measured(models: list[Model], timeout_s: float, edge: int = EDGE) -> list[Found]:
    """Each one's answer, and the time of a frame of `edge` x `edge`; they run in turn, under the same load."""
    times: list[list[float]] = [[] for _ in models]
    frame = np.full((models[0].manifest.n_frames or 1, edge, edge), 20, np.complex64)
    gmap = np.ones(frame.shape, np.float32)
    for _ in range(1 + N_ROUNDS):  # the first loads what a first run loads
        for model, seconds in zip(models, times, strict=True):
            begun = time.perf_counter()
            model.denoise_in_tiles(frame, gmap, edge, False, timeout_s)
            seconds.append(time.perf_counter() - begun)
    return [
        Found(model, *_deviation(model, timeout_s), 1000 * min(seconds[1:]) / len(frame))
        for model, seconds in zip(models, times, strict=True)
    ]


def _deviation(model: Model, timeout_s: float) -> tuple[float | None, float | None]:
    if model.manifest.test_vector is None:
        return None, None
    off = difference(model, timeout_s)
    with np.errstate(over="ignore"):  # of what a file may hold
        return float(np.sqrt(np.mean(np.square(off)))), float(off.max())


def _openvino(model: Model, timeout_s: float) -> Model:
    """The fastest of its precisions that gives the recorded answer; the first where nothing is recorded."""
    manifest = model.manifest
    if manifest.format != "onnx":
        raise ModelError(f"model {manifest.name} is {manifest.format}; expected an ONNX file for backend openvino")
    if importlib.util.find_spec("openvino") is None:
        raise ModelError("backend is openvino, which is not installed; expected pip install 'snrstream[openvino]'")
    others = candidates(model, timeout_s)
    if not others:
        raise ModelError(f"model {manifest.name} cannot be loaded by OpenVINO; expected backend onnxruntime")
    if manifest.test_vector is None:
        return others[-1]
    sound = [found for found in measured(others, timeout_s) if found.agrees]
    if not sound:
        raise ModelError(
            f"model {manifest.name}: OpenVINO's answer is not the recorded one; expected backend onnxruntime"
        )
    return min(sound, key=lambda found: found.ms).model
