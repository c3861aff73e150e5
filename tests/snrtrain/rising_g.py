"""Whether the g-maps of an archived entry are worth training with: in the object they rise with R."""

import itertools

import numpy as np
import torch

from snrtrain.archive.archive import Entry
from snrtrain.archive.gmaps import LARGEST_G
from snrtrain.metrics import object_mask

KERNELS = 0.02  # the scan's own map is a kernel's, the others are the geometry's: at R of 3 and less both are near 1


def require_rising_g(entry: Entry) -> None:
    """Median in the object, along either direction while R of the other stays; none is above `LARGEST_G`."""
    inside = object_mask(torch.from_numpy(np.abs(entry.clean[len(entry.clean) // 2]))).numpy()
    medians = {
        r: float(np.median(gmap[inside])) for r, gmap in zip(entry.accelerations, entry.gmaps, strict=True)
    }  # fmt: skip
    assert len(medians) == len(entry.gmaps) and medians[entry.accelerations[0]] >= 0.99
    for one, other in itertools.permutations(medians, 2):
        if one < other and (one[0] == other[0] or one[1] == other[1]):
            slack = KERNELS if entry.accelerations[0] in (one, other) else 0.0
            assert medians[other] > medians[one] - slack, (entry.source, one, other, medians)
    assert max(medians.values()) < LARGEST_G and float(entry.gmaps.max()) <= LARGEST_G
