"""Train a denoiser on an archive that tools/prepare.py has made, and export it as a model folder.

    python tools/train.py --recipe tools/recipes/snraware_unet2d.toml --archive ARCHIVE --folder RUN [key=value ...]
    python tools/train.py --folder runs/first --resume [steps=N]
    torchrun --nproc-per-node 4 tools/train.py --recipe ... --folder runs/second

Method (SNRAware or sN2N), network and everything else stand in the recipe; key=value overrides a setting of it. A run
leaves best.pt, last.pt, log.csv, pictures/ and tensorboard/ in its folder. Ctrl-C ends it after the step at work, and
--resume goes on, with the run's own recipe and archive, bit for bit as if nothing had happened. With steps=N the run
gets another length, also one that had ended: the learning rate follows the cycle of a run of N steps from there on, and
climbs to it over the share of N that `warmup` is. --output exports the best checkpoint when the run ends; --export-only
exports at once, also of a run that has not ended.
"""

import argparse
import functools
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from snrstream.errors import ConfigurationError
from snrtrain import networks, recipe
from snrtrain.archive.archive import Archive
from snrtrain.commands.parser import Parser
from snrtrain.evaluation.pictures import curves
from snrtrain.export import export
from snrtrain.export.facts import facts_of
from snrtrain.methods import noisy_labels
from snrtrain.methods.batch import Method
from snrtrain.methods.sn2n import Sn2n
from snrtrain.methods.snraware import Snraware
from snrtrain.run import checkpoint
from snrtrain.run.pace import Pace
from snrtrain.run.processes import processes
from snrtrain.run.registries import check
from snrtrain.run.run import BEST, LAST, Run

ARCHIVE = Path("archive")
INTERRUPTED = "interrupted; --resume goes on"
MOST_THREADS = 1024
ALPHAS = tuple(round(0.1 * step, 1) for step in range(11))


class Told(NamedTuple):
    """What the user tells of the model beside `facts_of`: its version, and Markdown for the card."""

    version: str
    evaluation: str
    ablation: str


def main(arguments: list[str] | None = None) -> None:
    """Train, or export, or both. Raises ConfigurationError or ModelError where it cannot."""
    options = _parser().parse_args(arguments)
    for name, least in (("threads", 1), ("workers", 0)):
        if not least <= getattr(options, name) <= MOST_THREADS:
            raise ConfigurationError(f"--{name} is {getattr(options, name)}; expected {least} to {MOST_THREADS}")
    pace = None if options.minutes is None else _pace(options)
    torch.set_num_threads(options.threads)
    settings, folder = _recipe_and_archive(options)
    if options.output is not None and options.output.name != settings.name:
        raise ConfigurationError(
            f"--output is {options.output}, the model's name {settings.name}; expected a folder of that name "
            f"(name={options.output.name} gives the model another)"
        )
    for option in ("folder", "output"):
        if getattr(options, option) is not None:
            _check_writable(f"--{option}", getattr(options, option))
    told = Told(
        options.model_version, _table("evaluation", options.evaluation), _table("ablation", options.ablation)
    )  # fmt: skip
    train, held_out = Archive(folder, "train"), Archive(folder, "validation")
    method = open_method(settings, train, held_out)
    place = options.output or options.folder / settings.name
    with processes(options.device) as group:
        export_to = functools.partial(_export, method, train, held_out, told, group.device)
        if not options.export_only:
            options.folder.mkdir(parents=True, exist_ok=True)
            run = Run(settings, options.folder, folder, group, options.weights, options.resume)
            rehearsal = functools.partial(_rehearse, export_to, settings.name) if options.output is not None else None
            run.train(method, options.workers, pace, rehearsal)
        if group.is_first and (options.output is not None or options.export_only):
            print(export_to(place, checkpoint.read(options.folder / BEST)))


def open_method(settings: recipe.Recipe, train: Archive, held_out: Archive) -> Method:
    """The recipe's method on two splits of an archive. Raises ConfigurationError where one holds nothing for it."""
    divisor = networks.divisor(settings)
    if settings.method == "sn2n":
        return Sn2n(settings, train.pairs, held_out.pairs, divisor)
    return Snraware(settings, train.entries, held_out.entries, divisor)


def _recipe_and_archive(options: argparse.Namespace) -> tuple[recipe.Recipe, Path]:
    """As given; of a run that is resumed or exported, its own where they are not."""
    kept = {}
    if options.resume or options.export_only:
        kept = checkpoint.read(options.folder / (LAST if options.resume else BEST))
    folder = (options.archive or Path(str(kept.get("archive", ARCHIVE)))).absolute()
    if not folder.is_dir():
        raise ConfigurationError(
            f"archive {folder} does not exist; expected a folder that prepare.py has made, named by --archive"
        )
    if options.recipe is not None:
        settings = recipe.load(options.recipe, options.settings)
        check(settings)
        return settings, folder
    if not kept or (options.settings and not options.resume):
        raise ConfigurationError("got no --recipe; expected one, or --resume or --export-only of a run that has it")
    return recipe.lengthened(recipe.restored(kept["recipe"]), options.settings), folder


