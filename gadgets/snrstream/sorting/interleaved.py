"""Calibration on several repetitions whose sampling is interleaved (TGRAPPA, TPAT).

Source: Breuer, Kellman, Griswold and Jakob, "Dynamic autocalibrated parallel imaging using temporal
GRAPPA (TGRAPPA)", MRM 53:981 (2005): R repetitions, each with other lines, make up a full k-space.
"""

import dataclasses
import logging
import math
from collections.abc import Iterator

import numpy as np
import torch

from ..errors import ScanError
from ..items import Bucket, Calibration
from ..recon.sampling import central_block, central_window
from .calibration_block import is_dark, told_if_dark

log = logging.getLogger(__name__)

MOST_ACS_LINES = 48  # central ones; a calibration takes time with each


class Interleaved:
    """Holds back the images of a slice until its repetitions have covered k-space; then gives all its calibration.

    Parameters
    ----------
    acceleration : tuple of int
        (R1, R2): as many repetitions as their product cover k-space.

    References
    ----------
    Breuer, Kellman, Griswold and Jakob, MRM 53:981 (2005).
    """

    def __init__(self, acceleration: tuple[int, int]) -> None:
        self.n_needed = math.prod(acceleration)
        self.waiting: dict[tuple[int, ...], list[Bucket]] = {}
        self.calibrations: dict[tuple[int, ...], Calibration] = {}

    def add(self, bucket: Bucket) -> Iterator[Bucket]:
        """The buckets that can be reconstructed now.

        Parameters
        ----------
        bucket : Bucket
            The next image. One with calibration lines of its own passes.

        Raises
        ------
        ScanError
            Where four times as many repetitions as should do never cover the centre of k-space.
        """
        idx = bucket.head.idx
        key = (idx.slice, idx.contrast, idx.phase, idx.set)
        if bucket.calibration is not None or self.n_needed == 1:
            yield bucket
            return
        if key not in self.calibrations:
            waiting = self.waiting.setdefault(key, [])
            waiting.append(bucket)
            calibration = _merged(waiting)
            if calibration is None:
                if len(waiting) > 4 * self.n_needed:
                    self.end()
                return
            self.calibrations[key] = calibration
            del self.waiting[key]
            for text in calibration.warnings:
                log.warning(text)
            for held in waiting:
                yield dataclasses.replace(held, calibration=calibration)
            return
        yield dataclasses.replace(bucket, calibration=self.calibrations[key])

    def end(self) -> None:
        """Tell the end of the scan.

        Raises
        ------
        ScanError
            Where images are left that never got a calibration.
        """
        for key, waiting in self.waiting.items():
            raise ScanError(
                f"interleaved calibration of slice {key[0]}: {len(waiting)} repetitions never cover the centre of "
                f"k-space; expected {self.n_needed} with different lines each"
            )


def _merged(buckets: list[Bucket]) -> Calibration | None:
    """The mean of what the repetitions acquired of each line, where they leave no gap."""
    size, kspace = buckets[0].grid.size, buckets[0].kspace
    total = kspace.new_zeros(len(kspace), *size, kspace.shape[-1])
    count = torch.zeros(size, dtype=torch.int64)
    noise = torch.zeros(size)  # power of the sum
    for bucket in buckets:
        bucket.grid.of(total.permute(1, 2, 0, 3))[...] += bucket.kspace.permute(1, 2, 0, 3)
        bucket.grid.of(count)[...] += bucket.line_sd > 0
        bucket.grid.of(noise)[...] += bucket.line_sd.square()
    acquired = (count > 0).numpy()
    extent = [np.flatnonzero(acquired.any(axis=axis)) for axis in (1, 0)]
    z, y = central_block(acquired)
    if z.stop - z.start <= np.ptp(extent[0]) or y.stop - y.start <= np.ptp(extent[1]):
        return None  # there are gaps
    block = [central_window(full, n, MOST_ACS_LINES) for full, n in zip((z, y), size, strict=True)]
    kspace = total[:, block[0], block[1]] / count[block[0], block[1]][..., None].to(total.device)
    warnings: tuple[str, ...] = ()
    dark = False
    if all(bucket.snr_units for bucket in buckets):
        line_sd = noise[block[0], block[1]].sqrt() / count[block[0], block[1]]
        what = f"central lines of the first {len(buckets)} repetitions of slice {buckets[0].head.idx.slice}"
        dark = is_dark(kspace, line_sd, buckets[0].sample_sd)
        warnings = told_if_dark(dark, what)
    return Calibration.of(kspace.contiguous(), (block[0].start, block[1].start), warnings, dark)
