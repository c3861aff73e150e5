"""g-maps of accelerations that were not scanned, from calibration lines alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .lattice import Lattice
from .plan import MapOptions, fit_kernel, maps_of_calibration, unmixed


def unscanned_gmaps(
    acs: Tensor, start: tuple[int, int], size: tuple[int, int], lattices: Sequence[Lattice], step: int = 2
) -> Tensor:
    """The g-maps that scans with these coils would have, were they accelerated.

    The same numbers that the chain finds when the scan is accelerated, for it takes kernel and maps from the
    calibration lines too.

    Parameters
    ----------
    acs : Tensor
        `(channel, partition, line, ro)` complex64, prewhitened k-space.
    start : tuple of int
        Index (e2, e1) of its first line.
    size : tuple of int
        Lines (e2, e1) of k-space.
    lattices : sequence of Lattice
        The regular samplings in question.
    step : int
        Grid of the coil maps, in pixels.

    Returns
    -------
    Tensor
        `(lattice, e2, e1, ro)` float32; 1 where nothing is accelerated.

    Raises
    ------
    ScanError
        Where the calibration lines are too few for a lattice.
    """
    csm = maps_of_calibration(acs, start, size, MapOptions(step=step))
    gmaps = torch.empty(len(lattices), *csm.shape[1:], device=csm.device)
    for gmap, lattice in zip(gmaps, lattices, strict=True):
        kernel = fit_kernel(acs, start, size, lattice) if lattice.acceleration != (1, 1) else None
        gmap[...] = unmixed(csm, kernel)[1]
    return gmaps
