"""One denoising of a stack of frames: tile after tile through a backend, each piece of work within its time limit."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..errors import ModelError, ModelTimeout
from ..system.time_limit import within
from .backend import Backend, Stop, is_out_of_memory, reason
from .contracts import fill, input_shape, output_shape, place, scale_of
from .manifest import Manifest
from .tiling import Plan, Tile

TIMEOUT_S = 30.0

Result = TypeVar("Result")


class Failure(ModelError):
    """A run that failed by itself, and not by its time limit or a wrong answer: another device or tile may do."""

    def __init__(self, text: str, out_of_memory: bool) -> None:
        super().__init__(text)
        self.out_of_memory = out_of_memory


def run_tiles(
    backend: Backend, manifest: Manifest, plan: Plan, image: np.ndarray, gmap: np.ndarray, timeout_s: float
) -> np.ndarray:
    """The network's answer, complex64, to the stack `image` `(frame, e1, ro)`, complex64, with its g-map, float32.

    Raises ModelTimeout where a group of the plan takes longer than `timeout_s` seconds, Failure where a run fails,
    ModelError where an answer has the wrong shape.
    """
    out = np.zeros(image.shape, np.complex64) if plan.blended else np.empty(image.shape, np.complex64)
    scale, failure = scale_of(image, manifest), "failed on {} x {} x {}".format(*image.shape)
    for group in plan.groups:
        stop = backend.stop()

        def work(group: list[Tile] = group, stop: Stop = stop) -> None:
            at_once = min(plan.at_once, backend.most_at_once)
            # One buffer for all runs bounds the memory.
            buffer = np.empty(input_shape(manifest, min(at_once, len(group)), plan.size), np.float32)
            for first in range(0, len(group), at_once):
                if stop.terminate:
                    return
                tiles = group[first : first + at_once]
                batch = buffer[: len(tiles)]
                for item, tile in zip(batch, tiles, strict=True):
                    fill(item, manifest, image, gmap, plan, tile, scale)
                answer = backend.run(batch, stop)
                expected = output_shape(manifest, len(tiles), plan.size)
                if answer.shape != expected:
                    raise ModelError(f"model {manifest.name} answered with shape {answer.shape}; expected {expected}")
                for item, tile in zip(answer, tiles, strict=True):
                    place(out, item, manifest, image, plan, tile, scale)

        def cancel(stop: Stop = stop) -> None:
            stop.terminate = True

        limited(manifest, timeout_s, failure, work, cancel)
    return out


def limited(
    manifest: Manifest, timeout_s: float, failure: str, work: Callable[[], Result], cancel: Callable[[], None]
) -> Result:
    """`work` within its time limit, every failure of it as a ModelError."""
    try:
        return within(timeout_s, manifest.sha256, work, cancel)
    except ModelError:
        raise
    except TimeoutError as exc:
        raise ModelTimeout(f"model {manifest.name}: {failure}: {exc} (timeout_s)") from None
    except Exception as exc:  # each backend raises classes of its own for every fault
        raise Failure(f"model {manifest.name}: {failure}: {reason(exc)}", is_out_of_memory(exc)) from None
