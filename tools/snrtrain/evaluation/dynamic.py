"""A model on moving, contrast-changing series, beside MPPCA and BM4D over x, y and t.

Series: of each test volume's middle slice, simulated as for training, but with coils without shading and all of the
slice; or those of an archive's test split. White noise times a g-map is added to each frame. A network whose frames are
time sees a series whole, any other one frame at a time. Measures are those of `snraware`, over all frames.
"""

import argparse
from pathlib import Path

from . import comparison, lead, network, outputs, selection
from .lead import Lead
from .scenes import archived_series, moving_scenes

RIVAL = "MPPCA"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    comparison.add_options(parser, "time")
    for option, mean, rival in (("--lead", 2.0, RIVAL), ("--lead-single", 0.5, f"the {comparison.SINGLE}")):
        parser.add_argument(option, type=outputs.finite, default=mean, metavar="DB",
                            help=f"least over {rival}, in the mean (%(default)s); above 0 on each scene")  # fmt: skip
    parser.add_argument("--archive", type=Path, help="take its series instead of volumes")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where a requirement is missed."""
    known = comparison.check(options)
    model = network.open_model(options.model)
    if options.archive is not None:
        scenes = archived_series(options.archive, options.acceleration)
    else:
        scenes = moving_scenes(*selection.chosen(options), options.acceleration, options.seed)
    rows, trained = comparison.compare(scenes, model, "time", known, options), comparison.trained_on(scenes, model)
    judged = [row for row in rows if row.volume not in trained]
    missed: list[str] = []
    n_judged = 0
    for rival, mean in ((RIVAL, options.lead), (comparison.SINGLE, options.lead_single)):
        lines, n = Lead(rival, 0.0, mean).missed(judged)
        missed, n_judged = missed + lines, n_judged + n
    text = comparison.text(rows, network.title(model), trained, lead.table(judged))
    outputs.finish(options, text, rows, missed, n_judged)
