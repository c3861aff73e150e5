"""What an archive tells of the model that was trained on it: sources, ranges, limits."""

from collections.abc import Sequence

import numpy as np

from snrstream.denoising.safety import BRIGHTEST
from snrtrain.archive.archive import Archive, Entry, Pair
from snrtrain.export.card import Facts
from snrtrain.recipe import Recipe

MOST_ENTRIES = 200  # that are looked at, spread over the archive
RANGE = (0.01, 0.99)  # quantiles
NOT_STATED = "not stated"  # how prepare.py marks a source whose licence nobody told
ALPHA_PICTURE = "alpha.png"  # in the model folder, for `train.py` to draw


def facts_of(recipe: Recipe, train: Archive, held_out: Archive) -> Facts:
    """For the manifest and the card."""
    slices = recipe.method == "sn2n"
    sources, judged = (_sources(split.pairs if slices else split.entries) for split in (train, held_out))
    simulated = "" if slices or any(entry.own_noise for entry in train.entries) else " No real scan was among them."
    return Facts(
        data=sources,
        validated_on="; ".join(judged),
        limits=f"Trained on what is listed above and on nothing else.{simulated} No pathology was tested.",
        snr_range=None if slices else _snr_range(recipe, train.entries),
        gfactor_range=None if slices or not recipe.gmap_known else _gfactor_range(train.entries),
        licence=NOT_STATED if any(NOT_STATED in source for source in sources) else Facts.licence,
        alpha_picture=ALPHA_PICTURE,
    )


def _sources(items: Sequence[Entry] | Sequence[Pair]) -> tuple[str, ...]:
    return tuple(sorted({item.source for item in items}))


def _snr_range(recipe: Recipe, entries: Sequence[Entry]) -> tuple[float, float]:
    """Of the brightest pixels, by which the scanner judges an image; the recipe tells that of bright tissue."""
    brightest = [float(np.percentile(np.abs(entry.clean), BRIGHTEST)) / entry.snr for entry in _some(entries)]
    share = float(np.median(brightest))
    return round(share * recipe.amplitude_min / recipe.sigma_max, 1), round(share * recipe.amplitude_max)


def _some(entries: Sequence[Entry]) -> list[Entry]:
    return [entries[n] for n in range(0, len(entries), -(-len(entries) // MOST_ENTRIES))]


def _gfactor_range(entries: Sequence[Entry]) -> tuple[float, float]:
    values = np.concatenate([entry.gmaps.ravel()[::7] for entry in _some(entries)])
    low, high = (round(float(np.quantile(values, q)), 1) for q in RANGE)
    return max(low, 0.1), high
