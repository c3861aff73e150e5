"""sN2N's table 2 and alpha's curve: noise added to k-space, original against denoised.

Jung et al. 2022, "MR-self Noise2Noise". The middle slices of 3D test volumes are scanned in simulation at R = 2 x 1
(12 channels, noise of SD sigma), and noise of 0, 0.5, ... 3 sigma is added to k-space; the plain reconstruction is
denoised, and both are compared with the fully sampled image free of noise: PSNR, SSIM and NRMSE as in `snraware`, and
the Dice coefficient of three tissues, told apart and from air by scikit-image's multi-Otsu thresholds of each slice.
All are taken slice by slice; p is that of the Wilcoxon signed-rank test over slices, two-sided (scipy): neighbours are
alike, so that it flatters. `denoised` is at the model's default alpha; the curve has the mean PSNR at alpha 0, 0.1,
... 1. Slices of air are left out, and volumes that the model was trained on, where others remain. With an archive, its
test pairs stand in for the simulation: magnitudes, to which no noise can be added. Beside the outputs: the curve's
values as ..._alpha.csv, images as ..._images.png.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Archive, file_in
from snrtrain.archive.volumes import ENDING
from snrtrain.metrics import dice, object_mask, tissue_classes
from snrtrain.work import progress

from . import network, outputs, pictures, selection, tables, training_data
from .scores import Scores
from .undersampled import scan_volume

ALPHAS = tuple(n / 10 for n in range(11))
LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
VOLUMES = ("sag_anon_mprage_skyra3T", "ge_irspgr_1p5")  # of the test volumes those in 3D
MEASURES = ("PSNR", "SSIM", "NRMSE", "Dice")
ROUNDING = 1e-5  # of a figure
LEAST_OBJECT = 0.01  # of the pixels of a slice that counts
LEAST_GAIN = 0.005  # dB, which the table shows as 0


@dataclass(frozen=True)
class LevelRow:
    """Means over slices."""

    added: float = tables.column("added noise, sigma", "g")
    measure: str = tables.column("measure")
    original: float = tables.column("original", ".4f")
    denoised: float = tables.column("denoised", ".4f")
    gain: float = tables.column("gain", "+.4f")
    p: float = tables.column("p", ".2g")
    slices: int = tables.column("slices")


@dataclass(frozen=True)
class AlphaRow:
    """Mean PSNR in dB over slices."""

    added: float = tables.column("added noise, sigma", "g")
    alpha: str = tables.column("alpha")
    psnr: float = tables.column("PSNR", ".2f")


@dataclass(frozen=True)
class Case:
    """original, denoised (alpha 0): complex64 `(slice, e1, ro)` in units of the magnitude `reference`, float32.

    file: that it was made of.
    """

    name: str
    file: str
    added: float
    original: Tensor
    denoised: Tensor
    reference: Tensor

    def blend(self, alpha: float) -> Tensor:
        """The original with the weight alpha, the denoised with the rest."""
        return alpha * self.original + (1 - alpha) * self.denoised


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    selection.add_options(parser, VOLUMES)
    parser.add_argument("--archive", type=Path, help="take its test pairs instead of volumes")
    network.add_option(parser)
    parser.add_argument("--n-slices", type=outputs.positive_int, default=12, help="of each volume (%(default)s)")
    parser.add_argument(
        "--snr", type=outputs.positive, default=15.0, help="of bright tissue, fully sampled, at 0 sigma (%(default)s)"
    )
    parser.add_argument(
        "--added", type=outputs.not_negative, nargs="+", default=list(LEVELS), help="in sigma (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where a gain is not positive, or does not grow."""
    model = network.open_model(options.model)
    made = simulated(model, options) if options.archive is None else archived(model, options.archive)
    scores: dict[tuple[bool, float, str], list[list[float]]] = {}  # bool: whether the model was trained on it
    curves: dict[tuple[bool, float, float], list[float]] = {}
    trained: list[str] = []
    shown: dict[str, dict[str, np.ndarray]] = {}
    alpha = model.manifest.default_alpha
    for case in made:
        masks, seen = object_mask(case.reference), training_data.is_known(case.file, [model])
        trained += [case.name] * seen
        for n, (reference, mask) in enumerate(zip(case.reference, masks, strict=True)):
            if mask.float().mean() < LEAST_OBJECT:
                continue
            classes = tissue_classes(reference)
            for name, image in (("original", case.original[n]), ("denoised", case.blend(alpha)[n])):
                s = Scores.of(image, reference, mask)
                values = [s.psnr, s.ssim, s.nrmse, dice(tissue_classes(image), classes)]
                scores.setdefault((seen, case.added, name), []).append(values)
            for weight in ALPHAS:
                value = Scores.of(case.blend(weight)[n], reference, mask).psnr
                curves.setdefault((seen, case.added, weight), []).append(value)
        middle = len(case.reference) // 2
        shown[f"{case.name}, {case.added:g} sigma"] = {
            name: image[middle].abs().numpy()
            for name, image in (
                ("full", case.reference), ("original", case.original), (f"alpha {alpha:g}", case.blend(alpha))
            )
        }  # fmt: skip
    if not scores:
        raise ConfigurationError("no slice shows an object in a hundredth of its pixels; expected other volumes")
    seen = all(of_seen for of_seen, *_ in scores)
    levels = list(dict.fromkeys(added for of_seen, added, _ in scores if of_seen == seen))
    rows = [
        row for n in levels for row in level_rows(n, scores[seen, n, "original"], scores[seen, n, "denoised"])
    ]  # fmt: skip
    alpha_rows = [AlphaRow(n, f"{a:g}", float(np.mean(curves[seen, n, a]))) for n in levels for a in ALPHAS]
    write_pictures(options.picture, alpha_rows, shown)
    text = f"Model: {network.title(model)}{training_data.note(trained)}\n\n{tables.markdown(rows)}"
    text += "\n\n### PSNR in dB over alpha\n\n" + tables.pivot(alpha_rows, ("added",), "alpha", "psnr")
    lines, n_judged = ([], 0) if seen else missed(rows)
    outputs.finish(options, text, rows, lines, n_judged, {"_alpha": alpha_rows})


