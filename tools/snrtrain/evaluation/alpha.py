"""alpha of an sN2N model, chosen on noisy labels at several levels of noise.

As `train.py` chooses it when it exports, for a model that is there: the validation pairs of an archive that `prepare.py
pairs` has made are given 0.25, 1, 2 and 3 sigma more noise, and the blends of original and denoised image are compared
with images of the same scan whose noise is independent of the input's. The truth is not asked for: real scans do. The
default is the alpha that is best on average, of those that are no worse than the original at 0.25 sigma; within 0.05 dB
the largest. Pairs of
volumes that the model was trained on are left out, where others remain. Beside it, where a pair has a reference: the
same by the truth, which sees the aliasing of R = 2 too.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Archive, Pair, file_in
from snrtrain.methods import noisy_labels
from snrtrain.methods.sn2n import complex_of
from snrtrain.metrics import magnitude_psnr, object_mask
from snrtrain.work import progress

from . import network, outputs, pictures, tables, training_data

ALPHAS = tuple(n / 10 for n in range(11))


@dataclass(frozen=True)
class Row:
    """Mean PSNR in dB over slices."""

    added: str = tables.column("added noise, sigma")
    alpha: str = tables.column("alpha")
    by_labels: float = tables.column("by noisy labels", ".2f")
    by_truth: float = tables.column("by the truth", ".2f")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.add_argument("--archive", type=Path, required=True, help="whose validation pairs are taken")
    network.add_option(parser)
    parser.add_argument("--n-slices", type=outputs.positive_int, default=12, help="of each pair (%(default)s)")
    parser.set_defaults(model="sn2n_unet25d")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError."""
    model = network.open_model(options.model)
    if model.manifest.input != "magnitude_slices":
        raise ConfigurationError(
            f"model {model.manifest.name} takes {model.manifest.input}; an archive's pairs are for magnitude_slices"
        )
    pairs = Archive(options.archive, "validation").pairs
    if not pairs:
        raise ConfigurationError(f"archive {options.archive} has no pairs in validation/; expected some")
    trained = {pair.source for pair in pairs if training_data.is_known(file_in(pair.source), [model])}
    judged = [pair for pair in pairs if pair.source not in trained] or list(pairs)
    labels, truths = (
        noisy_labels.collected(values) for values in zip(*_slices(model, judged, options.n_slices), strict=True)
    )
    if not labels:
        raise ConfigurationError("no slice shows an object in a hundredth of its pixels; expected other pairs")
    rows = [
        Row(f"{added:g}", f"{alpha:g}", value, truths[added][alpha] if truths else float("nan"))
        for added, level in labels.items()
        for alpha, value in level.items()
    ]
    means = noisy_labels.averaged(labels), noisy_labels.averaged(truths) if truths else {}
    rows += [Row("mean", f"{alpha:g}", value, means[1].get(alpha, float("nan"))) for alpha, value in means[0].items()]
    told = f"On noisy labels alpha is {noisy_labels.chosen(labels):g}"
    told += f", by the truth {noisy_labels.chosen(truths):g}." if truths else "."
    text = f"Model: {network.title(model)}{training_data.note(file_in(source) for source in sorted(trained))}\n\n"
    text += f"{told}\n\n### PSNR in dB by noisy labels\n\n{tables.pivot(rows, ('added',), 'alpha', 'by_labels')}"
    if truths:
        text += f"\n\n### PSNR in dB by the truth\n\n{tables.pivot(rows, ('added',), 'alpha', 'by_truth')}"
    lines = {f"{added:g} sigma added": list(level.values()) for added, level in labels.items()}
    pictures.curves(ALPHAS, lines, "alpha, weight of the original", "PSNR in dB", options.picture)
    outputs.finish(options, text, rows, [], 0)


Level = tuple[float, dict[float, float]]  # added noise, and PSNR by alpha


def _slices(model: Model, pairs: Iterable[Pair], n_slices: int) -> Iterator[tuple[Level, Level]]:
    """By noisy labels and by the truth, slice after slice; {} where it is not known."""
    denoise = network.denoiser(model, "slice")
    for pair in progress(list(pairs), desc="pairs"):
        n_all = len(pair.plain)
        start = max(0, (n_all - n_slices) // 2)
        kept = slice(start, start + n_slices)
        whole, noise = (np.array(image[kept]) for image in complex_of(pair))
        for added in noisy_labels.LEVELS:
            given = noisy_labels.noisier(whole, noise, added)
            answer = denoise(torch.from_numpy(given), torch.ones(given.shape)).abs().numpy()
            label = noisy_labels.label(whole, noise, added)
            for n, original in enumerate(np.abs(given)):
                images = original, answer[n], label[n], noise[n], whole[n]
                truth = None if pair.reference is None else torch.from_numpy(np.array(pair.reference[start + n]))
                by_labels = noisy_labels.by_alpha(ALPHAS, *images, added)
                by_truth = {} if truth is None or not by_labels else _true(original, answer[n], truth)
                yield (added, by_labels), (added, by_truth)


def _true(original: np.ndarray, denoised: np.ndarray, truth: torch.Tensor) -> dict[float, float]:
    mask = object_mask(truth)
    blends = {alpha: torch.from_numpy(alpha * original + (1 - alpha) * denoised) for alpha in ALPHAS}
    return {alpha: magnitude_psnr(blend, truth, mask) for alpha, blend in blends.items()}
