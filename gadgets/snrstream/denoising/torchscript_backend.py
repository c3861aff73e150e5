"""Networks run by TorchScript."""

import warnings
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import torch

from ..errors import ModelError
from .backend import Opening, Stop
from .contracts import input_shape, output_shape
from .manifest_fields import Manifest
from .tiling import SMALLEST_TILE


class TorchScriptBackend:
    """A loaded module. device: `cpu`, or `cuda` with the GPU's name. A run cannot be stopped."""

    most_at_once = 1 << 30

    def __init__(self, module: torch.jit.ScriptModule, device: str, name: str) -> None:
        self._module, self._device, self._name = module, device, name
        self.device = device if device == "cpu" else f"{device} {torch.cuda.get_device_name()}"

    def stop(self) -> SimpleNamespace:
        """A signal that is looked at between runs alone."""
        return SimpleNamespace(terminate=False)

    def run(self, batch: np.ndarray, stop: Stop) -> np.ndarray:  # noqa: ARG002 - of Backend; torch cannot be stopped
        """The network's answer, float32. Raises ModelError where it is no floating point tensor."""
        with torch.inference_mode():
            answer = self._module(torch.from_numpy(batch).to(self._device))
            if not (isinstance(answer, torch.Tensor) and answer.is_floating_point()):
                found = answer.dtype if isinstance(answer, torch.Tensor) else type(answer).__name__
                raise ModelError(f"model {self._name} answered with {found}; expected floating point numbers")
            return answer.float().cpu().numpy()


def devices(manifest: Manifest) -> tuple[str, ...]:  # noqa: ARG001 - the same for all, but not in the other backend
    """What this build of torch has, the fastest first."""
    return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)


def opening(data: bytes, manifest: Manifest, device: str) -> Opening:
    """See `Opening`. Nothing stops the loading.

    It ends with a run on noise-free air, for a TorchScript file does not say what shapes it takes: it raises ModelError
    where the answer has another shape than the manifest's.

    A TorchScript file is an archive of tensors and of code in TorchScript's own language, which torch interprets: it
    holds no Python and is not unpickled by Python. But that interpreter was not made to run what an attacker wrote.
    So a file is loaded only as the bytes whose hash was compared with the manifest, which lies in the site's own
    folder beside it: who can write there is trusted, as with ONNX files.
    """

    def load() -> TorchScriptBackend:
        # torch says at each loading that it will have another format one day; users have no part in that. The filter
        # is left in place, once for all: taking it off again would undo what other threads filter meanwhile.
        warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated")  # its class goes with torch's version
        module = torch.jit.load(BytesIO(data), map_location=device)
        module.eval()
        backend = TorchScriptBackend(module, device, manifest.name)
        edge = -(-SMALLEST_TILE // manifest.divisor) * manifest.divisor
        size = manifest.patch or (manifest.n_frames or 1, edge, edge)
        probe = np.zeros(input_shape(manifest, 1, size), np.float32)
        if manifest.input != "magnitude_slices":
            probe[:, -1] = 1
        found, expected = backend.run(probe, backend.stop()).shape, output_shape(manifest, 1, size)
        if found != expected:
            raise ModelError(f"model {manifest.name} answered with shape {found}; expected {expected}")
        return backend

    return load, lambda: None
