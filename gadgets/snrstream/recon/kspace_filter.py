"""Window functions, and their product with the k-space of an image in SNR units."""

import math

import torch
from torch import Tensor

from .fft import to_image, to_kspace
from .noise_spread import rescaled, spread
from .spectrum import Spectrum

Weights = tuple[Tensor | None, Tensor | None, Tensor | None]  # along e2, e1, ro; None: all ones


def gaussian(n: int, sigma: float) -> Tensor:
    """`exp(-x^2 / (2 sigma^2))`, x from -1 to 1 at the edges of k-space, as Gadgetron has it.

    Parameters
    ----------
    n : int
        Samples, with k = 0 at n // 2.
    sigma : float
        SD, as a fraction of half of k-space.

    Returns
    -------
    Tensor
        `(n,)` float64.
    """
    return torch.exp(-(_position(n) ** 2) / (2 * sigma**2))


def hanning(n: int, width: float) -> Tensor:
    """1 in the middle, cos^2 down to 0 over the outer part of each half.

    Parameters
    ----------
    n : int
        Samples, with k = 0 at n // 2.
    width : float
        Of the outer part, above 0, to 1, as a fraction of half of k-space.

    Returns
    -------
    Tensor
        `(n,)` float64.
    """
    outside = (_position(n).abs() - (1 - width)).clamp(min=0) / width
    return torch.cos(math.pi / 2 * outside) ** 2


def _position(n: int) -> Tensor:
    """Position over half the size of k-space: 0 at index n // 2."""
    return (torch.arange(n, dtype=torch.float64) - n // 2) / (n / 2)


def filtered(image: Tensor, gmap: Tensor, spectrum: Spectrum, weights: Weights) -> tuple[Tensor, Tensor, Spectrum]:
    """The image with its k-space multiplied by a product of weights along its axes.

    The image is scaled so that noise of a constant SD keeps it; where g varies within the filter's point-spread
    function h, the SD becomes `sqrt(g^2 convolved with |h|^2)`, and that is the g-map returned.

    Parameters
    ----------
    image : Tensor
        `(e2, e1, ro)` complex64 in SNR units.
    gmap : Tensor
        `(e2, e1, ro)` float32: the SD of its noise.
    spectrum : Spectrum
        How its noise is correlated.
    weights : tuple of Tensor or None
        `(e2,)`, `(e1,)` and `(ro,)` float64; None: all ones.

    Returns
    -------
    image, gmap, spectrum : tuple
        All three after the filter, of the same shapes.
    """
    along = {axis: weight for axis, weight in enumerate(weights) if weight is not None}
    kspace = to_kspace(image, dims=tuple(along))
    for axis, weight in along.items():
        kspace = kspace * weight.float().reshape([-1 if a == axis else 1 for a in range(3)])
    lines, samples = spectrum.lines.double(), spectrum.samples.double()
    for axis, weight in along.items():
        if axis == 2:
            samples = samples * weight
        else:
            lines = lines * (weight[:, None] if axis == 0 else weight)
    after, scale = rescaled(lines, samples)
    responses = {axis: _response(weight) for axis, weight in along.items()}
    return scale * to_image(kspace, dims=tuple(along)), spread(gmap.square(), responses).sqrt().float(), after


def _response(weight: Tensor) -> Tensor:
    """What the filter makes of a delta at each index, `(out, in)` complex128: one point-spread function, shifted."""
    n = len(weight)
    delta = torch.zeros(n, dtype=torch.complex128)
    delta[0] = 1
    point_spread = to_image(weight * to_kspace(delta, dims=(0,)), dims=(0,))
    index = torch.arange(n)
    return point_spread[(index[:, None] - index) % n]
