"""A network's answer to images as scans have them: of any phase, and with the means that they have."""

import numpy as np

from .local_means import keep_local_means
from .model import Model
from .smooth_phase import smooth_phase


def denoise(model: Model, image: np.ndarray, gmap: np.ndarray, timeout_s: float) -> np.ndarray:
    """The network's own answer to images of any phase.

    A network for complex images sees each frame without its slowly varying phase, which its answer is given back, and
    so are local means: see `keep_local_means`.

    Parameters
    ----------
    model : Model
        Loaded.
    image, gmap, timeout_s
        As `Model.denoise` takes them, which also tells the errors.

    Returns
    -------
    ndarray
        Of the shape and dtype of `image`.
    """
    if model.manifest.input != "complex_gmap":
        return model.denoise(image, gmap, timeout_s)
    with np.errstate(invalid="ignore"):  # which the model refuses
        phase = smooth_phase(image, gmap)
        flat = image * phase.conj()
    return keep_local_means(image, model.denoise(flat, gmap, timeout_s) * phase, gmap)
