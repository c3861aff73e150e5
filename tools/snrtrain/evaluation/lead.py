"""By how much the network is ahead of another method, scene by scene, and what it falls short of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import tables
from .comparison import CEILING, NETWORK, NOISY, ComparisonRow

Place = tuple[str, str, int, float]


@dataclass(frozen=True)
class LeadRow:
    """The network's PSNR less another method's, over the scenes on which both ran."""

    slices: str = tables.column("slices")
    method: str = tables.column("over")
    n_scenes: int = tables.column("scenes")
    n_ahead: int = tables.column("ahead in")
    mean: float = tables.column("mean, dB", "+.2f")
    worst: float = tables.column("worst, dB", "+.2f")


@dataclass(frozen=True)
class Lead:
    """What is required. rival: the other method. least: dB on every scene, 0: above it. mean: dB over the scenes."""

    rival: str
    least: float
    mean: float

    def missed(self, rows: Sequence[ComparisonRow]) -> tuple[list[str], int]:
        """A line for each requirement that is missed, and how many were judged: none where the rival never ran."""
        leads = leads_over(self.rival, rows)
        if not leads:
            return [], 0
        lines = [
            f"{named(place)}: {lead:+.2f} dB to {self.rival}; expected {_least(self.least)}"
            for place, lead in leads.items()
            if not (lead >= self.least if self.least else lead > 0)
        ]
        mean = sum(leads.values()) / len(leads)
        if not mean >= self.mean:
            scenes = f"{len(leads)} scene{'s' * (len(leads) != 1)}"
            lines.append(f"mean of {scenes}: {mean:+.2f} dB to {self.rival}; expected {_least(self.mean)}")
        return lines, len(leads) + 1


def leads_over(rival: str, rows: Iterable[ComparisonRow]) -> dict[Place, float]:
    """The network's PSNR in dB less the rival's, for each scene on which the rival ran."""
    found = {(place_of(row), row.method): row.psnr for row in rows}
    return {place: found[place, NETWORK] - psnr for (place, method), psnr in found.items() if method == rival}


def place_of(row: ComparisonRow) -> Place:
    """What tells a scene from others."""
    return row.volume, row.slices, row.acceleration, row.snr


def named(place: Place) -> str:
    """A scene, for people."""
    volume, slices, acceleration, snr = place
    kind = slices if slices.endswith("frames") else f"{slices} slices"
    return f"{volume}, {kind}, R = {acceleration}, SNR {snr:g}"


def table(rows: Sequence[ComparisonRow]) -> str:
    """A line for each kind of scene and each other method, as Markdown under a title; empty where there is none."""
    lines = []
    for kind in dict.fromkeys(_kind(row) for row in rows):
        of_kind = [row for row in rows if _kind(row) == kind]
        for method in dict.fromkeys(row.method for row in of_kind):
            if method in (NOISY, CEILING) or method.startswith(NETWORK):
                continue
            leads = leads_over(method, of_kind).values()
            n_ahead = sum(lead > 0 for lead in leads)
            lines.append(LeadRow(kind, method, len(leads), n_ahead, sum(leads) / len(leads), min(leads)))
    return f"### The network's lead in PSNR\n\n{tables.markdown(lines)}" if lines else ""


def _kind(row: ComparisonRow) -> str:
    return "series" if row.slices.endswith("frames") else row.slices


def _least(decibels: float) -> str:
    return f"{decibels:+g} or more" if decibels else "above 0"
