"""A model on moving, contrast-changing series, beside MPPCA and BM4D over x, y and t.

Series: of each test volume's middle slice, simulated as for training, but with coils without shading and all of the
slice; or those of an archive's test split. White noise times a g-map is added to each frame. A network whose frames are
time sees a series whole, any other one frame at a time. Measures are those of `snraware`, over all frames.
"""

import argparse
from pathlib import Path

from . import comparison, network, outputs, selection
from .scenes import archived_series, moving_scenes


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    comparison.add_options(parser, "time")
    parser.add_argument("--archive", type=Path, help="take its series instead of volumes")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError."""
    known = comparison.check(options)
    model = network.open_model(options.model)
    if options.archive is not None:
        scenes = archived_series(options.archive, options.acceleration)
    else:
        scenes = moving_scenes(*selection.chosen(options), options.acceleration, options.seed)
    rows = comparison.compare(scenes, model, "time", known, options)
    text = comparison.text(rows, network.title(model), comparison.trained_on(scenes, model))
    outputs.finish(options, text, rows, [], 0)
