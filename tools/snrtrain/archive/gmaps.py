"""g-maps of accelerations with which a scan was not made: those that its calibration lines and channels allow."""

import math
from collections.abc import Sequence

from torch import Tensor

from snrstream.recon.gmaps import unscanned_gmaps
from snrstream.recon.grappa import kernel_reach
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import KERNEL

LARGEST_G = 8.0  # a 99th percentile beyond this is a failed calibration, not a scan to learn from
ALONG_E1 = tuple((r, 1) for r in range(2, 9))  # accelerations (R1, R2) of slices
IN_BOTH = ((1, 2), (2, 2), (3, 2), (4, 2), (2, 3), (3, 3))  # of volumes, beside those along e1


def possible_gmaps(
    acs: Tensor, start: tuple[int, int], size: tuple[int, int], accelerations: Sequence[tuple[int, int]], step: int
) -> dict[tuple[int, int], Tensor]:
    """`unscanned_gmaps` of those accelerations (R1, R2) for which there are calibration lines and channels enough."""
    possible = [r for r in accelerations if math.prod(r) <= len(acs) and _fits(Lattice(r), acs)]
    maps = unscanned_gmaps(acs, start, size, [Lattice(r) for r in possible], step)
    return dict(zip(possible, maps, strict=True))


def _fits(lattice: Lattice, acs: Tensor) -> bool:
    """Whether the scanner's kernel, targets included, is within the calibration lines."""
    spans = kernel_reach(lattice, KERNEL.n_lines, KERNEL.n_partitions)
    return all(span <= n for span, n in zip(spans, acs.shape[1:3], strict=True))
