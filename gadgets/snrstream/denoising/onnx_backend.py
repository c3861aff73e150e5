"""Networks run by ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
import onnxruntime

from ..errors import ModelError
from .backend import Opening, Stop
from .contracts import fixed_size, input_shape, no_past, output_shape, past_shapes
from .manifest_fields import Manifest

NOWHERE = "/dev/null/none"  # a folder that cannot be
SILENT = 4  # ONNX Runtime's log: what fails is raised, and told once
ANY_NUMBER = 1 << 30
LONGEST_LIST = 100  # characters of names in an error
CAUSAL = "causal"
FLOATING = ("tensor(float)", "tensor(float16)", "tensor(double)")
PROVIDERS = {"tensorrt": "TensorrtExecutionProvider", "cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
EXACT = {"use_tf32": "0"}  # on CUDA: TensorFloat-32 keeps ten bits of a float32, off by more than the tolerances


class OnnxBackend:
    """A session. device: its execution provider, such as `CPUExecutionProvider`."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: Manifest) -> None:
        session.disable_fallback()  # it prints, and hides what failed
        self._session, self._manifest = session, manifest
        self._input, self._output = session.get_inputs()[0].name, session.get_outputs()[0].name
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
        given = {self._input: batch}
        if self._manifest.past:
            given = _given(batch, False, no_past(self._manifest, batch))
        return np.asarray(self._session.run([self._output], given, stop)[0], np.float32)

    def run_remembering(
        self, x: np.ndarray, causal: bool, past: Sequence[np.ndarray], stop: Stop
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of a network that remembers: see `Backend`."""
        answer, *present = (
            np.asarray(part, np.float32) for part in self._session.run(None, _given(x, causal, past), stop)
        )
        return answer, present


def devices(manifest: Manifest) -> tuple[str, ...]:
    """What this build of ONNX Runtime has, the fastest first. TensorRT only where the manifest wants it."""
    available = onnxruntime.get_available_providers()
    wanted = [*(("tensorrt",) if manifest.tensorrt else ()), "cuda", "cpu"]
    return tuple(device for device in wanted if PROVIDERS[device] in available)


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
            session = onnxruntime.InferenceSession(data, options, providers=_providers(device), enable_fallback=0)
        except Exception as exc:  # its classes have no common base
            if "external data" not in str(exc).lower():
                raise
            raise ModelError(
                f"model {manifest.name}: {manifest.file} keeps weights in another file, which its hash does not cover; "
                "expected them inside (external_data=False of torch.onnx.export)"
            ) from None
        if session.get_providers()[0] != PROVIDERS[device]:  # ONNX Runtime says so in its log alone
            raise ModelError(f"{PROVIDERS[device]} cannot be loaded; expected its libraries on this machine")
        _check(manifest, session.get_inputs(), session.get_outputs())
        return OnnxBackend(session, manifest)

    return load, lambda: options.set_load_cancellation_flag(True)


def _given(x: np.ndarray, causal: bool, past: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of a network that remembers, by name."""
    return {"x": x, CAUSAL: np.array([causal], np.float32)} | {f"past_{n}": part for n, part in enumerate(past)}


def _check(manifest: Manifest, inputs: Sequence[onnxruntime.NodeArg], outputs: Sequence[onnxruntime.NodeArg]) -> None:
    """Whether a file's inputs and outputs are the manifest's; raises ModelError."""
    if manifest.past:
        _check_names(manifest, "inputs", inputs, ["x", CAUSAL, *(f"past_{n}" for n in range(len(manifest.past)))])
        _check_names(manifest, "outputs", outputs, ["y", *(f"present_{n}" for n in range(len(manifest.past)))])
    elif len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"model {manifest.name} has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each"
        )
    for part in outputs:
        if part.type not in FLOATING:
            raise ModelError(
                f"model {manifest.name}: {part.name if manifest.past else 'output'} is {part.type}; "
                f"expected {', '.join(FLOATING)}"
            )
    size = fixed_size(manifest)
    shapes = [input_shape(manifest, None, size), output_shape(manifest, None, size)]
    kept = past_shapes(manifest, None, None, (None, None))
    names = "BCHW" if len(shapes[0]) == 4 else "BCTHW"
    _compare(manifest, "input", inputs[0].shape, shapes[0], names)
    _compare(manifest, "output", outputs[0].shape, shapes[1], names)
    for part in inputs[1:2]:
        _compare(manifest, part.name, part.shape, (1,), "1")
    for part, expected in zip([*inputs[2:], *outputs[1:]], [*kept, *kept], strict=True):
        _compare(manifest, part.name, part.shape, expected, "BPCHW")


def _check_names(manifest: Manifest, what: str, found: Sequence[onnxruntime.NodeArg], expected: list[str]) -> None:
    names = [part.name for part in found]
    if names != expected:
        raise ModelError(
            f"model {manifest.name} has {what} {_listed(names)}; expected {_listed(expected)}, for its manifest has "
            f"past of {len(manifest.past)}"
        )


def _listed(names: list[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= LONGEST_LIST else f"{text[:LONGEST_LIST]} ..."


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """For a session on a device: the provider, with those that take what it cannot run."""
    if device == "cpu":
        return [PROVIDERS["cpu"]]
    onnxruntime.preload_dlls()  # of CUDA, from the packages that torch brings; those of the system are found without
    first: list[str | tuple[str, dict[str, str]]] = [PROVIDERS["tensorrt"]] if device == "tensorrt" else []
    return [*first, (PROVIDERS["cuda"], EXACT), PROVIDERS["cpu"]]


def _compare(
    manifest: Manifest, what: str, found: list[int | str | None], expected: tuple[int | None, ...], letters: str
) -> None:
    """Names stand for any number. An input of one size only needs a patch of that size; the batch is 1 or any."""
    wanted = (1, *expected[1:])
    alike = [not isinstance(n, int) or n == m for n, m in zip(found, wanted, strict=False)]
    if len(found) != len(wanted) or not all(alike):
        stated = [n for n, m in enumerate(wanted) if m is not None and n > 0 and (n == 1 or not all(alike[n : n + 1]))]
        shown = ", ".join(str(wanted[n]) if n in stated else letter for n, letter in enumerate(letters))
        raise ModelError(f"model {manifest.name}: {what} has shape {found}; expected [{shown}]")
