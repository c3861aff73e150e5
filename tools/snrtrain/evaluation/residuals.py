"""Whether what a network takes off an image is noise: figures of the residual beside those of noise alone."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from . import tables
from .comparison import thirds_of

DIFFERS = 0.05  # from noise alone, by which a correlation over the thousands of pixels of an object is told


@dataclass(frozen=True)
class ResidualRow:
    """Of complex images divided by the g-map, in the object.

    sd: of the real and the imaginary part, in noise SDs; in the thirds of the object by g, NaN where g is the same.
    neighbours: correlation of pixels that lie side by side, over both axes. edges: correlation of the magnitude with
    the steepness of the object.
    """

    image: str = tables.column("image")
    sd: float = tables.column("SD", ".2f")
    sd_low: float = tables.column("SD, lowest g", ".2f")
    sd_middle: float = tables.column("SD, middle g", ".2f")
    sd_high: float = tables.column("SD, highest g", ".2f")
    neighbours: float = tables.column("correlation of neighbours", "+.3f")
    edges: float = tables.column("correlation with edges", "+.3f")


def residual_row(name: str, residual: Tensor, gmap: Tensor, magnitude: Tensor, mask: Tensor) -> ResidualRow:
    """A residual `(S, e1, ro)` complex64 in SNR units with its g-map; magnitude: of the object; mask: where it is."""
    white = residual / gmap.clamp(min=float(torch.finfo(torch.float32).tiny))
    parts = [mask, *(thirds_of(gmap.expand(mask.shape), mask) or [torch.zeros_like(mask)] * 3)]
    sds = [float((white[part].abs().square().mean() / 2).sqrt()) for part in parts]
    smooth = ndimage.gaussian_filter(magnitude.double().numpy(), [0, 1, 1])
    steepness = np.hypot(*np.gradient(smooth, axis=(-2, -1)))[mask.numpy()]
    taken = white.abs()[mask].numpy()
    varies = taken.std() > 0 and steepness.std() > 0
    edges = float(np.corrcoef(taken, steepness)[0, 1]) if varies else float("nan")
    all_of_it, low, middle, high = sds
    return ResidualRow(name, all_of_it, low, middle, high, _of_neighbours(white, mask), edges)


def reading(noise: ResidualRow, taken: ResidualRow) -> str:
    """One line for people: what the figures of `taken` say beside those of noise alone."""
    edges, neighbours = taken.edges - noise.edges, taken.neighbours - noise.neighbours
    if edges > DIFFERS:
        where = "more where the object has edges, so anatomy may be among it"
    elif edges < -DIFFERS:
        where = "less where the object has edges, so that noise stays there"
    else:
        where = "as much where the object has edges as elsewhere"
    if neighbours > DIFFERS:
        how = "it is smoother than noise"
    elif neighbours < -DIFFERS:
        how = "slow changes of the noise stay in the image"
    else:
        how = "neighbours correlate as in noise"
    if not (math.isfinite(edges) and math.isfinite(neighbours)):
        return f"It took off {taken.sd / noise.sd:.0%} of the noise SD; the rest cannot be told of a flat object."
    return f"It took off {taken.sd / noise.sd:.0%} of the noise SD, {where}; {how}."


def _of_neighbours(white: Tensor, mask: Tensor) -> float:
    """Real part of the correlation of neighbours along both axes, both of them in the mask."""
    products, power = 0.0, 0.0
    for axis in (-2, -1):
        n = white.shape[axis] - 1
        a, b = white.narrow(axis, 0, n), white.narrow(axis, 1, n)
        both = mask.narrow(axis, 0, n) & mask.narrow(axis, 1, n)
        products += float((a * b.conj()).real[both].sum())
        power += float((a.abs().square() + b.abs().square())[both].sum()) / 2
    return products / power if power else float("nan")
