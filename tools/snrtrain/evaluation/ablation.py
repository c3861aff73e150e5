"""Several models on one test set with the same noise, at R = 4: what each part of the method is worth.

Test set: the middle slices of the test volumes, thick, as in `snraware`, under the g-map of an acceleration. As in the
paper, the noise is that of the method: it went through k-space filters (Gaussian, partial Fourier, reduced resolution)
that are drawn for each slice as in training. White noise, to which one of the models may be the specialist, has a
column of its own and is not judged. Figures are means over volumes and SNRs, at alpha 0; a volume that one of the
models was trained on is left out of them, where others remain. The first model is the one to be best.
"""

import argparse
import zlib
from dataclasses import dataclass

import numpy as np
import torch

from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain.work import progress

from . import network, outputs, pictures, selection, tables, training_data
from .scenes import Scene, static_scenes
from .scores import Scores

WHITE, FILTERED = "white", "filtered"


@dataclass(frozen=True)
class AblationRow:
    """One model; white: its PSNR under white noise, the other figures under the method's. psnr_2048: see `Scores`."""

    model: str = tables.column("model")
    input: str = tables.column("input")
    psnr: float = tables.column("PSNR", ".2f")
    gain: float = tables.column("gain", "+.2f")
    ssim: float = tables.column("SSIM", ".4f")
    nrmse: float = tables.column("NRMSE", ".4f")
    white: float = tables.column("PSNR, white noise", ".2f")
    psnr_2048: float = tables.column("PSNR, peak 2048", ".2f")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.add_argument("models", nargs="+", help="folders, or names in models/; the full method first")
    selection.add_options(parser)
    parser.add_argument("--n-slices", type=outputs.positive_int, default=3, help="of each volume (%(default)s)")
    parser.add_argument("--snr", type=outputs.positive, nargs="+", default=[5.0, 10.0, 20.0],
                        help="of reference tissue (%(default)s)")  # fmt: skip
    parser.add_argument("--acceleration", type=outputs.positive_int, default=4, help="R of the g-map (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where the first model is not the best."""
    models = {path: network.open_model(path) for path in options.models}
    names = {path: model.manifest.name for path, model in models.items()}
    if len(set(names.values())) < len(options.models):
        raise ConfigurationError(f"models are named {', '.join(names.values())}; expected names that differ")
    (folder, chosen), r = selection.chosen(options), options.acceleration
    scenes = static_scenes(folder, chosen, ["thick"], {"thick": options.n_slices}, [r], options.seed)
    trained = [scene.name for scene in scenes if training_data.is_known(scene.file, models.values())]
    unseen = [scene for scene in scenes if scene.name not in trained]
    found: dict[tuple[str, str], list[Scores]] = {}
    shown: dict[str, dict[str, np.ndarray]] = {}
    cases = [(scene, snr, kind) for scene in unseen or scenes for snr in options.snr for kind in (WHITE, FILTERED)]
    for scene, snr, kind in progress(cases, desc="scenes"):
        scores, images = measure(scene, snr, kind, r, list(models.values()), options.seed)
        for name, score in scores.items():
            found.setdefault((name, kind), []).append(score)
        if snr == options.snr[0]:
            shown[f"{scene.name}, {kind} noise"] = images
    pictures.montage(shown, options.picture)
    inputs = {model.manifest.name: model.manifest.input for model in models.values()}
    rows = sorted((row(name, inputs[name], found) for name in inputs), key=lambda row: -row.psnr)
    n_volumes = outputs.counted(len(unseen or scenes), "volume")
    text = f"R = {r}, SNR {', '.join(f'{snr:g}' for snr in options.snr)}: {n_volumes}"
    text += training_data.note(trained)
    lines, n_judged = missed(rows, names[options.models[0]]) if unseen else ([], 0)
    outputs.finish(options, f"{text}\n\n{tables.markdown(rows)}", rows, lines, n_judged)


def measure(
    scene: Scene, snr: float, kind: str, acceleration: int, models: list[Model], seed: int
) -> tuple[dict[str, Scores], dict[str, np.ndarray]]:
    """Scores of the noisy images and of each model's, by name, and the magnitudes of the middle slice."""
    own = zlib.crc32(f"{scene.name} {snr:g}".encode())  # so that each has filters of its own
    if kind == WHITE:
        clean, noisy = scene.noisy(snr, acceleration, np.random.default_rng(seed))
    else:
        clean, noisy = scene.noisy_filtered(snr, acceleration, torch.Generator().manual_seed(seed + own))
    images = {"noisy": noisy}
    for model in models:
        images[model.manifest.name] = network.denoiser(model, "slice")(noisy, scene.gmaps[acceleration])
    scores = {name: Scores.of(image, clean, scene.mask) for name, image in images.items()}
    return scores, {n: x[len(x) // 2].abs().numpy() for n, x in {"clean": clean, **images}.items()}


def row(name: str, kind: str, found: dict[tuple[str, str], list[Scores]]) -> AblationRow:
    """The means of one model. kind: its input."""

    def mean(of: str, noise: str, measure: str) -> float:
        return float(np.mean([getattr(score, measure) for score in found[of, noise]]))

    psnr = mean(name, FILTERED, "psnr")
    return AblationRow(
        name, kind, psnr, psnr - mean("noisy", FILTERED, "psnr"), mean(name, FILTERED, "ssim"),
        mean(name, FILTERED, "nrmse"), mean(name, WHITE, "psnr"), mean(name, FILTERED, "psnr_2048"),
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
