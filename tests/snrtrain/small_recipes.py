"""Recipes of small networks."""

from typing import Any

from snrtrain.recipe import Recipe

UNET2D: dict[str, Any] = {
    "name": "small", "method": "snraware", "network": "unet2d", "inputs": "complex_gmap", "frames": "none",
    "n_frames": 1, "widths": (8, 8, 8), "depths": (1, 1, 1), "cells": ("conv", "conv", "conv"),
    "gmap_known": True, "seed": 3,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "unet2d": {},
    "cnnt": {"frames": "time", "n_frames": 8, "cells": ("conv", "conv", "cnnt")},
    "any": {
        "frames": "any", "n_frames": 8, "window": 4, "p_causal": 0.5, "depths": (1, 1, 2),
        "cells": ("conv", "cnnt", "conv+cnnt"),
    },
    "unet3d": {"network": "unet3d", "frames": "slice", "n_frames": 8, "cells": ("conv3d",) * 3},
    "magnitude": {"inputs": "magnitude_gmap"},
    "unet25d": {
        "method": "sn2n", "network": "unet25d", "inputs": "magnitude_slices", "frames": "slice", "n_frames": 7,
    },
}  # fmt: skip


def recipe(kind: str = "unet2d", **changes: Any) -> Recipe:
    return Recipe(**{**UNET2D, **KINDS[kind], **changes})
