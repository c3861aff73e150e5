"""The device that runs a network, and what is fallen back to when it fails."""

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from . import onnx_backend, openvino_backend, torchscript_backend
from .backend import Backend, Opening
from .manifest import read_checked
from .manifest_fields import Manifest
from .runs import Failure, Result, limited
from .tiling import FRAMES_AT_ONCE, LARGEST_TILE, SMALLEST_TILE, Tiling, plan_tiles

BACKENDS = {"onnx": ("onnxruntime", onnx_backend), "torchscript": ("torchscript", torchscript_backend)}


@dataclass(frozen=True)
class Setup:
    """How the network is run. n_device: of the model's devices. largest, at_once: see `plan_tiles`."""

    backend: Backend
    n_device: int
    largest: int = LARGEST_TILE
    at_once: int = FRAMES_AT_ONCE
    fallbacks: tuple[str, ...] = ()


class Devices:
    """Those on which one network can be run, and the one in use. Parameters and errors are those of `Model`.

    Attributes
    ----------
    setup
        How the network is run now. It changes when a run fails and another way of running it does not.
    """

    def __init__(self, manifest: Manifest, path: Path, timeout_s: float, devices: tuple[str, ...]) -> None:
        self._manifest, self._path = manifest, path
        self._backend, self._module = BACKENDS[manifest.format]
        self._devices = devices or self._module.devices(manifest)
        self._lock = threading.Lock()
        self.setup = self._open(0, (), timeout_s)

    @property
    def backend(self) -> str:
        """What runs the network: `onnxruntime`, `openvino` or `torchscript`."""
        on_openvino = self._devices[self.setup.n_device] in openvino_backend.PRECISIONS
        return "openvino" if on_openvino else self._backend

    def run(
        self, run: Callable[[Backend, Tiling], Result], shape: tuple[int, int, int], by_frame: bool, timeout_s: float
    ) -> Result:
        """What `run` gives on the device in use, or on what there is to fall back to.

        Parameters
        ----------
        run
            Runs the network on a backend, in the tiles of a tiling.
        shape
            Of what it is run on, `(frame, e1, ro)`.
        by_frame
            As `plan_tiles` has it.
        timeout_s
            For the loading on another device, in seconds.

        Raises
        ------
        ModelTimeout, ModelError
            As `run`, or another device cannot be loaded.
        """
        first = setup = self.setup
        while True:
            tiling = plan_tiles(shape, self._manifest, setup.largest, setup.at_once, by_frame=by_frame)
            try:
                found = run(setup.backend, tiling)
                break
            except Failure as failure:
                setup = self._next(setup, failure, shape, by_frame, timeout_s)
        if setup is not first:  # it did better; an image that fails in every way leaves things as they are
            with self._lock:
                if len(setup.fallbacks) > len(self.setup.fallbacks):
                    self.setup = setup
        return found

    def _open(self, n_device: int, fallbacks: tuple[str, ...], timeout_s: float) -> Setup:
        """The first device from `n_device` on that loads the network."""
        while True:
            load, cancel = self._opening(self._devices[n_device])
            try:
                failure = f"{self._path.name} cannot be loaded"
                return Setup(limited(self._manifest, timeout_s, failure, load, cancel), n_device, fallbacks=fallbacks)
            except Failure as exc:
                if n_device + 1 == len(self._devices):
                    raise
                fallbacks += (f"{self._devices[n_device]} to {self._devices[n_device + 1]}: {exc}",)
                n_device += 1

    def _opening(self, device: str) -> Opening:
        if device in openvino_backend.PRECISIONS:
            return openvino_backend.opening(self._data(), self._manifest, device)
        opening: Opening = self._module.opening(self._data(), self._manifest, device)
        return opening

    def _data(self) -> bytes:
        try:
            return read_checked(self._path, self._manifest.sha256, self._manifest.name)
        except OSError as exc:
            raise ModelError(f"model {self._manifest.name}: {self._path.name} cannot be read: {exc}") from None

    def _next(
        self, setup: Setup, failure: Failure, shape: tuple[int, int, int], by_frame: bool, timeout_s: float
    ) -> Setup:
        """After a failure: one tile at a time, then smaller ones, if memory is short, then the next device."""
        if failure.out_of_memory:
            tiling = plan_tiles(shape, self._manifest, setup.largest, setup.at_once, by_frame=by_frame)
            where = f"out of memory on {setup.backend.device}: "
            if min(tiling.at_once, max(map(len, tiling.groups))) > 1:
                return dataclasses.replace(setup, at_once=1, fallbacks=(*setup.fallbacks, f"{where}one tile at a time"))
            largest = max(SMALLEST_TILE, max(tiling.size[1:]) // 2)
            smaller = plan_tiles(shape, self._manifest, largest, 1, by_frame=by_frame).size
            if smaller != tiling.size:
                text = f"{where}tiles of {smaller[1]} x {smaller[2]}"
                return dataclasses.replace(setup, largest=largest, at_once=1, fallbacks=(*setup.fallbacks, text))
        if setup.n_device + 1 == len(self._devices):
            raise failure
        text = f"{setup.backend.device} to {self._devices[setup.n_device + 1]}: {failure}"
        return self._open(setup.n_device + 1, (*setup.fallbacks, text), timeout_s)
