"""The slowly varying phase of images, which a network for complex images has learnt to see taken out."""

import numpy as np
import torch
import torch.nn.functional as F

from .model import Model

WINDOW = 7  # pixels, as of the coil maps by Inati, whose images the networks learn from


def smooth_phase(image: np.ndarray) -> np.ndarray:
    """That of the mean over a pixel's neighbourhood.

    Multiplied by its conjugate, an image is nearly real and positive, its noise as white as before; multiplied by it
    again, it is what it was.

    Parameters
    ----------
    image : ndarray
        `(frame, e1, ro)` complex64.

    Returns
    -------
    ndarray
        The same shape, complex64 of magnitude 1.

    References
    ----------
    Inati, Hansen and Kellman, ISMRM 2013, 2672, for the phase of coil maps.
    """
    source, edge = torch.from_numpy(image), WINDOW // 2
    parts = F.pad(torch.stack([source.real, source.imag]), (edge,) * 4)
    real, imag = parts.unfold(-1, WINDOW, 1).sum(-1).unfold(-2, WINDOW, 1).sum(-1)
    phase = torch.complex(real, imag).sgn()
    return torch.where(phase == 0, 1, phase).numpy()


def denoise(model: Model, image: np.ndarray, gmap: np.ndarray, timeout_s: float) -> np.ndarray:
    """The network's own answer to images of any phase.

    A network for complex images sees each frame without its slowly varying phase, which its answer is given back.

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
        phase = smooth_phase(image)
        flat = image * phase.conj()
    answer: np.ndarray = model.denoise(flat, gmap, timeout_s) * phase
    return answer
