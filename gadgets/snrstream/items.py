"""What gadgets hand to each other, besides ISMRMRD's own acquisitions and images."""

from dataclasses import dataclass, field

import ismrmrd
import numpy as np
import torch

from .recon.combine import Grid
from .recon.grappa import Kernel, Lattice
from .recon.spectrum import Spectrum


@dataclass(frozen=True)
class ScanWarning:
    """A warning on its way to the meta attributes of the images that come after it."""

    text: str


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fully sampled block of k-space. Images that share it share the object.

    kspace: `(channel, e2, e1, ro)` complex64, readout oversampling removed. start: its first line (e2, e1).
    """

    kspace: torch.Tensor
    start: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Bucket:
    """The prewhitened k-space of one image, with readout oversampling removed.

    kspace: `(channel, e2, e1, ro)` complex64, the lines of `grid` in place, zero where none was acquired.
    sampled: `(e2, e1)` bool, the lines of `grid` that hold image data. lattice: the regular sampling they follow.
    readout: how much of each sample was acquired, `(ro,)` float32 from 0 to 1; less than all of an asymmetric echo.
    calibration: of this image, or of an earlier one of the same slice; None where there was none.
    voxel_mm: pixel size (x, y, z) of the image.
    head: header of the acquisition nearest to the centre of k-space: position, time, counters.
    kernel: the GRAPPA kernel, once `grappa` has calibrated it.
    """

    kspace: torch.Tensor
    sampled: torch.Tensor
    grid: Grid
    lattice: Lattice
    readout: torch.Tensor
    calibration: Calibration | None
    voxel_mm: tuple[float, float, float]
    head: ismrmrd.AcquisitionHeader
    kernel: Kernel | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReconImage:
    """A reconstructed image in SNR units: its noise SD is the g-factor per real and imaginary part.

    image: `(e2, e1, ro)` complex64; gmap: `(e2, e1, ro)` float32. spectrum: how the noise is correlated.
    history: names of the steps that made it; meta: further attributes for the outgoing image.
    denoised: whether a network had a part in it.
    """

    image: np.ndarray
    gmap: np.ndarray
    spectrum: Spectrum
    voxel_mm: tuple[float, float, float]
    head: ismrmrd.AcquisitionHeader
    history: tuple[str, ...] = ()
    meta: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    denoised: bool = False
