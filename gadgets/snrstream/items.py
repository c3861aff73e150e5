"""What gadgets hand to each other: items of our own, besides those of ISMRMRD and Gadgetron."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import ismrmrd
import numpy as np
import torch
from gadgetron.types.acquisition_bucket import AcquisitionBucket
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconData

from .image_kind import ImageKind
from .recon.acquired import Acquired
from .recon.combine import Grid
from .recon.grappa import Kernel
from .recon.lattice import Lattice
from .recon.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class CalibrationBlock:
    """A fully sampled block of k-space.

    Attributes
    ----------
    kspace : Tensor, (channel, e2, e1, ro), complex64
        Prewhitened, readout oversampling removed.
    start : tuple of int
        Its first line (e2, e1).
    warnings : tuple of str
        For the images that use it.
    is_dark : bool
        Whether it holds hardly more than noise; then a warning says so.
    """

    kspace: torch.Tensor
    start: tuple[int, int]
    warnings: tuple[str, ...] = ()
    is_dark: bool = False


class Calibration:
    """Calibration lines, put together when they are first asked for. Images that share them share the object.

    Parameters
    ----------
    find : callable
        Puts them together, once. It may raise ScanError, as `find_calibration_block` does.
    n_averaged : int
        Of how many calibrations they are the mean. Those of more than one may come too late for an image, which then
        goes by an earlier mean of the same first one.
    first : Calibration, optional
        The first of these; itself by default.
    """

    def __init__(
        self, find: Callable[[], CalibrationBlock], n_averaged: int = 1, first: "Calibration | None" = None
    ) -> None:
        self._find: Callable[[], CalibrationBlock] | None = find
        self._lock = threading.Lock()
        self.n_averaged = n_averaged
        self.first = self if first is None else first

    @classmethod
    def of(
        cls, kspace: torch.Tensor, start: tuple[int, int], warnings: tuple[str, ...] = (), is_dark: bool = False
    ) -> "Calibration":
        """From lines that are in place: see `CalibrationBlock`."""
        block = CalibrationBlock(kspace, start, warnings, is_dark)
        return cls(lambda: block)

    @property
    def block(self) -> CalibrationBlock:
        """The lines, found by the first thread that asks."""
        with self._lock:
            if self._find is not None:
                self._block = self._find()
                self._find = None  # which holds the lines as they came
            return self._block

    @property
    def kspace(self) -> torch.Tensor:
        """Of the block."""
        return self.block.kspace

    @property
    def start(self) -> tuple[int, int]:
        """Of the block."""
        return self.block.start

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the block."""
        return self.block.warnings


@dataclass(frozen=True, eq=False)
class Bucket:
    """The prewhitened k-space of one image, with readout oversampling removed.

    Attributes
    ----------
    kspace : Tensor, (channel, e2, e1, ro), complex64
        In units of the noise's SD per part: the lines of `grid` in place, zero where none was acquired.
    line_sd : Tensor, (e2, e1), float32, on the CPU
        The noise's SD in each line of `grid`: 1 where it was acquired once, less where averages were, 0 where nothing
        was.
    grid : Grid
        Which lines of k-space are stored.
    lattice : Lattice
        The regular sampling that the lines follow.
    sample_sd : Tensor, (ro,), float32, on the CPU
        The noise's SD along the readout: 0 where an asymmetric echo lacks samples.
    calibration : Calibration or None
        Of this image, or of an earlier one of the same slice; None where there was none, or is no need of one.
    voxel_mm : tuple of float
        Pixel size (x, y, z) of the image, in mm.
    head : AcquisitionHeader
        Of the acquisition nearest to the centre of k-space: position, time, counters.
    kernel : Kernel or None
        Of GRAPPA, once `grappa` has calibrated it.
    history : tuple of str
        Names of the steps that shaped it.
    warnings : tuple of str
        For the meta attributes of the image.
    tapered : bool
        Whether a cut side of k-space was given a smooth end.
    snr_units : bool
        Whether the noise is white with a known SD.
    compression : Tensor or None, (virtual, channel), complex64
        What its channels are of those of the scan; None where they are these.
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
    compression: torch.Tensor | None = None

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

    Attributes
    ----------
    image : ndarray, (e2, e1, ro), complex64
        In units of the noise's SD per part in an acquisition without acceleration. Its axes are those of k-space, by
        the inverse FFT.
    gmap : ndarray, (e2, e1, ro), float32
        The noise's SD per part in each pixel.
    spectrum : Spectrum
        How the noise is correlated.
    voxel_mm : tuple of float
        Pixel size (x, y, z), in mm.
    head : AcquisitionHeader
        Of the acquisition nearest to the centre of k-space: position, time, counters.
    history : tuple of str
        Names of the steps that made it.
    meta : dict
        Further attributes for the outgoing image, by their names.
    warnings : tuple of str
        For the attributes of the outgoing image.
    kind : ImageKind
        What it is.
    tapered : bool
        Whether a cut side of its k-space was given a smooth end.
    snr_units : bool
        Whether the data was prewhitened, as all this presumes.
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


Item: TypeAlias = (
    ismrmrd.Acquisition
    | ismrmrd.Waveform
    | ismrmrd.Image
    | Bucket
    | ReconImage
    | AcquisitionBucket  # Gadgetron's, as the two below
    | ReconData
    | ImageArray
)
