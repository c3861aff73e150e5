"""A network's answer to images as scans have them: of any phase, and with the means that they have."""

import numpy as np

from .local_means import keep_local_means
from .model import Model
from .smooth_phase import smooth_phase
from .state import State


def denoise(model: Model, image: np.ndarray, gmap: np.ndarray, timeout_s: float, causal: bool = False) -> np.ndarray:
    """The network's own answer to images of any phase.

    A network for complex images sees each frame without its slowly varying phase, which its answer is given back, and
    so are local means: see `keep_local_means`.

    Parameters
    ----------
    model : Model
        Loaded.
    image, gmap, timeout_s, causal
        As `Model.denoise` takes them, which also tells the errors.

    Returns
    -------
    ndarray
        Of the shape and dtype of `image`.
    """
    if model.manifest.input != "complex_gmap":
        return model.denoise(image, gmap, timeout_s, causal)
    flat, phase = _without_phase(image, gmap)
    return keep_local_means(image, model.denoise(flat, gmap, timeout_s, causal) * phase, gmap)


def stream(
    model: Model, image: np.ndarray, gmap: np.ndarray, state: State | None, timeout_s: float
) -> tuple[np.ndarray, State]:
    """The same for the next image of a series, which is run once: those of `denoise` with `causal`, to rounding.

    Parameters
    ----------
    model : Model
        Loaded; its manifest has `past`.
    image, gmap, state, timeout_s
        As `Model.stream` takes them, which also tells the errors.

    Returns
    -------
    answer : ndarray
        Of the shape and dtype of `image`, `(e1, ro)`.
    state : State
        For the next image.
    """
    if model.manifest.input != "complex_gmap":
        return model.stream(image, gmap, state, timeout_s)
    flat, phase = _without_phase(image[None], gmap[None])
    answer, after = model.stream(flat[0], gmap, state, timeout_s)
    return keep_local_means(image[None], answer[None] * phase, gmap[None])[0], after


def _without_phase(image: np.ndarray, gmap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames `(frame, e1, ro)` without their smooth phase, and that phase."""
    with np.errstate(invalid="ignore"):  # which the model refuses
        phase = smooth_phase(image, gmap)
        return image * phase.conj(), phase
