"""The slowly varying phase of images, which a network for complex images has learnt to see taken out."""

import numpy as np
import torch
import torch.nn.functional as F

WINDOW = 15  # pixels an edge; by measurement, docs/adr/0004-phase-of-the-coil-maps.md


def smooth_phase(image: np.ndarray, gmap: np.ndarray) -> np.ndarray:
    """That of the mean over a pixel's neighbourhood, each pixel divided by its noise.

    Multiplied by its conjugate, an image is nearly real and positive, its noise as white as before; multiplied by it
    again, it is what it was. In a narrow window a pixel's own noise counts: it is turned towards the positive, and a
    network takes it for signal.

    Parameters
    ----------
    image : ndarray
        `(frame, e1, ro)` complex64.
    gmap : ndarray
        The same shape, float32; 0 counts as 1.

    Returns
    -------
    ndarray
        The same shape, complex64 of magnitude 1.
    """
    white = torch.from_numpy(image / np.where(gmap > 0, gmap, np.float32(1)))
    means = torch.stack([white.real, white.imag])
    for axis in (-1, -2):
        means = _window_sums(means, axis)
    phase = torch.complex(*means).sgn()
    return torch.where(phase == 0, 1, phase).numpy()


def _window_sums(values: torch.Tensor, axis: int) -> torch.Tensor:
    """Over `WINDOW` neighbours along an axis, 0 beyond its ends."""
    n, reach = values.shape[axis], WINDOW // 2
    sums = F.pad(values.movedim(axis, -1), (reach + 1, reach)).cumsum(-1)
    return (sums[..., WINDOW:] - sums[..., :n]).movedim(-1, axis)
