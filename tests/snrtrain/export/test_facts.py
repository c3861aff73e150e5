"""What an archive tells of a model."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from snrtrain.export.facts import facts_of
from snrtrain.recipe import Recipe

RECIPE = Recipe(
    "m", "snraware", "unet2d", "complex_gmap", amplitude_min=40.0, amplitude_max=400.0, sigma_max=32.0
)  # fmt: skip


def split(brightest: float) -> Any:
    """Of one image: tissue at 7, a brighter part at `brightest` times as much."""
    clean = np.full((1, 100, 100), 7, np.complex64)
    clean[0, :10] *= brightest
    entry = SimpleNamespace(clean=clean, snr=7.0, gmaps=np.ones((1, 100, 100), np.float32), own_noise=False, source="a")
    return SimpleNamespace(entries=[entry, entry, entry])


def test_the_range_of_snr_is_that_of_what_the_scanner_looks_at() -> None:
    """It judges an image by its brightest pixels, the recipe speaks of bright tissue."""
    assert facts_of(RECIPE, split(2.0), split(2.0)).snr_range == (2.5, 800)
    assert facts_of(RECIPE, split(1.0), split(1.0)).snr_range == (1.2, 400)