def _check_writable(option: str, folder: Path) -> None:
    """Raises ConfigurationError where a folder is none, or cannot be made, or not written to."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{option} is {folder}: {there} cannot be written to ({error.strerror}); expected a folder, old or new"
        ) from None


def _table(name: str, path: Path | None) -> str:
    """What the card is to quote."""
    try:
        return "" if path is None else path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--{name} {path} cannot be read: {error}; expected Markdown") from None


def _pace(options: argparse.Namespace) -> Pace:
    """Of --minutes, from now on."""
    if not 0 < options.minutes < math.inf:
        raise ConfigurationError(f"--minutes is {options.minutes:g}; expected a number above 0")
    fitted = [setting for setting in options.settings if setting.partition("=")[0] in ("steps", "validate_every")]
    if fitted or options.export_only:
        given = ", ".join(fitted) or "--export-only"
        raise ConfigurationError(
            f"got --minutes and {given}; expected one of them: --minutes fits the steps to the time"
        )
    return Pace(options.minutes)


def _export(
    method: Method, train: Archive, held_out: Archive, told: Told, device: torch.device, output: Path,
    found: dict[str, Any],
) -> str:  # fmt: skip
    """Make the model folder `output` of a checkpoint; a line that tells what it is worth."""
    settings = recipe.restored(found["recipe"])
    network = export.load(found).to(device)
    facts = replace(
        facts_of(settings, train, held_out), version=told.version, evaluation=told.evaluation, ablation=told.ablation
    )  # fmt: skip
    if isinstance(method, Sn2n):
        levels = method.curves(network, ALPHAS)
        curve = noisy_labels.averaged(levels)
        facts = replace(facts, default_alpha=noisy_labels.chosen(levels), alpha_levels=levels)
    else:
        levels = {}
        curve = {alpha: method.psnr(network, alpha) for alpha in ALPHAS}
    export.export(found, output, curve, facts, settings.format)
    values = {f"{added:g} sigma added": list(level.values()) for added, level in levels.items()}
    values["mean" if levels else "validation"] = list(curve.values())
    curves(list(curve), values, "alpha, weight of the original", "PSNR in dB", output / facts.alpha_picture)
    alpha = max(curve, key=curve.__getitem__) if facts.default_alpha is None else facts.default_alpha
    return f"{output}: validation PSNR {curve[alpha]:.2f} dB, at alpha {alpha:g}"


def _rehearse(export_to: Callable[[Path, dict[str, Any]], object], name: str, found: dict[str, Any]) -> None:
    """Export to a folder that goes again: how long it takes, and whether it can, is to be known before the run."""
    weights = {key: weight.cpu() for key, weight in found["weights"].items()}
    with tempfile.TemporaryDirectory() as folder:
        export_to(Path(folder) / name, {**found, "weights": weights})


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override a setting of the recipe")
    parser.add_argument("--recipe", type=Path, help="TOML file; see tools/recipes/")
    parser.add_argument("--archive", type=Path, help="folder that prepare.py has made (default: with --resume and "
                        f"--export-only the run's own, else {ARCHIVE})")  # fmt: skip
    parser.add_argument("--folder", type=Path, required=True, help="folder of checkpoints, log and pictures")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --folder; steps=N changes its length"
    )
    parser.add_argument("--weights", type=Path, help="begin a new --folder with the weights of this checkpoint; its "
                        "blocks may have fewer cells")  # fmt: skip
    parser.add_argument("--output", type=Path, help="model folder to export to when the run ends")
    parser.add_argument("--export-only", action="store_true", help="export the best checkpoint so far at once")
    parser.add_argument("--model-version", default="1.0.0", help="of the exported model (%(default)s)")
    for name in ("evaluation", "ablation"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE.md", help=f"that the model's card is to quote as its "
                            f"{name}, as evaluate.py writes it")  # fmt: skip
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(),
                        help="of each process (default here %(default)s; OMP_NUM_THREADS sets it)")  # fmt: skip
    parser.add_argument("--minutes", type=float, metavar="N", help="fit steps and validations to N minutes from now, "
                        "the export of --output among them; a fraction will do")  # fmt: skip
    parser.add_argument("--workers", type=int, default=0, help="processes that draw batches ahead, for each process; "
                        "a GPU that holds the archive draws its own, and needs none")  # fmt: skip
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU where there is one")
    return parser
