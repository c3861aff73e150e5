"""Images whose coefficients would not fit into memory, made in slabs of readout columns.

The readout is not accelerated: once it is transformed, each column of pixels is a problem of its own, but for
the few neighbours that coil maps look at.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from .coil_maps import calibration_images
from .combine import Combiner, Grid
from .fft import to_image
from .grappa import Kernel
from .plan import unmixed

MOST_SLAB_BYTES = 512 << 20  # of the coil images of a slab


def combine_in_slabs(
    kspace: Tensor,
    grid: Grid,
    kernel: Kernel | None,
    acs: tuple[Tensor, tuple[int, int]] | None,
    scale: float,
    maps: Callable[[Tensor], Tensor],
    margin: int,
    step: int,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> tuple[Tensor, Tensor]:
    """The image and its g-map.

    Parameters
    ----------
    kspace : Tensor
        `(channel, stored e2, stored e1, ro)` complex64, prewhitened.
    grid : Grid
        Where its lines lie.
    kernel : Kernel or None
        None where all lines were acquired.
    acs : tuple or None
        Calibration lines `(channel, partition, line, ro)` complex64 and the index (e2, e1) of their first; None takes
        the coil images themselves for `maps`.
    scale : float
        Of the image, as `snr_scale` gives it.
    maps : callable
        Makes coil maps of coil images `(channel, e2, e1, ro)`: see `MapOptions.finder`.
    margin : int
        Columns beside a slab that `maps` wants to see.
    step : int
        Grid of `maps` in pixels, which is laid alike in all slabs.
    watch : callable
        Passes the slabs' numbers on, for a progress bar.

    Returns
    -------
    image : Tensor
        `(e2, e1, ro)` complex64 in SNR units, on the CPU.
    gmap : Tensor
        `(e2, e1, ro)` float32, on the CPU.
    """
    n_channels, n_ro = len(kspace), kspace.shape[-1]
    image = torch.empty(*grid.size, n_ro, dtype=kspace.dtype)
    gmap = torch.empty(*grid.size, n_ro)
    hybrid = torch.empty_like(kspace)
    for channel in range(n_channels):
        hybrid[channel] = to_image(kspace[channel], dims=(-1,))
    low = to_image(acs[0], dims=(-1,)) if acs is not None else None
    width = max(1, MOST_SLAB_BYTES // (8 * n_channels * grid.size[0] * grid.size[1] * step)) * step
    margin += -margin % step
    for start in watch(range(0, n_ro, width)):
        slab = slice(start, min(start + width, n_ro))
        seen = slice(max(0, slab.start - margin), min(n_ro, slab.stop + margin))
        if low is not None and acs is not None:
            coils = calibration_images(low[..., seen], acs[1], grid.size)
        else:
            coils = to_image(hybrid[..., seen], dims=(1, 2))
        csm = maps(coils)[..., slab.start - seen.start : slab.stop - seen.start]
        unmixing, g = unmixed(csm, kernel, slab.start, n_ro)
        gmap[..., slab] = g.cpu()
        combiner = Combiner.plan(unmixing, scale, grid, readout_done=True)
        image[..., slab] = combiner.image(hybrid[..., slab]).cpu()
    return image, gmap
