"""What a stream costs for each image, and whether it gives what the whole series gives."""

import time
from dataclasses import dataclass

import numpy as np

from .model import Model
from .runs import TIMEOUT_S

N_TIMED = 3  # images, once all is kept that the window takes


@dataclass(frozen=True)
class Streamed:
    """A stream beside the causal series.

    Attributes
    ----------
    ms
        An image of a stream that keeps all that it ever will: the fastest of the last `N_TIMED`.
    nbytes
        What is kept then.
    rms, largest
        Of the stream less the series, in SNR units.
    """

    ms: float
    nbytes: int
    rms: float
    largest: float


def measure_stream(
    model: Model, image: np.ndarray, gmap: np.ndarray, most_frames: int, timeout_s: float = TIMEOUT_S
) -> Streamed:
    """Frame by frame, and all at once, through a model whose manifest has `past`.

    Parameters
    ----------
    image
        `(frame, e1, ro)` complex64, in SNR units: of a series as long as the window they are repeated.
    gmap
        `(frame, e1, ro)` float32.
    most_frames
        Of the series, if the window is longer.
    timeout_s
        As of `Model.denoise`, in seconds.

    Raises
    ------
    ModelError, ModelTimeout
        As `Model.stream`.
    """
    n_frames = min(model.manifest.window - 1 + N_TIMED, most_frames)
    image, gmap = (np.resize(part, (n_frames, *part.shape[1:])) for part in (image, gmap))
    state, seconds, off = None, [], []
    whole = model.denoise(image, gmap, timeout_s, causal=True)
    for frame, g, expected in zip(image, gmap, whole, strict=True):
        begun = time.perf_counter()
        found, state = model.stream(frame, g, state, timeout_s)
        seconds.append(time.perf_counter() - begun)
        off.append(np.abs(found - expected))
    difference = np.stack(off)
    rms = float(np.sqrt(np.mean(np.square(difference))))
    nbytes = 0 if state is None else state.nbytes
    return Streamed(1000 * min(seconds[-N_TIMED:]), nbytes, rms, float(difference.max()))
