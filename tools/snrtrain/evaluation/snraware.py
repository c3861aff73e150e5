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

from . import comparison, lead, network, outputs, selection
from .comparison import NETWORK, ComparisonRow
from .lead import Lead, named, place_of
from .scenes import static_scenes

RIVAL = "BM4D"
MEAN_LEAD = {"thick": 0.6, "thin": 0.4}  # dB, by kind of slices


def too_slow(rows: Sequence[ComparisonRow], speed: float) -> tuple[list[str], int]:
    """A line for each scene on which BM4D takes less than `speed` times the network's time; how many were judged."""
    ms = {(place_of(row), row.method): row.ms for row in rows}
    ratios = {place: theirs / ms[place, NETWORK] for (place, method), theirs in ms.items() if method == RIVAL}
    lines = [
        f"{named(place)}: BM4D takes {ratio:.0f} times as long; expected {speed:g} or more"
        for place, ratio in ratios.items()
        if not ratio >= speed
    ]
    return lines, len(ratios)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    comparison.add_options(parser, "slice")
    parser.add_argument(
        "--slices", nargs="+", choices=("thick", "thin"), default=["thick", "thin"], help="which (both)"
    )
    parser.add_argument("--n-thick", type=outputs.positive_int, default=3, help="slices of each volume (%(default)s)")
    parser.add_argument("--n-thin", type=outputs.positive_int, default=8, help="thin ones (%(default)s)")
    for kind, mean in MEAN_LEAD.items():
        parser.add_argument(f"--lead-{kind}", type=outputs.finite, default=0.0, metavar="DB",
                            help=f"least over BM4D on {kind} slices, each scene; 0: above it (0)")  # fmt: skip
        parser.add_argument(f"--mean-lead-{kind}", type=outputs.finite, default=mean, metavar="DB",
                            help="in the mean (%(default)s)")  # fmt: skip
    parser.add_argument(
        "--speed", type=outputs.finite, default=100.0, help="least, of BM4D's time over ours (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where a requirement is missed."""
    known = comparison.check(options)
    (folder, names), model = selection.chosen(options), network.open_model(options.model)
    n_slices = {"thick": options.n_thick, "thin": options.n_thin}
    scenes = static_scenes(folder, names, options.slices, n_slices, options.acceleration, options.seed)
    rows, trained = comparison.compare(scenes, model, "slice", known, options), comparison.trained_on(scenes, model)
    judged = [row for row in rows if row.volume not in trained]
    missed, n_judged = too_slow(judged, options.speed)
    for kind in MEAN_LEAD:
        required = Lead(RIVAL, getattr(options, f"lead_{kind}"), getattr(options, f"mean_lead_{kind}"))
        lines, n = required.missed([row for row in judged if row.slices == kind])
        missed, n_judged = missed + lines, n_judged + n
    text = comparison.text(rows, network.title(model), trained, lead.table(judged))
    outputs.finish(options, text, rows, missed, n_judged)