def simulated(model: Model, options: argparse.Namespace) -> Iterator[Case]:
    """One volume after the other, at each noise level."""
    (folder, names), denoise = selection.chosen(options), network.denoiser(model, "slice")
    scans = (scan_volume(folder, name, options.n_slices, options.snr, options.seed) for name in names)
    pairs = ((scan, level) for scan in scans for level in sorted(options.added))
    for scan, level in progress(pairs, total=len(names) * len(options.added), desc="reconstructions"):
        image, gmap, unit = scan.image(level)
        yield Case(scan.name, f"{scan.name}{ENDING}", level, image * unit, denoise(image, gmap) * unit, scan.reference)


def archived(model: Model, folder: Path) -> Iterator[Case]:
    """The pairs of the test split that have a reference. Raises ConfigurationError where there are none."""
    if model.manifest.input != "magnitude_slices":
        raise ConfigurationError(
            f"model {model.manifest.name} takes {model.manifest.input}; an archive's pairs are for magnitude_slices"
        )
    denoise, n_found = network.denoiser(model, "slice"), 0
    pairs = Archive(folder, "test").pairs
    for pair in progress(pairs, desc="pairs"):
        if pair.reference is not None:
            n_found += 1
            image = torch.from_numpy(np.array(pair.plain)).to(torch.complex64)
            denoised = denoise(image, torch.ones(image.shape))
            name, file = f"{pair.subject} {n_found}", file_in(pair.source)
            yield Case(name, file, 0.0, image, denoised, torch.from_numpy(np.array(pair.reference)))
    if not n_found:
        raise ConfigurationError(f"archive {folder} has no pair with a reference in test/; expected some")


def level_rows(added: float, original: list[list[float]], denoised: list[list[float]]) -> list[LevelRow]:
    """A row for each measure, of lists `[slice][measure]`."""
    rows = []
    for measure, before, after in zip(MEASURES, np.transpose(original), np.transpose(denoised), strict=True):
        means = float(before.mean()), float(after.mean())
        rows.append(LevelRow(added, measure, *means, means[1] - means[0], paired_p(before, after), len(before)))
    return rows


def paired_p(before: np.ndarray, after: np.ndarray) -> float:
    """Of the Wilcoxon signed-rank test, two-sided; 1 where all are equal but for rounding."""
    return 1.0 if np.allclose(before, after, rtol=ROUNDING, atol=0) else float(stats.wilcoxon(before, after).pvalue)


def missed(rows: list[LevelRow]) -> tuple[list[str], int]:
    """Lines for gains in PSNR that are not positive, or not above that at the next smaller added noise."""
    gains = [row for row in rows if row.measure == "PSNR"]
    lines = [
        f"at {row.added:g} sigma PSNR gains {row.gain:+.2f} dB; expected above 0"
        for row in gains
        if not row.gain > LEAST_GAIN
    ]
    pairs = list(itertools.pairwise(gains))
    lines += [
        f"PSNR gains {b.gain:+.2f} dB at {b.added:g} sigma, {a.gain:+.2f} dB at {a.added:g}; expected it to grow"
        for a, b in pairs
        if not b.gain > a.gain + LEAST_GAIN
    ]
    return lines, len(gains) + len(pairs)


def write_pictures(path: Path, alpha_rows: list[AlphaRow], shown: dict[str, dict[str, np.ndarray]]) -> None:
    """The curve over alpha at `path`, the middle slices beside it."""
    lines: dict[str, list[float]] = {}
    for row in alpha_rows:
        lines.setdefault(f"{row.added:g} sigma added", []).append(row.psnr)
    pictures.curves(ALPHAS, lines, "alpha, weight of the original", "PSNR in dB", path)
    pictures.montage(shown, path.with_stem(f"{path.stem}_images"))
