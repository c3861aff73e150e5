"""One denoising of a stack of frames: tile after tile through a backend, each piece of work within its time limit."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..errors import ModelError, ModelTimeout
from ..system.time_limit import within
from .backend import Backend, Stop, is_out_of_memory, reason
from .contracts import fill_input, input_shape, output_shape, put_answer, scale_of
from .manifest_fields import Manifest
from .tiling import Tile, Tiling

TIMEOUT_S = 30.0

Result = TypeVar("Result")


class Failure(ModelError):
    """A run that failed by itself, and not by its time limit or a wrong answer: another device or tile may do."""

    def __init__(self, text: str, out_of_memory: bool) -> None:
        super().__init__(text)
        self.out_of_memory = out_of_memory


def run_tiles(
    backend: Backend, manifest: Manifest, tiling: Tiling, image: np.ndarray, gmap: np.ndarray, timeout_s: float
) -> np.ndarray:
    """The network's answer to a stack, complex64 of the same shape.

    Parameters
    ----------
    image
        `(frame, e1, ro)` complex64, in SNR units.
    gmap
        `(frame, e1, ro)` float32.
    timeout_s
        For each group of the tiling, in seconds.

    Raises
    ------
    ModelTimeout
        A group takes longer.
    Failure
        A run fails by itself.
    ModelError
        An answer has the wrong shape.
    """
    out = np.zeros(image.shape, np.complex64) if tiling.blended else np.empty(image.shape, np.complex64)
    scale, failure = scale_of(image, manifest), "failed on {} x {} x {}".format(*image.shape)
    for group in tiling.groups:
        stop = backend.stop()

        def work(group: list[Tile] = group, stop: Stop = stop) -> None:
            at_once = min(tiling.at_once, backend.most_at_once)
            # One buffer for all runs bounds the memory.
            buffer = np.empty(input_shape(manifest, min(at_once, len(group)), tiling.size), np.float32)
            for first in range(0, len(group), at_once):
                if stop.terminate:
                    return
                tiles = group[first : first + at_once]
                batch = buffer[: len(tiles)]
                for item, tile in zip(batch, tiles, strict=True):
                    fill_input(item, manifest, image, gmap, tiling, tile, scale)
                answer = backend.run(batch, stop)
                expected = output_shape(manifest, len(tiles), tiling.size)
                if answer.shape != expected:
                    raise ModelError(f"model {manifest.name} answered with shape {answer.shape}; expected {expected}")
                for item, tile in zip(answer, tiles, strict=True):
                    put_answer(out, item, manifest, image, tiling, tile, scale)

        def cancel(stop: Stop = stop) -> None:
            stop.terminate = True

        limited(manifest, timeout_s, failure, work, cancel)
    return out


def limited(
    manifest: Manifest, timeout_s: float, failure: str, work: Callable[[], Result], cancel: Callable[[], None]
) -> Result:
    """`work` within its time limit, in seconds; every failure of it is a ModelError that says what failed."""
    try:
        return within(timeout_s, manifest.sha256, work, cancel)
    except ModelError:
        raise
    except TimeoutError as exc:
        raise ModelTimeout(f"model {manifest.name}: {failure}: {exc} (timeout_s)") from None
    except Exception as exc:  # noqa: BLE001 - each backend raises classes of its own for every fault
        raise Failure(f"model {manifest.name}: {failure}: {reason(exc)}", is_out_of_memory(exc)) from None
