"""The mean of the calibrations that a series of images brings."""

import torch

from ..items import Calibration, CalibrationBlock


class CalibrationMean:
    """Of the calibrations of one slice, contrast and set; those that do not fit the first are left out.

    Each is turned by one phase for all of its samples before it joins: the scanner's frequency drifts, and kernel and
    coil maps do not depend on that phase, while a mean over it would fade.

    Parameters
    ----------
    first : Calibration
        The first of them.
    """

    def __init__(self, first: Calibration) -> None:
        self.n = 1
        self._first = first
        self._total = first.kspace

    def add(self, calibration: Calibration) -> None:
        """Have a calibration join, unless it comes with a warning, or is a block of other lines."""
        block = calibration.block
        same = (block.start, block.kspace.shape) == (self._first.start, self._total.shape)
        if block.warnings or not same:
            return
        turn = torch.vdot(block.kspace.flatten(), self._total.flatten()).sgn()
        if turn == 0:
            return
        self._total = torch.add(self._total, block.kspace * turn)
        self.n += 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the first; who joins has none."""
        return self._first.warnings

    def calibration(self) -> Calibration:
        """The mean of those so far."""
        if self.n == 1:
            return self._first
        block = CalibrationBlock(self._total / self.n, self._first.start, self._first.warnings)
        return Calibration(lambda: block, self.n, self._first)
