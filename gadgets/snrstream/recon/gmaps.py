"""g-maps of accelerations that were not scanned, from calibration lines or coil maps alone."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .lattice import Lattice
from .plan import MapOptions, fit_kernel, maps_of_calibration, unmixed

COLUMNS = 16  # of the readout at once
LEAST = 1e-6  # added to the eigenvalues of maps' products: pixels whose maps are alike have a g of 1,000, not infinity


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


def sense_gmap(csm: Tensor, lattice: Lattice) -> Tensor:
    """The g-map of the coils' geometry alone: what SENSE has, which lets no aliasing through.

    Never below 1, and no smaller where a sampling is made sparser. GRAPPA's own is of the coefficients applied: where
    noisy calibration lines, or few of them, do not tell aliases apart, they let these through, and its g falls again.
    Aliases that lie between pixels are taken from the nearest.

    Parameters
    ----------
    csm : Tensor
        `(channel, e2, e1, ro)` complex64, coil maps in units of the noise's SD.
    lattice : Lattice
        The regular sampling in question.

    Returns
    -------
    Tensor
        `(e2, e1, ro)` float32.

    References
    ----------
    Pruessmann et al., "SENSE: Sensitivity encoding for fast MRI", MRM 42:952 (1999), equation 23.
    """
    (r1, r2), (n_e2, n_e1) = lattice.acceleration, (csm.shape[1], csm.shape[2])
    # Where the sampling's sum of phases is not zero: the lattice that is dual to it.
    aliases = [(n_e2 / r2 * (j - i * lattice.shift / r1), n_e1 * i / r1) for i in range(r1) for j in range(r2)]
    parts = []
    for columns in csm.to(torch.complex128).split(COLUMNS, dim=3):
        maps = torch.stack([columns.roll((-round(z), -round(y)), dims=(1, 2)) for z, y in aliases], dim=-1)
        maps = maps.permute(1, 2, 3, 0, 4)  # (e2, e1, ro, channel, alias), the pixel itself first
        products = maps.mH @ maps + LEAST * torch.eye(len(aliases), device=csm.device)
        variance = torch.linalg.inv(products)[..., 0, 0].real * products[..., 0, 0].real
        parts.append(variance.clamp(min=1).sqrt().float())
    return torch.cat(parts, dim=2)
