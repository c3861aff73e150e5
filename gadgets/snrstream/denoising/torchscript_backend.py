"""Networks run by TorchScript."""

import warnings
from collections.abc import Sequence
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import torch

from ..errors import ModelError
from .backend import Opening, Stop
from .contracts import input_shape, no_past, output_shape, past_shapes
from .manifest_fields import Manifest
from .tiling import SMALLEST_TILE


class TorchScriptBackend:
    """A loaded module. device: `cpu`, or `cuda` with the GPU's name. A run cannot be stopped."""

    most_at_once = 1 << 30

    def __init__(self, module: torch.jit.ScriptModule, device: str, manifest: Manifest) -> None:
        self._module, self._device, self._manifest = module, device, manifest
        self.device = device if device == "cpu" else f"{device} {torch.cuda.get_device_name()}"
        if device != "cpu":
            torch.backends.cudnn.allow_tf32 = False  # it keeps ten bits of a float32

    def stop(self) -> SimpleNamespace:
        """A signal that is looked at between runs alone."""
        return SimpleNamespace(terminate=False)

    def run(self, batch: np.ndarray, stop: Stop) -> np.ndarray:
        """The network's answer, float32. Raises ModelError where it is no floating point tensor."""
        if self._manifest.past:
            return self.run_remembering(batch, False, no_past(self._manifest, batch), stop)[0]
        with torch.inference_mode():
            return self._numbers(self._module(self._tensor(batch)))

    def run_remembering(
        self, x: np.ndarray, causal: bool, past: Sequence[np.ndarray], stop: Stop  # noqa: ARG002 - torch cannot be stopped
    ) -> tuple[np.ndarray, list[np.ndarray]]:  # fmt: skip
        """Of a network that remembers: see `Backend`. Raises ModelError where it gives no such tensors."""
        with torch.inference_mode():
            given = [torch.tensor(part, device=self._device) for part in past]  # copies: the module may write to them
            found = self._module(self._tensor(x), self._tensor(np.array([causal], np.float32)), given)
            if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], list)):
                raise ModelError(
                    f"model {self._manifest.name} answered with {type(found).__name__}; expected the answer and the "
                    "list of what is kept, for its manifest has past"
                )
            return self._numbers(found[0]), [self._numbers(part) for part in found[1]]

    def _tensor(self, part: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(part).to(self._device)

    def _numbers(self, answer: object) -> np.ndarray:
        if not (isinstance(answer, torch.Tensor) and answer.is_floating_point()):
            found = answer.dtype if isinstance(answer, torch.Tensor) else type(answer).__name__
            raise ModelError(f"model {self._manifest.name} answered with {found}; expected floating point numbers")
        numbers: np.ndarray = answer.float().cpu().numpy()
        return numbers


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
        backend = TorchScriptBackend(module, device, manifest)
        edge = -(-SMALLEST_TILE // manifest.divisor) * manifest.divisor
        size = manifest.patch or (manifest.n_frames or 1, edge, edge)
        probe = np.zeros(input_shape(manifest, 1, size), np.float32)
        if manifest.input != "magnitude_slices":
            probe[:, -1] = 1
        found, expected = backend.run(probe, backend.stop()).shape, output_shape(manifest, 1, size)
        if found != expected:
            raise ModelError(f"model {manifest.name} answered with shape {found}; expected {expected}")
        if manifest.past:
            _, present = backend.run_remembering(probe, True, no_past(manifest, probe), backend.stop())
            shapes, kept = [part.shape for part in present], past_shapes(manifest, 1, size[0], (size[1], size[2]))
            if shapes != kept:
                raise ModelError(f"model {manifest.name} keeps shapes {shapes} of a frame; expected {kept}")
        return backend

    return load, lambda: None
