"""What Gadgetron's own gadgets hand to a chain, as the items that the chain's first gadget takes.

So a gadget of ours stands between any two of theirs. Both hosts come by here, and so give the same pixels.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import ismrmrd

from ..gadgets.gadget import Scan
from ..items import Bucket, Item, ReconImage
from ..wire.messages import Pause
from .images import recon_images
from .kspace import acquisitions, buckets


def adapted(items: Iterable[Item | Pause], scan: Scan, kind: type[Any]) -> Iterator[Item | Pause]:
    """Take Gadgetron's items apart for the first gadget of a chain.

    Parameters
    ----------
    items : iterable of Item and Pause
        What comes; what the gadget cannot take passes unchanged.
    scan : Scan
        Shared with the gadgets of the run.
    kind : type
        What the gadget takes: `Acquisition`, out of acquisition buckets and recon data too; `Bucket`, out of recon
        data; `ReconImage`, out of complex images in SNR units and arrays of them. For all others, all items pass.

    Raises
    ------
    ScanError
        For what is damaged.
    """
    if kind is ismrmrd.Acquisition:
        return acquisitions(items)
    if kind is Bucket:
        return buckets(items, scan)
    if kind is ReconImage:
        return recon_images(items, scan.header, scan.warnings)
    return iter(items)
