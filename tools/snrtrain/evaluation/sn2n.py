"""sN2N's table 2 and alpha's curve: noise added to k-space, original against denoised, one sample a volume.

Jung et al. 2022, "MR-self Noise2Noise". The middle slices of 3D test volumes are scanned in simulation at R = 2 x 1
(12 channels, noise of SD sigma), and noise of 0, 0.5, ... 3 sigma is added to k-space; the plain reconstruction is
denoised, and both are compared with the fully sampled image free of noise: PSNR, SSIM and NRMSE as in `snraware`, means
over the slices of a volume, and the Dice coefficient of three tissues of the whole block, told apart inside the object
by dipy's hidden Markov random field (the method of FSL's FAST; skulls are not stripped). p is that of the paired t-test
over volumes, two-sided (scipy), empty for a single one; two volumes of one head count as two. `denoised` is at the
model's default alpha; the curve has the mean PSNR at alpha 0, 0.1, ... 1, by the truth: alpha itself is chosen without
it (see `alpha`). Slices of air are left out, and volumes that the model was trained on, where others remain. With an
archive, its test pairs stand in for the simulation: magnitudes, to which no noise can be added.

--labels FILE.nii.gz: regions of the one volume that --names has, on its grid, such as a subcortical atlas's. For each:
the Dice coefficient of the tissues inside it, and how far its mean is off. Regions are not outlined anew.
Beside the outputs: the curve's values as ..._alpha.csv, those of regions as ..._regions.csv, images as ..._images.png.
"""

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.metrics import dice, object_mask

from . import labelled_regions, network, noise_levels, outputs, pictures, selection, tables, tissues, training_data
from .scores import paired_p

ALPHAS = tuple(n / 10 for n in range(11))
LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
# Of the test volumes those in 3D: two of 1 mm, two contrasts of one head with slices of 3 mm.
VOLUMES = ("sag_anon_mprage_skyra3T", "ge_irspgr_1p5", "ms_p04_t1w", "ms_p04_flair")
MEASURES = ("PSNR", "SSIM", "NRMSE", "Dice")
LEAST_OBJECT = 0.01  # of the pixels of a slice that counts
LEAST_GAIN = 0.005  # dB, which the table shows as 0


@dataclass(frozen=True)
class LevelRow:
    """Means over volumes."""

    added: float = tables.column("added noise, sigma", "g")
    measure: str = tables.column("measure")
    original: float = tables.column("original", ".4f")
    denoised: float = tables.column("denoised", ".4f")
    gain: float = tables.column("gain", "+.4f")
    p: float = tables.column("p", ".2g")
    volumes: int = tables.column("volumes")


@dataclass(frozen=True)
class AlphaRow:
    """Mean PSNR in dB over volumes."""

    added: float = tables.column("added noise, sigma", "g")
    alpha: str = tables.column("alpha")
    psnr: float = tables.column("PSNR", ".2f")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    selection.add_options(parser, VOLUMES)
    parser.add_argument("--archive", type=Path, help="take its test pairs instead of volumes")
    parser.add_argument("--labels", type=Path, metavar="FILE.nii.gz", help="regions of the one volume that --names has")
    network.add_option(parser)
    parser.set_defaults(model="sn2n_unet25d")
    parser.add_argument("--n-slices", type=outputs.positive_int, default=12, help="of each volume (%(default)s)")
    parser.add_argument(
        "--snr", type=outputs.positive, default=15.0, help="of bright tissue, fully sampled, at 0 sigma (%(default)s)"
    )
    parser.add_argument(
        "--added", type=outputs.not_negative, nargs="+", default=list(LEVELS), help="in sigma (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where a gain is not positive, or does not grow."""
    if options.labels is not None and (options.archive is not None or len(options.names or ()) != 1):
        raise ConfigurationError("--labels is of one volume; expected --names with that one, and no --archive")
    model = network.open_model(options.model)
    made = noise_levels.cases(model, options)
    scores: dict[tuple[bool, float, str], list[list[float]]] = {}  # bool: whether the model was trained on it
    curves: dict[tuple[bool, float, float], list[float]] = {}
    trained: list[str] = []
    shown: dict[str, dict[str, np.ndarray]] = {}
    region_rows: list[labelled_regions.RegionRow] = []
    alpha = model.manifest.default_alpha
    known: dict[str, Tensor] = {}  # tissues of each volume's reference
    for case in made:
        masks, seen = object_mask(case.reference), training_data.is_known(case.file, [model])
        trained += [case.name] * seen
        kept = masks.flatten(1).float().mean(dim=1) >= LEAST_OBJECT
        if not bool(kept.any()):
            continue
        if case.name not in known:
            known = {case.name: tissues.tissue_classes(case.reference, masks)}
        expected, classes = known[case.name], {}
        for name, images in (("original", case.original), ("denoised", case.blend(alpha))):
            classes[name] = tissues.tissue_classes(images, masks)
            values = [*case.scores(images, masks, kept), dice(classes[name], expected)]
            scores.setdefault((seen, case.added, name), []).append(values)
        for weight in ALPHAS:
            value = case.scores(case.blend(weight), masks, kept, noise_levels.PSNR_ALONE)[0]
            curves.setdefault((seen, case.added, weight), []).append(value)
        if options.labels is not None:
            folder = selection.chosen(options)[0]
            region_rows += labelled_regions.rows(options.labels, folder, case, alpha, classes, expected)
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
    if region_rows:
        text += f"\n\n### Regions of {options.labels.name}\n\n{tables.markdown(region_rows)}"
    lines, n_judged = ([], 0) if seen else missed(rows)
    beside = {"_alpha": alpha_rows} | ({"_regions": region_rows} if region_rows else {})
    outputs.finish(options, text, rows, lines, n_judged, beside)


def level_rows(added: float, original: list[list[float]], denoised: list[list[float]]) -> list[LevelRow]:
    """A row for each measure, of lists `[volume][measure]`."""
    rows = []
    for measure, before, after in zip(MEASURES, np.transpose(original), np.transpose(denoised), strict=True):
        means = float(before.mean()), float(after.mean())
        rows.append(LevelRow(added, measure, *means, means[1] - means[0], paired_p(before, after), len(before)))
    return rows


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
