"""A model beside other people's denoisers, on volumes that nobody trained on.

Every test volume's middle slices are scanned in simulation (coils, phase, coil maps from noisy data, the chain that
training images pass, but without shading) and get white noise times a g-map, 1 or that of an acceleration. `thick`:
slices of 4 mm or more, thin ones averaged; `thin`: neighbouring native slices of 3D volumes, from which BM4D gains.
Reference tissue: the brightest 40 % of the object (white matter in T1 heads); its median over the noise SD (per real
part, g = 1) is the SNR. PSNR, SSIM, NRMSE: of the magnitude inside the object (above a tenth of bright tissue); peak
and data range: the 99.9th percentile of the reference. Ceiling: an oracle that knows the object, but not the noise that
the volume itself carries and is measured against; that noise is estimated from the reference, fine texture included.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from . import comparison, network, outputs, selection
from .comparison import NETWORK, ComparisonRow
from .scenes import static_scenes

RIVAL = "BM4D"


@dataclass(frozen=True)
class Requirement:
    """thick, thin: least gain over BM4D in dB; speed: BM4D's time over the network's, at least."""

    thick: float
    thin: float
    speed: float

    def missed(self, rows: Sequence[ComparisonRow]) -> tuple[list[str], int]:
        """A line for each scene that falls short, and how many were judged: those on which BM4D ran."""
        found = {(r.volume, r.slices, r.acceleration, r.snr, r.method): r for r in rows}
        rivals = [row for row in rows if row.method == RIVAL]
        lines = []
        for rival in rivals:
            place = (rival.volume, rival.slices, rival.acceleration, rival.snr)
            ours = found[*place, NETWORK]
            lead, least = ours.psnr - rival.psnr, self.thick if rival.slices == "thick" else self.thin
            speed = rival.ms / ours.ms
            name = f"{rival.volume}, {rival.slices} slices, R = {rival.acceleration}, SNR {rival.snr:g}"
            if not (lead >= least if least else lead > 0):
                expected = f"{least:+g} or more" if least else "above 0"
                lines.append(f"{name}: {lead:+.2f} dB to BM4D; expected {expected}")
            if not speed >= self.speed:
                lines.append(f"{name}: BM4D takes {speed:.0f} times as long; expected {self.speed:g} or more")
        return lines, 2 * len(rivals)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    comparison.add_options(parser, "slice")
    parser.add_argument(
        "--slices", nargs="+", choices=("thick", "thin"), default=["thick", "thin"], help="which (both)"
    )
    parser.add_argument("--n-thick", type=outputs.positive_int, default=3, help="slices of each volume (%(default)s)")
    parser.add_argument("--n-thin", type=outputs.positive_int, default=8, help="thin ones (%(default)s)")
    parser.add_argument("--lead-thick", type=float, default=0.5, metavar="DB", help="least over BM4D (%(default)s)")
    parser.add_argument("--lead-thin", type=float, default=0.0, metavar="DB", help="of thin slices; 0: above it (0)")
    parser.add_argument("--speed", type=float, default=100.0, help="least, of BM4D's time over ours (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where a requirement is missed."""
    known = comparison.check(options)
    (folder, names), model = selection.chosen(options), network.open_model(options.model)
    n_slices = {"thick": options.n_thick, "thin": options.n_thin}
    scenes = static_scenes(folder, names, options.slices, n_slices, options.acceleration, options.seed)
    rows, trained = comparison.compare(scenes, model, "slice", known, options), comparison.trained_on(scenes, model)
    judged = [row for row in rows if row.volume not in trained]
    missed, n_judged = Requirement(options.lead_thick, options.lead_thin, options.speed).missed(judged)
    outputs.finish(options, comparison.text(rows, network.title(model), trained), rows, missed, n_judged)
