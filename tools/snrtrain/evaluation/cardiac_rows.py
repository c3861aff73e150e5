"""The table of `cardiac`: means over hearts, and what the first model falls short of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import tables
from .scores import paired_p

NOISY = "noisy"
MOST_OFF = 0.05  # of a region's mean, where the noisy image's is not off by more


@dataclass(frozen=True)
class HeartRow:
    """One heart under one image. off_blood, off_myocardium: NRMSE over frames of the region's mean."""

    scan: str = tables.column("scan")
    acceleration: int = tables.column("R", "d")
    heart: int = tables.column("heart", "d")
    image: str = tables.column("image")
    snr_blood: float = tables.column("SNR, blood", ".1f")
    snr_myocardium: float = tables.column("SNR, myocardium", ".1f")
    cnr: float = tables.column("CNR", ".1f")
    off_blood: float = tables.column("means off, blood", ".1%")
    off_myocardium: float = tables.column("means off, myocardium", ".1%")
    edges: float = tables.column("edges kept", ".3f")


@dataclass(frozen=True)
class CardiacRow:
    """Means over hearts. gain: of CNR, over the noisy image's. p: of CNR; to the noisy image and to the first model."""

    scan: str = tables.column("scan")
    acceleration: int = tables.column("R", "d")
    image: str = tables.column("image")
    snr_blood: float = tables.column("SNR, blood", ".1f")
    snr_myocardium: float = tables.column("SNR, myocardium", ".1f")
    cnr: float = tables.column("CNR", ".1f")
    gain: float = tables.column("CNR over noisy", ".2f")
    p_noisy: float = tables.column("p, to noisy", ".2g")
    p_first: float = tables.column("p, to first model", ".2g")
    off_blood: float = tables.column("means off, blood", ".1%")
    off_myocardium: float = tables.column("means off, myocardium", ".1%")
    edges: float = tables.column("edges kept", ".3f")
    hearts: int = tables.column("hearts", "d")


def of_hearts(rows: Sequence[HeartRow], first: str) -> list[CardiacRow]:
    """One row for each scan and image, in their order. first: the model that others are compared with."""
    places = dict.fromkeys((row.scan, row.image) for row in rows)
    found = {place: [row for row in rows if (row.scan, row.image) == place] for place in places}
    summary = []
    for (scan, image), here in found.items():

        def mean(measure: str, of: Sequence[HeartRow] = here) -> float:
            return float(np.mean([getattr(row, measure) for row in of]))

        cnrs = np.array([row.cnr for row in here])
        p = {
            other: paired_p(np.array([row.cnr for row in found[scan, other]]), cnrs) if other != image else float("nan")
            for other in (NOISY, first)
        }
        summary.append(CardiacRow(
            scan, here[0].acceleration, image, mean("snr_blood"), mean("snr_myocardium"), mean("cnr"),
            mean("cnr") / mean("cnr", found[scan, NOISY]), p[NOISY], p[first] if image != NOISY else float("nan"),
            mean("off_blood"), mean("off_myocardium"), mean("edges"), len(here),
        ))  # fmt: skip
    return summary


def missed(
    rows: Sequence[CardiacRow], first: str, least_gain: float, least_edges: float
) -> tuple[list[str], int]:  # fmt: skip
    """A line for each requirement that the first model misses, and how many were judged.

    least_gain: of the CNR; least_edges: of the edges kept; both over the noisy image's.
    """
    named = {(row.scan, row.image): row for row in rows}
    lines, scans = [], dict.fromkeys(row.scan for row in rows)
    for scan in scans:
        noisy, ours = named[scan, NOISY], named[scan, first]
        if not ours.gain >= least_gain:
            lines.append(f"{scan}: CNR is {ours.gain:.2f} of the noisy image's; expected {least_gain:g} or more")
        if not ours.edges >= least_edges * noisy.edges:
            kept = ours.edges / noisy.edges
            lines.append(f"{scan}: edges are {kept:.3f} of the noisy ones; expected {least_edges:g} or more")
        for part in ("blood", "myocardium"):
            off, most = getattr(ours, f"off_{part}"), max(MOST_OFF, getattr(noisy, f"off_{part}"))
            if not off <= most:
                lines.append(f"{scan}: means of {part} are off by {off:.1%}; expected {most:.1%} or less")
    return lines, 4 * len(scans)
