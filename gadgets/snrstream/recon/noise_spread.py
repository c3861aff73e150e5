"""How a separable linear step passes on the noise of an image: its scale, its spectrum, its g-map.

One rule keeps SNR units: what changes the spectrum of the noise scales the image by rms(before) / rms(after),
so that unit noise stays unit noise.
"""

import torch
from torch import Tensor

from .spectrum import Spectrum


def rescaled(lines: Tensor, samples: Tensor) -> tuple[Spectrum, float]:
    """The spectrum after a step, and the scale of the image that keeps the noise's SD.

    Parameters
    ----------
    lines, samples : Tensor
        `(e2, e1)` and `(ro,)`, real: what the step makes of the SD of a spectrum, which had a mean square of 1.

    Returns
    -------
    spectrum : Spectrum
        After the step.
    scale : float
        By which the image is to be multiplied.
    """
    rms = [float(part.double().square().mean().sqrt()) for part in (lines, samples)]
    return Spectrum.of(lines, samples), 1 / (rms[0] * rms[1])


def spread(power: Tensor, responses: dict[int, Tensor]) -> Tensor:
    """Noise power after a step, up to the scale of the step, which `rescaled` takes care of.

    Uncorrelated values of variance p through the matrix H have the variance sum |H|^2 p; rows are scaled to a sum of 1.
    Exact for the g-map of white noise, where g^2 is convolved with the squared magnitude of the point-spread function.
    Neglected are correlations: of neighbours, whose g is much alike, and of pixels that alias onto each other under
    parallel imaging, which the point-spread function hardly connects.

    Parameters
    ----------
    power : Tensor
        Real, of any shape: the variance of each value.
    responses : dict of int to Tensor
        For each axis that the step touches, what it makes of a delta at each index: `(out, in)` complex.

    Returns
    -------
    Tensor
        Float64, with `out` values along these axes.
    """
    power = power.double()
    for axis, response in responses.items():
        weights = response.abs().double().square()
        weights = weights / weights.sum(dim=1, keepdim=True)
        power = torch.tensordot(weights, power, dims=([1], [axis])).movedim(0, axis)
    return power.contiguous()
