"""Measure models: images nobody trained on, a real scan, sN2N's table, series, hearts, ablations, GRAPPA's lambda.

    python tools/evaluate.py snraware --volumes FOLDER --peer-snr 5 10 20     beside BM4D, NLM and wavelets
    python tools/evaluate.py montecarlo SCAN.h5 --reference FULL.h5           SNR and CNR by pseudo-replicas
    python tools/evaluate.py sn2n --model MODEL --volumes FOLDER              noise added to k-space, Dice, p-values
    python tools/evaluate.py alpha --model MODEL --archive ARCHIVE            chosen on noisy labels, for sN2N
    python tools/evaluate.py vesselwall --model MODEL                         another contrast, R = 2 x 2 CAIPIRINHA
    python tools/evaluate.py dynamic --volumes FOLDER                         beside MPPCA and BM4D x-y-t
    python tools/evaluate.py cardiac --model MODEL --model ABLATION           SNR and CNR of a beating heart
    python tools/evaluate.py ablation FULL OTHER ... --volumes FOLDER         several models, the same noise
    python tools/evaluate.py regularisation FULL.h5 --volumes FOLDER          lines dropped, GRAPPA's lambda

Each prints a table, writes it as Markdown and its rows as CSV, and a picture, into out/evaluate/. What falls short of
its requirements is listed at the end, and the status is 1 then. `SUB-COMMAND --help` says how it measures.
"""

import argparse
import importlib

from snrtrain.commands.parser import Parser
from snrtrain.evaluation import outputs

COMMANDS = ("snraware", "montecarlo", "sn2n", "alpha", "vesselwall", "dynamic", "cardiac", "ablation", "regularisation")


def main(arguments: list[str] | None = None) -> None:
    """Raises SnrstreamError on what a user can mend, and where requirements are missed."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(description=__doc__, formatter_class=formatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="SUB-COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"snrtrain.evaluation.{name}")
        about = (module.__doc__ or "").strip()
        command = commands.add_parser(name, help=about.splitlines()[0], description=about, formatter_class=formatter)
        module.add_options(command)
        outputs.add_options(command, name)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    outputs.check(options)
    outputs.make_folders(options)
    options.run(options)
