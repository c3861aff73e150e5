"""g-maps of accelerations that were not scanned, from calibration lines alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .coil_maps import calibration_images, inati
from .fft import to_image
from .grappa import NOISE_FROM, calibrate
from .lattice import Lattice
from .unmixing import gfactor, unmixing_coefficients


def unscanned_gmaps(
    acs: Tensor, start: tuple[int, int], size: tuple[int, int], lattices: Sequence[Lattice], step: int = 2
) -> Tensor:
    """The g-map that a scan of each lattice would have with these coils: float32 `(lattice, e2, e1, ro)`.

    acs: `(channel, partition, line, ro)` complex64, prewhitened k-space, its first line at index `start` of `size`,
    both (e2, e1). step: grid of the coil maps, in pixels. The same numbers that the chain finds when the scan
    is accelerated, for it takes kernel and maps from the calibration lines too. 1 where nothing is accelerated.
    Raises ScanError where the calibration lines are too few for a lattice.
    """
    csm = inati(calibration_images(to_image(acs, dims=(-1,)), start, size), step=step)
    gmaps = torch.empty(len(lattices), *csm.shape[1:], device=csm.device)
    for gmap, lattice in zip(gmaps, lattices, strict=True):
        acceleration = lattice.acceleration[0] * lattice.acceleration[1]
        by_noise = acceleration >= NOISE_FROM
        centre = size[0] // 2 - start[0], size[1] // 2 - start[1]
        kernel = calibrate(acs, lattice, size=size if by_noise else None, centre=centre) if acceleration > 1 else None
        gmap[...] = gfactor(unmixing_coefficients(kernel, csm), acceleration)
    return gmaps
