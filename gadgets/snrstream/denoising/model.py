"""A loaded denoising model: its network on a device, and what it falls back to when that fails."""

import dataclasses
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ModelError, ModelTimeout
from . import onnx_backend, torchscript_backend
from .backend import Backend
from .manifest import Manifest, load_manifest, read_checked
from .runs import TIMEOUT_S, Failure, limited, run_tiles
from .safety import check_input, check_output
from .tiling import FRAMES_AT_ONCE, LARGEST_TILE, SMALLEST_TILE, plan_tiles

BACKENDS = {"onnx": ("onnxruntime", onnx_backend), "torchscript": ("torchscript", torchscript_backend)}


@dataclass(frozen=True)
class _Way:
    """How the network is run. n_device: of the model's devices. largest, at_once: see `plan_tiles`."""

    backend: Backend
    n_device: int
    largest: int = LARGEST_TILE
    at_once: int = FRAMES_AT_ONCE
    fallbacks: tuple[str, ...] = ()


class Model:
    """One loaded model. `denoise` may be called from several threads.

    devices: `tensorrt`, `cuda`, `cpu` in the order in which they are tried; those at hand where it is not given. One
    that is not at hand costs nothing. One that fails, or has too little memory, is told in `fallbacks`.
    """

    def __init__(
        self, manifest: Manifest, path: Path, timeout_s: float = TIMEOUT_S, devices: tuple[str, ...] = ()
    ) -> None:
        self.manifest, self.path = manifest, path
        self.backend, self._module = BACKENDS[manifest.format]
        self._devices = devices or self._module.devices(manifest)
        self._lock = threading.Lock()
        self._way = self._open(0, (), timeout_s)

    @property
    def device(self) -> str:
        """The device in use, such as `CPUExecutionProvider` or `cpu`."""
        return self._way.backend.device

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What was given up for want of memory or by a failure of the GPU, and for what; empty if all goes well."""
        return self._way.fallbacks

    def tile(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """`(T, H, W)` of the tiles in which a stack of `shape` (frame, e1, ro) is denoised."""
        return plan_tiles(shape, self.manifest, self._way.largest, self._way.at_once).size

    def denoise(self, image: np.ndarray, gmap: np.ndarray, timeout_s: float = TIMEOUT_S) -> np.ndarray:
        """The network's own answer, unblended with the original.

        image: `(frame, e1, ro)` complex64 in SNR units, frames that are neighbours in order; gmap: the same shape,
        float32. timeout_s: for each 8 frames, or for the frames of one tile where the network mixes them, and for the
        loading on another device. Returns the shape and dtype of `image`. Any size: what the network cannot take is
        padded and cropped, or cut into tiles that overlap and are blended. Raises ModelTimeout where it takes
        longer, ModelError where it fails in any other way or `safety` refuses its input or answer.
        """
        check_input(self.manifest, image, gmap)
        first = way = self._way
        while True:
            try:
                plan = plan_tiles(image.shape, self.manifest, way.largest, way.at_once)
                denoised = run_tiles(way.backend, self.manifest, plan, image, gmap, timeout_s)
                break
            except Failure as failure:
                way = self._next(way, failure, image.shape, timeout_s)
        if way is not first:  # it did better; an image that fails in every way leaves things as they are
            with self._lock:
                if len(way.fallbacks) > len(self._way.fallbacks):
                    self._way = way
        check_output(self.manifest, image, gmap, denoised)
        return denoised

    def denoise_in_tiles(
        self, image: np.ndarray, gmap: np.ndarray, largest: int, shifted: bool, timeout_s: float = TIMEOUT_S
    ) -> np.ndarray:
        """As `denoise`, without `safety` and fallbacks, in tiles of one's own choice: see `plan_tiles`."""
        way = self._way
        plan = plan_tiles(image.shape, self.manifest, largest, way.at_once, shifted)
        return run_tiles(way.backend, self.manifest, plan, image, gmap, timeout_s)

    def _open(self, n_device: int, fallbacks: tuple[str, ...], timeout_s: float) -> _Way:
        """The first device from `n_device` on that loads the network."""
        while True:
            load, cancel = self._module.opening(self._data(), self.manifest, self._devices[n_device])
            try:
                failure = f"{self.path.name} cannot be loaded"
                return _Way(limited(self.manifest, timeout_s, failure, load, cancel), n_device, fallbacks=fallbacks)
            except Failure as exc:
                if n_device + 1 == len(self._devices):
                    raise
                fallbacks += (f"{self._devices[n_device]} to {self._devices[n_device + 1]}: {exc}",)
                n_device += 1

    def _data(self) -> bytes:
        try:
            return read_checked(self.path, self.manifest.sha256, self.manifest.name)
        except OSError as exc:
            raise ModelError(f"model {self.manifest.name}: {self.path.name} cannot be read: {exc}") from None

    def _next(self, way: _Way, failure: Failure, shape: tuple[int, int, int], timeout_s: float) -> _Way:
        """After a failure: one tile at a time, then smaller ones, if memory is short, then the next device."""
        if failure.out_of_memory:
            plan = plan_tiles(shape, self.manifest, way.largest, way.at_once)
            where = f"out of memory on {way.backend.device}: "
            if min(plan.at_once, max(map(len, plan.groups))) > 1:
                return dataclasses.replace(way, at_once=1, fallbacks=(*way.fallbacks, f"{where}one tile at a time"))
            largest = max(SMALLEST_TILE, max(plan.size[1:]) // 2)
            smaller = plan_tiles(shape, self.manifest, largest, 1).size
            if smaller != plan.size:
                text = f"{where}tiles of {smaller[1]} x {smaller[2]}"
                return dataclasses.replace(way, largest=largest, at_once=1, fallbacks=(*way.fallbacks, text))
        if way.n_device + 1 == len(self._devices):
            raise failure
        text = f"{way.backend.device} to {self._devices[way.n_device + 1]}: {failure}"
        return self._open(way.n_device + 1, (*way.fallbacks, text), timeout_s)


_loaded: dict[str, Model] = {}
_loading: dict[str, threading.Lock] = {}  # by name


def load_model(name: str, timeout_s: float = TIMEOUT_S) -> Model:
    """The model `models/<name>`, loaded once and shared. Its manifest and its file's hash are read at every call.

    A model whose folder has changed is loaded anew, and one that could not be loaded is tried again.
    Raises ModelTimeout where loading takes longer than `timeout_s` seconds, here or in another thread that began it,
    ModelError for all else that is wrong.
    """
    manifest, path = load_manifest(name)
    model = _at_hand(name, manifest, path)
    if model is not None:
        return model
    lock = _loading.setdefault(name, threading.Lock())
    if not lock.acquire(timeout=timeout_s):
        raise ModelTimeout(f"model {name}: another scan has been loading it for {timeout_s:g} s (timeout_s)")
    try:
        model = _at_hand(name, manifest, path)
        if model is None:
            model = _loaded[name] = Model(manifest, path, timeout_s)
        return model
    finally:
        lock.release()


def _at_hand(name: str, manifest: Manifest, path: Path) -> Model | None:
    """The loaded model, unless its folder has changed."""
    model = _loaded.get(name)
    return model if model is not None and (model.manifest, model.path) == (manifest, path) else None
