"""A loaded denoising model: its answers to stacks of frames and to streams."""

import dataclasses
from pathlib import Path

import numpy as np

from ..errors import ModelError
from .backend import Backend
from .devices import Devices
from .manifest_fields import Manifest
from .runs import TIMEOUT_S, run_tiles
from .safety import check_input, check_output
from .series import run_series
from .state import Past, State, begin, check_state
from .tiling import Tiling, plan_tiles


class Model:
    """One loaded model. `denoise` and `stream` may be called from several threads.

    Parameters
    ----------
    manifest, path
        What `load_manifest` gives. The file's hash is checked as it is loaded.
    timeout_s
        For the loading, in seconds.
    devices
        `tensorrt`, `cuda`, `cpu`, and of `openvino_backend`, in the order in which they are tried; where it is not
        given, those at hand but OpenVINO's. One that fails, or has too little memory, is named in `fallbacks`.

    Raises
    ------
    ModelTimeout
        Loading takes longer than `timeout_s`.
    ModelError
        The file cannot be read or loaded, or is not what the manifest says.
    """

    def __init__(
        self, manifest: Manifest, path: Path, timeout_s: float = TIMEOUT_S, devices: tuple[str, ...] = ()
    ) -> None:
        self.manifest, self.path = manifest, path
        self._devices = Devices(manifest, path, timeout_s, devices)

    @property
    def backend(self) -> str:
        """What runs the network: `onnxruntime`, `openvino` or `torchscript`."""
        return self._devices.backend

    @property
    def device(self) -> str:
        """The device in use, such as `CPUExecutionProvider`, `cpu` or `CPU bf16`."""
        return self._devices.setup.backend.device

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What was given up for want of memory or by a failure of the GPU, and for what; empty if all goes well."""
        return self._devices.setup.fallbacks

    def tile(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """`(T, H, W)` of the tiles in which a stack of `shape` (frame, e1, ro) is denoised."""
        return plan_tiles(shape, self.manifest, self._devices.setup.largest, self._devices.setup.at_once).size

    def denoise(
        self, image: np.ndarray, gmap: np.ndarray, timeout_s: float = TIMEOUT_S, causal: bool = False
    ) -> np.ndarray:
        """The network's own answer, unblended with the original, of the shape and dtype of `image`.

        Any size: what the network cannot take is padded and cropped, or cut into tiles that overlap and are blended.

        Parameters
        ----------
        image
            `(frame, e1, ro)` complex64, in SNR units; frames that are neighbours, in order. Any number of them, unless
            the manifest has one.
        gmap
            `(frame, e1, ro)` float32.
        timeout_s
            Seconds for each 8 frames, or for the frames of one tile where the network mixes them, and for the loading
            on another device.
        causal
            Whether a frame sees none after it: what `stream` gives, frame by frame. For a model that remembers alone.

        Raises
        ------
        ModelTimeout
            It takes longer.
        ModelError
            It fails in any other way, or `safety` refuses its input or answer.
        """
        if causal:
            return self._series(image, gmap, None, timeout_s)[0]

        def run(backend: Backend, tiling: Tiling) -> np.ndarray:
            return run_tiles(backend, self.manifest, tiling, image, gmap, timeout_s)

        check_input(self.manifest, image, gmap)
        denoised = self._devices.run(run, image.shape, False, timeout_s)
        check_output(self.manifest, image, gmap, denoised)
        return denoised

    def stream(
        self, image: np.ndarray, gmap: np.ndarray, state: State | None, timeout_s: float = TIMEOUT_S
    ) -> tuple[np.ndarray, State]:
        """The network's own answer to the next image of a series, which is run once, and what the one after it needs.

        The images are those of `denoise` with `causal`, to rounding. After an error the state is what it was: the
        stream may go on with another image, as if this one had not been.

        Parameters
        ----------
        image
            `(e1, ro)` complex64, in SNR units.
        gmap
            `(e1, ro)` float32.
        state
            What the image before gave; None for the first.
        timeout_s
            Seconds for the image, and for the loading on another device.

        Returns
        -------
        answer
            Of the shape and dtype of `image`.
        state
            A new one, whatever becomes of the old.

        Raises
        ------
        ModelTimeout
            It takes longer.
        ModelError
            As `denoise`; or the model does not remember, or the state is of another model or of images of another size.
        """
        answer, after = self._series(image[None], gmap[None], state, timeout_s)
        return answer[0], after

    def _series(
        self, image: np.ndarray, gmap: np.ndarray, state: State | None, timeout_s: float
    ) -> tuple[np.ndarray, State]:
        manifest = self.manifest
        if not manifest.past:
            raise ModelError(f"model {manifest.name} keeps nothing of earlier frames; expected past in its manifest")
        check_input(manifest, image, gmap)
        before = begin(manifest, image.shape[1:]) if state is None else state
        check_state(manifest, before, image.shape[1:])

        def run(backend: Backend, tiling: Tiling) -> tuple[np.ndarray, Past]:
            return run_series(backend, manifest, tiling, image, gmap, before.past, timeout_s)

        denoised, past = self._devices.run(run, image.shape, True, timeout_s)
        check_output(manifest, image, gmap, denoised)
        return denoised, dataclasses.replace(before, past=past)

    def denoise_in_tiles(
        self, image: np.ndarray, gmap: np.ndarray, largest: int, shifted: bool, timeout_s: float = TIMEOUT_S
    ) -> np.ndarray:
        """As `denoise`, without `safety` and fallbacks, in tiles of one's own choice: see `plan_tiles`."""
        setup = self._devices.setup
        tiling = plan_tiles(image.shape, self.manifest, largest, setup.at_once, shifted)
        return run_tiles(setup.backend, self.manifest, tiling, image, gmap, timeout_s)
