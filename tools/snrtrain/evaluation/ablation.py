"""Several models on one test set with the same noise, at R = 4: what each part of the method is worth.

Test set: the middle slices of the test volumes, thick, as in `snraware`, under the g-map of an acceleration. As in the
paper, the noise is that of the method: it went through k-space filters (Gaussian, partial Fourier, reduced resolution)
that are drawn for each slice as in training. White noise, to which one of the models may be the specialist, has a
column of its own and is not judged. Figures are means over volumes and SNRs, at alpha 0; a volume that one of the
models was trained on is left out of them, where others remain. The first model is the one to be best.

One training is one sample of what a method gives. So an arm may be several models, trained alike but for the seed:
`NAME=MODEL,MODEL,MODEL`. Then the means are also over these, the SD tells how far they lie apart, and p is that of the
paired t-test of the arm against the first: its pairs are the scenes (a volume at an SNR), each the mean over the seeds.
"""

import argparse
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain.work import progress

from . import network, outputs, pictures, selection, tables, training_data
from .scenes import Scene, static_scenes
from .scores import Scores, paired_p

WHITE, FILTERED, NOISY = "white", "filtered", "noisy"


@dataclass(frozen=True)
class AblationRow:
    """One arm; white: its PSNR under white noise, the other figures under the method's. psnr_2048: see `Scores`.

    sd: of the PSNR over the arm's models; NaN of one. p: of its PSNR against the first arm's, NaN of the first itself.
    """

    model: str = tables.column("model")
    input: str = tables.column("input")
    n_models: int = tables.column("seeds")
    psnr: float = tables.column("PSNR", ".2f")
    sd: float = tables.column("SD over seeds", ".2f")
    p: float = tables.column("p", ".2g")
    gain: float = tables.column("gain", "+.2f")
    ssim: float = tables.column("SSIM", ".4f")
    nrmse: float = tables.column("NRMSE", ".4f")
    white: float = tables.column("PSNR, white noise", ".2f")
    psnr_2048: float = tables.column("PSNR, peak 2048", ".2f")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.add_argument("arms", nargs="+", metavar="ARM", help="a model's folder, or its name in models/, or "
                        "NAME=MODEL,MODEL,... of several seeds; the full method first")  # fmt: skip
    selection.add_options(parser)
    parser.add_argument("--n-slices", type=outputs.positive_int, default=3, help="of each volume (%(default)s)")
    parser.add_argument("--snr", type=outputs.positive, nargs="+", default=[5.0, 10.0, 20.0],
                        help="of reference tissue (%(default)s)")  # fmt: skip
    parser.add_argument("--acceleration", type=outputs.positive_int, default=4, help="R of the g-map (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where the first model is not the best."""
    arms = opened(options.arms)
    models = [model for seeds in arms.values() for model in seeds]
    (folder, chosen), r = selection.chosen(options), options.acceleration
    scenes = static_scenes(folder, chosen, ["thick"], {"thick": options.n_slices}, [r], options.seed)
    trained = [scene.name for scene in scenes if training_data.is_known(scene.file, models)]
    unseen = [scene for scene in scenes if scene.name not in trained]
    found: dict[tuple[str, str], list[list[Scores]]] = {}
    shown: dict[str, dict[str, np.ndarray]] = {}
    cases = [(scene, snr, kind) for scene in unseen or scenes for snr in options.snr for kind in (WHITE, FILTERED)]
    for scene, snr, kind in progress(cases, desc="scenes"):
        scores, images = measure(scene, snr, kind, r, arms, options.seed)
        for name, of_seeds in scores.items():
            found.setdefault((name, kind), []).append(of_seeds)
        if snr == options.snr[0]:
            shown[f"{scene.name}, {kind} noise"] = images
    pictures.montage(shown, options.picture)
    full = next(iter(arms))
    rows = sorted((row(name, seeds[0].manifest.input, full, found) for name, seeds in arms.items()),
                  key=lambda row: -row.psnr)  # fmt: skip
    n_volumes = outputs.counted(len(unseen or scenes), "volume")
    text = f"R = {r}, SNR {', '.join(f'{snr:g}' for snr in options.snr)}: {n_volumes}"
    text += training_data.note(trained)
    lines, n_judged = missed(rows, full) if unseen else ([], 0)
    outputs.finish(options, f"{text}\n\n{tables.markdown(rows)}", rows, lines, n_judged)


def opened(arms: Sequence[str]) -> dict[str, list[Model]]:
    """The models of each arm, by its name; of a single model, that of its manifest.

    Raises ConfigurationError where an arm is named twice or has no models, ModelError where one cannot be opened.
    """
    found: dict[str, list[Model]] = {}
    for arm in arms:
        name, is_named, places = arm.rpartition("=") if not Path(arm).is_dir() else ("", "", arm)
        parts = places.split(",") if is_named else [places]
        if (is_named and not name) or not all(parts) or len(set(parts)) < len(parts):
            raise ConfigurationError(f"got the arm {arm}; expected MODEL, or NAME=MODEL,MODEL,... of different models")
        models = [network.open_model(place) for place in parts]
        name = name or models[0].manifest.name
        if name in (*found, NOISY):
            raise ConfigurationError(f"two arms are named {name}; expected names that differ")
        found[name] = models
    return found


def measure(
    scene: Scene, snr: float, kind: str, acceleration: int, arms: Mapping[str, Sequence[Model]], seed: int
) -> tuple[dict[str, list[Scores]], dict[str, np.ndarray]]:
    """Scores of the noisy images and of each arm's models, by name, and the magnitudes of the first's middle slice."""
    own = zlib.crc32(f"{scene.name} {snr:g}".encode())  # so that each has filters of its own
    if kind == WHITE:
        clean, noisy = scene.noisy(snr, acceleration, np.random.default_rng(seed))
    else:
        clean, noisy = scene.noisy_filtered(snr, acceleration, torch.Generator().manual_seed(seed + own))
    images = {NOISY: [noisy]}
    for name, models in arms.items():
        images[name] = [network.denoiser(model, "slice")(noisy, scene.gmaps[acceleration]) for model in models]
    scores = {name: [Scores.of(x, clean, scene.mask) for x in of_seeds] for name, of_seeds in images.items()}
    shown = {"clean": clean, **{name: of_seeds[0] for name, of_seeds in images.items()}}
    return scores, {name: x[len(x) // 2].abs().numpy() for name, x in shown.items()}


def row(name: str, kind: str, full: str, found: Mapping[tuple[str, str], list[list[Scores]]]) -> AblationRow:
    """The means of one arm. kind: its input. full: the first arm. found: scores by arm and noise, scene and seed."""

    def values(of: str, noise: str, measure: str) -> np.ndarray:
        return np.array([[getattr(score, measure) for score in of_seeds] for of_seeds in found[of, noise]])

    psnr = values(name, FILTERED, "psnr")  # (scene, seed)
    n_seeds, by_scene = psnr.shape[1], psnr.mean(axis=1)
    means = [float(values(name, noise, measure).mean()) for noise, measure in (
        (FILTERED, "ssim"), (FILTERED, "nrmse"), (WHITE, "psnr"), (FILTERED, "psnr_2048"),
    )]  # fmt: skip
    return AblationRow(
        name, kind, n_seeds, float(psnr.mean()),
        float(psnr.mean(axis=0).std(ddof=1)) if n_seeds > 1 else math.nan,
        paired_p(values(full, FILTERED, "psnr").mean(axis=1), by_scene) if name != full else math.nan,
        float(psnr.mean() - values(NOISY, FILTERED, "psnr").mean()), *means,
    )  # fmt: skip


def missed(rows: list[AblationRow], full: str) -> tuple[list[str], int]:
    """A line for each model that is not below the full method."""
    ours = next(row for row in rows if row.model == full)
    others = [row for row in rows if row.model != full]
    lines = [
        f"{other.model} is {other.psnr - ours.psnr:.2f} dB above {full}; expected it below"
        for other in others
        if not other.psnr < ours.psnr
    ]
    return lines, len(others)
