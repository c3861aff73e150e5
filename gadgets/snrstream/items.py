"""What gadgets hand to each other, besides ISMRMRD's own acquisitions and images."""

from dataclasses import dataclass, field

import ismrmrd
import numpy as np
import torch

from .image_kind import ImageKind
from .recon.acquired import Acquired
from .recon.combine import Grid
from .recon.grappa import Kernel
from .recon.lattice import Lattice
from .recon.spectrum import Spectrum


@dataclass(frozen=True)
class ScanWarning:
    """A warning on its way to the meta attributes of the images that come after it.

    snr_units: whether the data that follows is prewhitened all the same.
    """

    text: str
    snr_units: bool = True


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fully sampled block of k-space. Images that share it share the object.

    kspace: `(channel, e2, e1, ro)` complex64, readout oversampling removed. start: its first line (e2, e1).
    warnings: for the images that use it.
    """

    kspace: torch.Tensor
    start: tuple[int, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bucket:
    """The prewhitened k-space of one image, with readout oversampling removed.

    kspace: `(channel, e2, e1, ro)` complex64, the lines of `grid` in place, zero where none was acquired.
    line_sd: `(e2, e1)` float32 on the CPU, the noise's SD in each line of `grid`: 1 where it was acquired once, less
    where averages were, 0 where nothing was. lattice: the regular sampling that the lines follow.
    sample_sd: `(ro,)` float32 on the CPU, the same along the readout: 0 where an asymmetric echo lacks samples.
    calibration: of this image, or of an earlier one of the same slice; None where there was none, or is no need of one.
    voxel_mm: pixel size (x, y, z) of the image.
    head: header of the acquisition nearest to the centre of k-space: position, time, counters.
    kernel: the GRAPPA kernel, once `grappa` has calibrated it. history: names of the steps that shaped it.
    tapered: whether a cut side of k-space was given a smooth end.
    snr_units: whether the noise is white with a known SD.
    """

    kspace: torch.Tensor
    line_sd: torch.Tensor
    grid: Grid
    lattice: Lattice
    sample_sd: torch.Tensor
    calibration: Calibration | None
    voxel_mm: tuple[float, float, float]
    head: ismrmrd.AcquisitionHeader
    kernel: Kernel | None = None
    history: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tapered: bool = False
    snr_units: bool = True

    @property
    def acquired(self) -> Acquired:
        """What of k-space it holds, and with how much noise."""
        return Acquired(self.grid, self.lattice, self.line_sd, self.sample_sd)

    def spectrum(self) -> Spectrum:
        """Of the noise after GRAPPA, in the acquired lines and in those that it makes between them."""
        return self.acquired.spectrum()


@dataclass(frozen=True)
class ReconImage:
    """A reconstructed image in SNR units: its noise SD is the g-factor per real and imaginary part.

    image: `(e2, e1, ro)` complex64; gmap: `(e2, e1, ro)` float32. spectrum: how the noise is correlated.
    history: names of the steps that made it; meta: further attributes for the outgoing image.
    kind: what it is. tapered: whether a cut side of its k-space was given a smooth end. snr_units: whether the data was
    prewhitened, as all this presumes.
    """

    image: np.ndarray
    gmap: np.ndarray
    spectrum: Spectrum
    voxel_mm: tuple[float, float, float]
    head: ismrmrd.AcquisitionHeader
    history: tuple[str, ...] = ()
    meta: dict[str, str | list[str]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    kind: ImageKind = ImageKind.ORIGINAL
    tapered: bool = False
    snr_units: bool = True
