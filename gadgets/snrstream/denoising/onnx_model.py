"""A denoising network run by ONNX Runtime."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime

from ..errors import ModelError, ModelTimeout
from .manifest import Manifest, load_manifest
from .time_limit import within

FRAMES_AT_ONCE = 8  # of a volume: a network's features take a hundred times the memory of its frames
TIMEOUT_S = 30.0
LONGEST_REASON = 300  # characters of ONNX Runtime's own text
SILENT = 4  # ONNX Runtime's log: what fails is raised, and told once

Result = TypeVar("Result")


class OnnxModel:
    """One loaded model. `denoise` may be called from several threads."""

    def __init__(self, manifest: Manifest, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.manifest, self.path = manifest, path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = self._within(
            timeout_s, f"{path.name} cannot be loaded", lambda: self._open(options), lambda: _cancel_load(options)
        )
        self._input = self._session.get_inputs()[0].name

    @property
    def device(self) -> str:
        """The execution provider in use, such as `CPUExecutionProvider`."""
        return self._session.get_providers()[0]

    def denoise(self, image: np.ndarray, gmap: np.ndarray, timeout_s: float = TIMEOUT_S) -> np.ndarray:
        """The network's own answer, unblended.

        image: `(frame, e1, ro)` complex64 in SNR units; gmap: the same shape, float32. timeout_s: for each
        `FRAMES_AT_ONCE` frames. Returns the shape and dtype of `image`. Sizes that the network cannot take are padded
        with zeros (g = 1) and cropped again. Raises ModelTimeout where it takes longer, ModelError where it fails in
        any other way or its answer is not finite.
        """
        if len(image) > FRAMES_AT_ONCE:
            parts = [slice(n, n + FRAMES_AT_ONCE) for n in range(0, len(image), FRAMES_AT_ONCE)]
            return np.concatenate([self.denoise(image[part], gmap[part], timeout_s) for part in parts])
        options = onnxruntime.RunOptions()
        options.log_severity_level = SILENT
        return self._within(
            timeout_s,
            "failed on {} x {} x {}".format(*image.shape),
            lambda: self._answer(image, gmap, options),
            lambda: _cancel_run(options),
        )

    def _open(self, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        available = onnxruntime.get_available_providers()
        providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
        session = onnxruntime.InferenceSession(str(self.path), options, providers=providers)
        name, inputs, outputs = self.manifest.name, session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(f"model {name} has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
        for what, tensor, channels in (("input", inputs[0], 3), ("output", outputs[0], 2)):
            shape = tensor.shape
            if len(shape) != 5 or (isinstance(shape[1], int) and shape[1] != channels):
                raise ModelError(f"model {name}: {what} has shape {shape}; expected [B, {channels}, T, H, W]")
        return session

    def _answer(self, image: np.ndarray, gmap: np.ndarray, options: onnxruntime.RunOptions) -> np.ndarray:
        n_frames, n_e1, n_ro = image.shape
        pad = [(0, 0), *((0, -n % self.manifest.divisor) for n in (n_e1, n_ro))]
        padded = np.pad(image, pad)
        channels = np.stack([padded.real, padded.imag, np.pad(gmap, pad, constant_values=1.0)])
        batch = channels.transpose(1, 0, 2, 3)[:, :, None].astype(np.float32)  # frames as a batch, T = 1
        answer = self._session.run(None, {self._input: batch}, options)[0]
        if answer.shape != (n_frames, 2, 1, *batch.shape[3:]):
            raise ModelError(
                f"model {self.manifest.name} answered with shape {answer.shape}; expected "
                f"{(n_frames, 2, 1, *batch.shape[3:])}"
            )
        denoised = (answer[:, 0, 0] + 1j * answer[:, 1, 0]).astype(np.complex64)[:, :n_e1, :n_ro]
        if not np.isfinite(denoised.view(np.float32)).all():
            raise ModelError(f"model {self.manifest.name} answered with NaN or infinite pixels")
        return denoised

    def _within(self, timeout_s: float, failure: str, work: Callable[[], Result], cancel: Callable[[], None]) -> Result:
        """`work` within its time limit, every failure of it as a ModelError."""
        try:
            return within(timeout_s, self.manifest.sha256, work, cancel)
        except ModelError:
            raise
        except TimeoutError as exc:
            raise ModelTimeout(f"model {self.manifest.name}: {failure}: {exc}") from None
        except Exception as exc:  # ONNX Runtime raises a class of its own for every fault
            raise ModelError(f"model {self.manifest.name}: {failure}: {_line(exc)}") from None


_loading = threading.Lock()
_loaded: dict[str, OnnxModel] = {}


def load_model(name: str, timeout_s: float = TIMEOUT_S) -> OnnxModel:
    """The model `models/<name>`, loaded once and shared. Its manifest and its file's hash are read at every call.

    A model whose folder has changed is loaded anew, and one that could not be loaded is tried again.
    Raises ModelTimeout where loading takes longer than `timeout_s` seconds, ModelError for all else that is wrong.
    """
    manifest, path = load_manifest(name)
    with _loading:
        model = _loaded.get(name)
        if model is None or (model.manifest, model.path) != (manifest, path):
            model = _loaded[name] = OnnxModel(manifest, path, timeout_s)
        return model


def _cancel_load(options: onnxruntime.SessionOptions) -> None:
    options.set_load_cancellation_flag(True)


def _cancel_run(options: onnxruntime.RunOptions) -> None:
    options.terminate = True


def _line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:LONGEST_REASON] or type(exc).__name__
