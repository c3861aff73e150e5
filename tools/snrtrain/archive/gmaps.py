"""g-maps to train with, of accelerations with which a scan was not made.

In the object they are those of the coils' geometry, for noise that is to be removed must rise with R. A kernel's own
falls again where its calibration lines do not tell the aliases apart: what it lets through is aliasing, not noise.
In air they are what the scanner shows there: below 1, for nothing is to be told apart.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from snrstream.recon.coil_maps import calibration_images
from snrstream.recon.fft import to_image
from snrstream.recon.gmaps import sense_gmap
from snrstream.recon.grappa import kernel_reach
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import KERNEL, MapOptions, fit_kernel, maps_of_calibration, unmixed
from snrtrain.metrics import object_mask

# Bright tissue of half a noise SD is the least from which a network learned more than a blur shows, by measurement; of
# patches with sigma ~ U(0, 32) and bright tissue at 40 to 400, half have that much at this g.
LARGEST_G = 20.0
ALONG_E1 = tuple((r, 1) for r in range(2, 9))  # accelerations (R1, R2) of slices
IN_BOTH = ((1, 2), (2, 2), (3, 2), (4, 2), (2, 3), (3, 3))  # of volumes, beside those along e1


def possible_gmaps(
    acs: Tensor, start: tuple[int, int], size: tuple[int, int], accelerations: Sequence[tuple[int, int]], step: int
) -> dict[tuple[int, int], Tensor]:
    """g-maps of those accelerations (R1, R2) for which there are calibration lines and channels enough.

    acs: prewhitened calibration lines `(channel, e2, e1, ro)` complex64, the first of which has the index `start` in
    k-space of `size` lines (e2, e1). step: grid of the coil maps. Each is `(e2, e1, ro)` float32.
    """
    csm = maps_of_calibration(acs, start, size, MapOptions(step=step))
    images = calibration_images(to_image(acs, dims=(-1,)), start, size)
    inside = object_mask((csm.conj() * images).sum(dim=0).abs())
    found = {}
    for acceleration in accelerations:
        lattice = Lattice(acceleration)
        if math.prod(acceleration) > len(acs) or not _fits(lattice, acs):
            continue
        kernel = fit_kernel(acs, start, size, lattice) if acceleration != (1, 1) else None
        found[acceleration] = torch.where(inside, sense_gmap(csm, lattice), unmixed(csm, kernel)[1])
    return found


def worth_keeping(gmap: np.ndarray, inside: np.ndarray) -> np.ndarray | None:
    """A g-map `(e1, ro)` with no value above `LARGEST_G`; None where half of the object `inside`, bool, exceeds it.

    A network learns nothing from more, and a factor of noise may be cut: the noise is made by the map that is kept.
    """
    if float(np.median(gmap[inside] if inside.any() else gmap)) >= LARGEST_G:
        return None
    return np.asarray(np.minimum(gmap, np.float32(LARGEST_G)))


def _fits(lattice: Lattice, acs: Tensor) -> bool:
    """Whether the scanner's kernel, targets included, is within the calibration lines."""
    spans = kernel_reach(lattice, KERNEL.n_lines, KERNEL.n_partitions)
    return all(span <= n for span, n in zip(spans, acs.shape[1:3], strict=True))
