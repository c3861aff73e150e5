"""A denoising network run by ONNX Runtime."""

import functools
import threading
from pathlib import Path

import numpy as np
import onnxruntime

from ..errors import ModelError
from .manifest import Manifest, load_manifest

FRAMES_AT_ONCE = 8  # of a volume: a network's features take a hundred times the memory of its frames


class OnnxModel:
    """One loaded model. `denoise` may be called from several threads."""

    def __init__(self, manifest: Manifest, path: Path) -> None:
        self.manifest = manifest
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in _available()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as exc:  # ONNX Runtime raises a class of its own for every fault of a file
            raise ModelError(f"model {manifest.name}: {path.name} cannot be loaded: {_line(exc)}") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"model {manifest.name} has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each"
            )
        for what, tensor, channels in (("input", inputs[0], 3), ("output", outputs[0], 2)):
            shape = tensor.shape
            if len(shape) != 5 or (isinstance(shape[1], int) and shape[1] != channels):
                raise ModelError(f"model {manifest.name}: {what} has shape {shape}; expected [B, {channels}, T, H, W]")
        self._input = inputs[0].name

    @property
    def device(self) -> str:
        """The execution provider in use, such as `CPUExecutionProvider`."""
        return self._session.get_providers()[0]

    def denoise(self, image: np.ndarray, gmap: np.ndarray) -> np.ndarray:
        """The network's own answer, unblended.

        image: `(frame, e1, ro)` complex64 in SNR units; gmap: the same shape, float32.
        Returns the shape and dtype of `image`. Sizes that the network cannot take are padded with
        zeros (g = 1) and cropped again. Raises ModelError where it fails or its answer is not finite.
        """
        if len(image) > FRAMES_AT_ONCE:
            parts = [slice(n, n + FRAMES_AT_ONCE) for n in range(0, len(image), FRAMES_AT_ONCE)]
            return np.concatenate([self.denoise(image[part], gmap[part]) for part in parts])
        n_frames, n_e1, n_ro = image.shape
        pad = [(0, 0), *((0, -n % self.manifest.divisor) for n in (n_e1, n_ro))]
        padded = np.pad(image, pad)
        channels = np.stack([padded.real, padded.imag, np.pad(gmap, pad, constant_values=1.0)])
        batch = channels.transpose(1, 0, 2, 3)[:, :, None].astype(np.float32)  # frames as a batch, T = 1
        try:
            answer = self._session.run(None, {self._input: batch})[0]
        except Exception as exc:
            raise ModelError(
                f"model {self.manifest.name} failed on {n_frames} x {n_e1} x {n_ro}: {_line(exc)}"
            ) from None
        if answer.shape != (n_frames, 2, 1, *batch.shape[3:]):
            raise ModelError(
                f"model {self.manifest.name} answered with shape {answer.shape}; expected "
                f"{(n_frames, 2, 1, *batch.shape[3:])}"
            )
        denoised = (answer[:, 0, 0] + 1j * answer[:, 1, 0]).astype(np.complex64)[:, :n_e1, :n_ro]
        if not np.isfinite(denoised.view(np.float32)).all():
            raise ModelError(f"model {self.manifest.name} answered with NaN or infinite pixels")
        return denoised


_loading = threading.Lock()


def load_model(name: str) -> OnnxModel:
    """The model `models/<name>`, loaded once and shared. Its file's hash is checked at every call."""
    manifest, path = load_manifest(name)
    with _loading:
        return _loaded(manifest.sha256, name, path)


@functools.lru_cache(maxsize=8)
def _loaded(sha256: str, name: str, path: Path) -> OnnxModel:
    return OnnxModel(load_manifest(name)[0], path)


def _available() -> list[str]:
    return onnxruntime.get_available_providers()


def _line(exc: Exception) -> str:
    return " ".join(str(exc).split())
