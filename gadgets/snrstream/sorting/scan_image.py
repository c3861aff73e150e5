"""One image of a scan while its lines come in, and the bucket that it becomes."""

import dataclasses
import logging
import math

import numpy as np
import torch

from ..errors import ScanError
from ..items import Bucket, Calibration
from ..recon.fft import acquired_share
from ..recon.lattice import Lattice
from ..recon.sampling import is_block, on_lattice
from ..wire.header import Encoding
from .calibration_block import find_calibration_block
from .embedded_calibration import embedded_calibration
from .image_kspace import from_centre, put_in_place
from .image_lines import ImageLines
from .line_names import named_acceleration
from .line_warnings import told_of_averages, told_of_flags, told_of_limits, told_of_missing
from .placement import Placer
from .settling import settled

log = logging.getLogger(__name__)


class ScanImage(ImageLines):
    """When an image of a slice, contrast, phase, set and repetition is complete, and what becomes of it.

    Parameters and errors are those of `ImageLines`.
    """

    def __init__(self, encoding: Encoding, placer: Placer, lattice: Lattice | None = None) -> None:
        super().__init__(encoding, placer, lattice)
        self.n_acquired = 0  # lines, which whoever adds them counts
        self._n_unflagged = 0  # lines off the lattice that were taken for calibration lines
        self._due = 0  # readouts: it is whole with no fewer
        self._reckon()

    @property
    def has_most_lines(self) -> bool:
        """Whether some 70 % of the image lines are there."""
        n_lines = len(self._image) * math.prod(self.encoding.acceleration)
        return self.has_lines and n_lines >= self._expected().fewest()

    def complete(self) -> bool:
        """Whether every line that the header lets expect is there."""
        if not self.has_most_lines:
            return False
        try:
            sampling = self._sampling()
        except ScanError:  # calibration lines are still to come, or `settle` cures it
            return False
        return len(self._expected().missing(sampling)) == 0

    def settle(self) -> str:
        """Go by the steps in which all lines came, where these are not of the acceleration that the header tells.

        Returns
        -------
        str
            A warning that says so; empty where there is no need, or no acceleration fits.
        """
        told = self.encoding
        if not self.has_lines or told.interleaved:
            return ""
        acceleration, text = settled(self._arrived(), told.acceleration, self._expected())
        if text:
            self.encoding = dataclasses.replace(told, acceleration=acceleration)
            self._reckon()
        return text

    def is_whole(self, n_averages: int) -> bool:
        """Whether it has every line that the header lets expect, in all averages: nothing but repeats can follow.

        Asked with every line, and so no more than a count for most. Unlike `complete` it expects corners, which
        elliptical scanning leaves out: they may come last.

        Parameters
        ----------
        n_averages : int
            Of each line.
        """
        n_readouts = len(self._image)
        if n_readouts < self._due or not all(self.encoding.limits_known):
            return False
        try:
            sampling = self._sampling()
        except ScanError:  # calibration lines, of which some are still to come
            self._due = n_readouts + 1 + n_readouts // 8
            return False
        missing = self._expected().missing(sampling, elliptical=False)
        n_lacking = (len(missing) + len(self._image.lines)) * n_averages - n_readouts
        self._due = n_readouts + max(1, n_lacking)
        return len(missing) == 0 and self._image.fewest_averages >= n_averages

    @property
    def has_calibration_lines(self) -> bool:
        """Whether lines came that are flagged for calibration."""
        return len(self._calibration) > 0

    def is_calibrated(self) -> bool:
        """Whether its calibration lines leave no gap; false where there are none."""
        own = self._calibration.lines
        lines = np.concatenate([own, self._image.lines])
        return len(own) > 0 and is_block(lines, own.min(axis=0), own.max(axis=0))

    def calibration(self, device: torch.device, snr_units: bool = True) -> Calibration | None:
        """`find_calibration_block` among its calibration lines; None where there are none, or no acceleration.

        Without acceleration an image is its own best calibration: no darker or coarser one shall stand in for it.

        Parameters
        ----------
        device : torch.device
            Where it is to lie.
        snr_units : bool
            Whether the data is prewhitened.

        Raises
        ------
        ScanError
            Where the calibration lines do not hold k = 0, or lines lie outside of k-space.
        """
        if self.encoding.acceleration == (1, 1):
            return None
        self._place()
        if len(self._calibration) == 0:
            lines, (_, lattice, first) = self._image.lines, self._sampling()
            stray = lines[~on_lattice(lines, lattice, first)]
            self._n_unflagged = len(stray)
            return embedded_calibration(self._image, stray, self._names, device, snr_units)
        called = self._names.extent
        return find_calibration_block(self._calibration, self._image, self.size, called, device, snr_units)

    def bucket(
        self, calibration: Calibration | None, warnings: tuple[str, ...], device: torch.device, snr_units: bool = True
    ) -> Bucket:
        """The image's data in place. Its lines are given away.

        Parameters
        ----------
        calibration : Calibration or None
            That the image is to be reconstructed by.
        warnings : tuple of str
            Those before its own.
        device : torch.device
            Where k-space is to lie.
        snr_units : bool
            Whether the data is prewhitened.

        Raises
        ------
        ScanError
            Where there are no lines, or too few, or they lie outside of k-space, or do not follow the header's
            acceleration, or hold next to no signal.
        """
        if not self.has_lines or self._image.readout is None:
            raise ScanError("an image has no lines of its own; expected some")
        placement = self._place()
        sampling = self._sampling()
        missing = self._expected().missing(sampling)
        placed = put_in_place(self._image, self._calibration, sampling, missing, self.size)
        own = (
            *told_of_flags(placed.n_lent, self._n_unflagged),
            *told_of_missing(placed.missing, placed.n_lines, self._names),
            *told_of_averages(self._image, self._calibration, self.encoding.n_averages),
            *told_of_limits(np.concatenate([self._image.lines, self._calibration.lines]), self.encoding, self._names),
            *dict.fromkeys(self._image.warnings + self._calibration.warnings),
        )
        is_full = sampling.lattice.acceleration == (1, 1)
        if is_full and self.encoding.acceleration != (1, 1):
            own += (f"every line came; the header tells {named_acceleration(self.encoding.acceleration)}",)
        if placed.peak == 0:
            own += ("the central line is zero: there is no signal",)
        for text in own:
            log.warning(text)
        nx, (nz, ny) = self.encoding.encoded_matrix[0], self.size
        fov = self.encoding.encoded_fov_mm
        return Bucket(
            kspace=placed.kspace.to(device),
            line_sd=placed.line_sd,
            grid=placed.grid,
            lattice=sampling.lattice,
            sample_sd=acquired_share(*self._image.readout, nx, placed.kspace.shape[-1]).sqrt(),
            calibration=None if is_full else calibration,
            voxel_mm=(fov[0] / nx, fov[1] / ny, fov[2] / nz),
            head=self._heads[min(self._heads, key=lambda line: from_centre(line, self.size))],
            warnings=warnings + placement.warnings + own,
            snr_units=snr_units,
        )

    def _reckon(self) -> None:
        self._due = self._expected().fewest() // math.prod(self.encoding.acceleration)
