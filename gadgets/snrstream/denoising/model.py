"""A loaded denoising model: its network on a device, and what it falls back to when that fails."""

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ModelError
from . import onnx_backend, openvino_backend, torchscript_backend
from .backend import Backend, Opening
from .manifest import read_checked
from .manifest_fields import Manifest
from .runs import TIMEOUT_S, Failure, Result, limited, run_tiles
from .safety import check_input, check_output
from .series import run_series
from .state import Past, State, begin, check_state
from .tiling import FRAMES_AT_ONCE, LARGEST_TILE, SMALLEST_TILE, Tiling, plan_tiles

BACKENDS = {"onnx": ("onnxruntime", onnx_backend), "torchscript": ("torchscript", torchscript_backend)}


@dataclass(frozen=True)
class _Setup:
    """How the network is run. n_device: of the model's devices. largest, at_once: see `plan_tiles`."""

    backend: Backend
    n_device: int
    largest: int = LARGEST_TILE
    at_once: int = FRAMES_AT_ONCE
    fallbacks: tuple[str, ...] = ()


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
        self._backend, self._module = BACKENDS[manifest.format]
        self._devices = devices or self._module.devices(manifest)
        self._lock = threading.Lock()
        self._setup = self._open(0, (), timeout_s)

    @property
    def backend(self) -> str:
        """What runs the network: `onnxruntime`, `openvino` or `torchscript`."""
        on_openvino = self._devices[self._setup.n_device] in openvino_backend.PRECISIONS
        return "openvino" if on_openvino else self._backend

    @property
    def device(self) -> str:
        """The device in use, such as `CPUExecutionProvider`, `cpu` or `CPU bf16`."""
        return self._setup.backend.device

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What was given up for want of memory or by a failure of the GPU, and for what; empty if all goes well."""
        return self._setup.fallbacks

    def tile(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """`(T, H, W)` of the tiles in which a stack of `shape` (frame, e1, ro) is denoised."""
        return plan_tiles(shape, self.manifest, self._setup.largest, self._setup.at_once).size

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
        denoised = self._run(run, image.shape, False, timeout_s)
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

        denoised, past = self._run(run, image.shape, True, timeout_s)
        check_output(manifest, image, gmap, denoised)
        return denoised, dataclasses.replace(before, past=past)

    def _run(
        self, run: Callable[[Backend, Tiling], Result], shape: tuple[int, int, int], by_frame: bool, timeout_s: float
    ) -> Result:
        """What `run` gives on the device in use, or on what there is to fall back to."""
        first = setup = self._setup
        while True:
            tiling = plan_tiles(shape, self.manifest, setup.largest, setup.at_once, by_frame=by_frame)
            try:
                found = run(setup.backend, tiling)
                break
            except Failure as failure:
                setup = self._next(setup, failure, shape, by_frame, timeout_s)
        if setup is not first:  # it did better; an image that fails in every way leaves things as they are
            with self._lock:
                if len(setup.fallbacks) > len(self._setup.fallbacks):
                    self._setup = setup
        return found

    def denoise_in_tiles(
        self, image: np.ndarray, gmap: np.ndarray, largest: int, shifted: bool, timeout_s: float = TIMEOUT_S
    ) -> np.ndarray:
        """As `denoise`, without `safety` and fallbacks, in tiles of one's own choice: see `plan_tiles`."""
        setup = self._setup
        tiling = plan_tiles(image.shape, self.manifest, largest, setup.at_once, shifted)
        return run_tiles(setup.backend, self.manifest, tiling, image, gmap, timeout_s)

    def _open(self, n_device: int, fallbacks: tuple[str, ...], timeout_s: float) -> _Setup:
        """The first device from `n_device` on that loads the network."""
        while True:
            load, cancel = self._opening(self._devices[n_device])
            try:
                failure = f"{self.path.name} cannot be loaded"
                return _Setup(limited(self.manifest, timeout_s, failure, load, cancel), n_device, fallbacks=fallbacks)
            except Failure as exc:
                if n_device + 1 == len(self._devices):
                    raise
                fallbacks += (f"{self._devices[n_device]} to {self._devices[n_device + 1]}: {exc}",)
                n_device += 1

    def _opening(self, device: str) -> Opening:
        if device in openvino_backend.PRECISIONS:
            return openvino_backend.opening(self._data(), self.manifest, device)
        opening: Opening = self._module.opening(self._data(), self.manifest, device)
        return opening

    def _data(self) -> bytes:
        try:
            return read_checked(self.path, self.manifest.sha256, self.manifest.name)
        except OSError as exc:
            raise ModelError(f"model {self.manifest.name}: {self.path.name} cannot be read: {exc}") from None

    def _next(
        self, setup: _Setup, failure: Failure, shape: tuple[int, int, int], by_frame: bool, timeout_s: float
    ) -> _Setup:
        """After a failure: one tile at a time, then smaller ones, if memory is short, then the next device."""
        if failure.out_of_memory:
            tiling = plan_tiles(shape, self.manifest, setup.largest, setup.at_once, by_frame=by_frame)
            where = f"out of memory on {setup.backend.device}: "
            if min(tiling.at_once, max(map(len, tiling.groups))) > 1:
                return dataclasses.replace(setup, at_once=1, fallbacks=(*setup.fallbacks, f"{where}one tile at a time"))
            largest = max(SMALLEST_TILE, max(tiling.size[1:]) // 2)
            smaller = plan_tiles(shape, self.manifest, largest, 1, by_frame=by_frame).size
            if smaller != tiling.size:
                text = f"{where}tiles of {smaller[1]} x {smaller[2]}"
                return dataclasses.replace(setup, largest=largest, at_once=1, fallbacks=(*setup.fallbacks, text))
        if setup.n_device + 1 == len(self._devices):
            raise failure
        text = f"{setup.backend.device} to {self._devices[setup.n_device + 1]}: {failure}"
        return self._open(setup.n_device + 1, (*setup.fallbacks, text), timeout_s)
