"""Benchmarks: tables of ratios, both sides of each measured in the same run.

    python tools/bench.py recon               each stage over the bare FFT of the coil images, and peers
    python tools/bench.py recon --only peers  beside others' packages alone (also: 2d, 3d)
    python tools/bench.py stream              a scan through the socket, over the bare FFT of its frames
    python tools/bench.py first               each step to a scan's first image, over the bare FFT of its coil images
    python tools/bench.py denoise             denoising over the bare ONNX Runtime session, and peers
    python tools/bench.py train               training by a recipe, over a step whose batch is already there
    python tools/bench.py wire                reading off a socket, beside bare recv_into and ismrmrd's reader

Absolute times on a shared machine say little; the ratios hold. Times are the minimum of several runs,
alternating with what they are compared with. A row ends with what is asked of it, and MISSED where it falls short.
Peers are pygrappa and sigpy (the extra `dev`) and BART (an executable `bart`); of the denoiser BM4D, and the
non-local means and wavelets of scikit-image (the extra `train`); each where it is installed.
"""

import argparse
import sys
from pathlib import Path

import torch

from snrstream.errors import ConfigurationError
from snrtrain import recipe
from snrtrain.archive.archive import Archive
from snrtrain.benchmarks import denoise, first_image, peers, repeated_calibration, stages, stream, train, wire
from snrtrain.benchmarks.needs import Need, listed
from snrtrain.benchmarks.timing import Row, show
from snrtrain.commands.parser import Parser
from snrtrain.commands.train import open_method
from snrtrain.run.processes import processes
from snrtrain.run.registries import check

NEEDS = {
    "recon": Need(10, 3),
    "stream": Need(4, 1.5),
    "first": Need(1, 1.5),
    "denoise": Need(8, 2.5),
    "train": Need(1, 1.5),
    "wire": Need(1, 0.5),
}

RECIPE = Path(__file__).resolve().parents[2] / "recipes/snraware_unet2d.toml"


def main(arguments: list[str] | None = None) -> int:
    """Raises ConfigurationError on a number out of range."""
    parser = Parser(description=__doc__, epilog=listed(NEEDS), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(NEEDS))
    parser.add_argument("--only", choices=["2d", "3d", "peers"], help="of recon: this part alone")
    parser.add_argument("--repetitions", type=int, default=60, help="of the streamed scan (%(default)s)")
    train_only = parser.add_argument_group("of train")
    train_only.add_argument("--set", nargs="+", default=[], metavar="key=value", help="override settings of the recipe")
    train_only.add_argument("--recipe", type=Path, default=RECIPE, help="TOML file (default: snraware_unet2d.toml)")
    train_only.add_argument("--archive", type=Path, help="that prepare.py has made (default: images of noise)")
    train_only.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU where there is one")
    train_only.add_argument("--steps", type=int, help="of each of the rounds (default: 2, on a GPU 30)")
    train_only.add_argument("--workers", type=int, default=0, help="processes that draw batches ahead")
    options = parser.parse_args(arguments)
    if options.what != "train" and options.set:
        raise ConfigurationError(f"{options.what} takes no settings; got --set {' '.join(options.set)}")
    if options.repetitions < 2:
        raise ConfigurationError(f"--repetitions is {options.repetitions}; expected 2 or more")
    print(f"{options.what} needs {NEEDS[options.what]}", file=sys.stderr, flush=True)
    if options.what == "train":
        show(trained(options))
        return 0
    if options.what == "wire":
        show(wire.rows())
        return 0
    if options.what == "denoise":
        print("ratios to the bare ONNX Runtime session on a frame of 256 x 256, but for rows that say otherwise")
        show(list(denoise.rows(options.repetitions)))
        return 0
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; ratios to the bare FFT of the coil images, "
        "but for rows that say times"
    )
    if options.what == "recon":
        show(recon(options.only))
    elif options.what == "first":
        show(first_image.rows())
    else:
        show(stream.rows(options.repetitions) + repeated_calibration.rows(options.repetitions))
    return 0


def trained(options: argparse.Namespace) -> list[Row]:
    """The rows of training. Raises ConfigurationError where recipe, archive or a number is wrong."""
    for name, least in (("steps", 1), ("workers", 0)):
        if getattr(options, name) is not None and getattr(options, name) < least:
            raise ConfigurationError(f"--{name} is {getattr(options, name)}; expected {least} or more")
    settings = recipe.load(options.recipe, options.set)
    check(settings)
    if options.archive is not None:
        method = open_method(settings, *(Archive(options.archive, split) for split in ("train", "validation")))
    elif settings.method == "snraware":
        method = train.invented(settings)
    else:
        raise ConfigurationError(f"recipe {options.recipe} is of {settings.method}; expected an --archive for it")
    with processes(options.device) as group:
        print(
            f"{settings.name} on {group.device}, {settings.batch} patches a step of {settings.patch} pixels an edge, "
            f"{settings.precision}{', compiled' if settings.compile else ''}, {torch.get_num_threads()} threads",
            flush=True,
        )
        return train.rows(settings, method, group, options.steps, options.workers)


def recon(only: str | None) -> list[Row]:
    """The rows of the reconstruction, or `only` those of `2d`, `3d` or `peers`."""
    rows: list[Row] = []
    if only in (None, "2d"):
        rows += stages.rows_2d(16) + stages.rows_2d(32)
    if only in (None, "3d"):
        rows += stages.rows_3d()
    if only in (None, "peers"):
        rows += peers.rows()
    return rows
