"""Scanner-side streaming MRI reconstruction and denoising of ISMRMRD raw data.

    import snrstream

    images = snrstream.reconstruct("scan.h5", "grappa_denoise")
    image, gmap = images[0].image, images[0].gmap

Gadgets of your own are made of `Gadget`, `Scan` and `each`. Names are imported when they are first used, for torch is
slow to load.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from . import errors
from .errors import SnrstreamError
from .version import __version__

# From version 1.29 on, ONNX Runtime tells its maker of each process and model unless this is set when it is imported: a
# host beside a scanner sends nothing to others.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from .api import iter_images as iter_images
    from .api import open_scan as open_scan
    from .api import reconstruct as reconstruct
    from .gadgets.gadget import Gadget as Gadget
    from .gadgets.gadget import Scan as Scan
    from .gadgets.gadget import each as each
    from .image_kind import ImageKind as ImageKind
    from .items import ReconImage as ReconImage

_MODULES = {
    "reconstruct": "api", "iter_images": "api", "open_scan": "api", "ReconImage": "items", "ImageKind": "image_kind",
    "Gadget": "gadgets.gadget", "Scan": "gadgets.gadget", "each": "gadgets.gadget",
}  # fmt: skip

__all__ = [
    "Gadget", "ImageKind", "ReconImage", "Scan", "SnrstreamError", "__version__", "each", "errors", "iter_images",
    "open_scan", "reconstruct",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
