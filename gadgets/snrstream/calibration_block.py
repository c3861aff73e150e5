"""The fully sampled block of k-space that a calibration goes by."""

import logging
from collections.abc import Callable

import numpy as np
import torch

from .errors import ScanError
from .items import Calibration
from .line_store import LineStore
from .recon.sampling import central_block

log = logging.getLogger(__name__)

FEWEST_SAMPLES = 16
MOST_LINES = 64  # along e1 and e2; more take time and make neither kernels nor maps better


def calibration_block(
    lines: LineStore, image: LineStore, size: tuple[int, int], name: Callable[[np.ndarray], str], device: torch.device
) -> Calibration:
    """The largest block of calibration `lines` around k = 0 in k-space of `size` (e2, e1), its central part if large.

    Lines of the `image` stand in for those that are missing between calibration lines. name: what messages call
    lines `(line, 2)`. Raises ScanError where k = 0 is not acquired.
    """
    acquired = np.zeros(size, bool)
    acquired[tuple(lines.lines.T)] = True
    n_lines = int(acquired.sum())
    if lines.fits(image):
        between = image.lines
        low, high = lines.lines.min(axis=0), lines.lines.max(axis=0)
        between = between[np.all((low <= between) & (between <= high), axis=1)]
        acquired[tuple(between.T)] = True
    z, y = central_block(acquired)
    if z.stop == z.start:
        centre = name(np.array([[n // 2 for n in size]]))
        raise ScanError(
            f"calibration lines {name(lines.lines)} do not hold the centre of k-space, {centre}; "
            "expected a block around it"
        )
    warnings: tuple[str, ...] = ()
    if (z.stop - z.start) * (y.stop - y.start) < (n_lines if size[0] == 1 else n_lines // 2):  # ellipses lose corners
        warnings += (f"calibration lines {name(lines.lines)} have gaps: not all were used",)
    n_samples = lines.readout[0] if lines.readout is not None else 0
    if n_samples < min(FEWEST_SAMPLES, lines.n_encoded):
        warnings += (f"calibration readouts have {n_samples} samples; expected at least {FEWEST_SAMPLES}",)
    for text in warnings:
        log.warning(text)
    z, y = (
        slice(max(s.start, n // 2 - MOST_LINES // 2), min(s.stop, n // 2 + MOST_LINES // 2))
        for s, n in zip((z, y), size, strict=True)
    )
    places = [(e2, e1) for e2 in range(z.start, z.stop) for e1 in range(y.start, y.stop)]
    rows = {place: row for row, place in enumerate(places)}
    kspace, sd = lines.take(rows, len(rows))
    lacking = {place: row for place, row in rows.items() if sd[row] == 0}
    if lacking:
        kspace = kspace + image.copy(lacking, len(rows))
    kspace = kspace.reshape(len(kspace), z.stop - z.start, y.stop - y.start, -1)
    return Calibration(kspace.to(device), (z.start, y.start), warnings)
