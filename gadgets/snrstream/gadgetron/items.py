"""What Gadgetron's own gadgets hand to a chain, as the items that the chain's first gadget takes.

So a gadget of ours stands between any two of theirs. Both hosts come by here, and so give the same pixels.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ismrmrd import xsd

from .images import recon_images
from .kspace import acquisitions, buckets

TAKES_ACQUISITIONS = ("noise_adjust", "accumulate")
TAKES_BUCKETS = ("compress_channels", "grappa", "taper", "coil_combine")


def adapted(items: Iterable[Any], header: xsd.ismrmrdHeader, first: str) -> Iterator[Any]:
    """The items that a chain which begins with the gadget `first` takes; what it cannot take passes unchanged.

    `noise_adjust` and `accumulate` take acquisitions, out of acquisition buckets and recon data too;
    `compress_channels`, `grappa`, `taper` and `coil_combine` take the k-space of recon data;
    all others take complex images in SNR units, out of image arrays too. Raises ScanError for what is damaged.
    """
    if first in TAKES_ACQUISITIONS:
        return acquisitions(items)
    if first in TAKES_BUCKETS:
        return buckets(items, header)
    return recon_images(items, header)
