"""Networks run by ONNX Runtime."""

import numpy as np
import onnxruntime

from ..errors import ModelError
from .backend import Opening, Stop
from .contracts import fixed_size, input_shape, output_shape
from .manifest_fields import Manifest

NOWHERE = "/dev/null/none"  # a folder that cannot be
SILENT = 4  # ONNX Runtime's log: what fails is raised, and told once
ANY_NUMBER = 1 << 30
FLOATING = ("tensor(float)", "tensor(float16)", "tensor(double)")
PROVIDERS = {
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "cpu": ["CPUExecutionProvider"],
}


class OnnxBackend:
    """A session. device: its execution provider, such as `CPUExecutionProvider`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        session.disable_fallback()  # it prints, and hides what failed
        self._session = session
        self._input = session.get_inputs()[0].name
        self.device: str = session.get_providers()[0]
        n_batch = session.get_inputs()[0].shape[0]
        self.most_at_once = n_batch if isinstance(n_batch, int) else ANY_NUMBER

    def stop(self) -> onnxruntime.RunOptions:
        """A signal that ends the run that it is given to."""
        options = onnxruntime.RunOptions()
        options.log_severity_level = SILENT
        return options

    def run(self, batch: np.ndarray, stop: Stop) -> np.ndarray:
        """The network's answer, float32."""
        return np.asarray(self._session.run(None, {self._input: batch}, stop)[0], np.float32)


def devices(manifest: Manifest) -> tuple[str, ...]:
    """What this build of ONNX Runtime has, the fastest first. TensorRT only where the manifest wants it."""
    available = onnxruntime.get_available_providers()
    wanted = [*(("tensorrt",) if manifest.tensorrt else ()), "cuda", "cpu"]
    return tuple(device for device in wanted if PROVIDERS[device][0] in available)


def opening(data: bytes, manifest: Manifest, device: str) -> Opening:
    """See `Opening`. Loading raises ModelError where the file's inputs and outputs are not the manifest's.

    The file is handed over as the bytes whose hash was compared. Weights in further files, which ONNX Runtime would
    seek in the working directory, are refused with a ModelError, for no hash covers them.
    """
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
    options.log_severity_level = SILENT

    def load() -> OnnxBackend:
        try:
            session = onnxruntime.InferenceSession(data, options, providers=PROVIDERS[device], enable_fallback=0)
        except Exception as exc:  # its classes have no common base
            if "external data" not in str(exc).lower():
                raise
            raise ModelError(
                f"model {manifest.name}: {manifest.file} keeps weights in another file, which its hash does not cover; "
                "expected them inside (external_data=False of torch.onnx.export)"
            ) from None
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"model {manifest.name} has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each"
            )
        if outputs[0].type not in FLOATING:
            raise ModelError(f"model {manifest.name}: output is {outputs[0].type}; expected {', '.join(FLOATING)}")
        size = fixed_size(manifest)
        _compare(manifest, "input", inputs[0].shape, input_shape(manifest, None, size))
        _compare(manifest, "output", outputs[0].shape, output_shape(manifest, None, size))
        return OnnxBackend(session)

    return load, lambda: options.set_load_cancellation_flag(True)


def _compare(manifest: Manifest, what: str, found: list[int | str | None], expected: tuple[int | None, ...]) -> None:
    """Names stand for any number. An input of one size only needs a patch of that size; the batch is 1 or any."""
    wanted = (1, *expected[1:])
    alike = [not isinstance(n, int) or n == m for n, m in zip(found, wanted, strict=False)]
    if len(found) != len(wanted) or not all(alike):
        letters = "BCHW" if len(wanted) == 4 else "BCTHW"
        stated = [n for n, m in enumerate(wanted) if m is not None and n > 0 and (n == 1 or not all(alike[n : n + 1]))]
        shown = ", ".join(str(wanted[n]) if n in stated else letter for n, letter in enumerate(letters))
        raise ModelError(f"model {manifest.name}: {what} has shape {found}; expected [{shown}]")
