"""How strongly GRAPPA's kernel is to be regularised: lines are dropped from fully sampled scans.

Less regularisation has more noise, more has residual aliasing. A denoiser takes away noise alone, so what counts is the
error of the denoised image. Raw files are undersampled along e1; volumes are scanned in simulation, as a slice along e1
and in 3D at 2 x 2, free of the noise that a raw file's own full image shares with the undersampled one. 24 calibration
lines. Each is reconstructed and denoised by the gadgets of the scanner, at alpha 0 and at that of the pipeline
grappa_denoise.
Error: root mean square of |image|, scaled to the fully sampled one by least squares, minus that, over the root mean
square of that, where its SNR is above 4. g in the same place. SD/g: of noise through the same reconstruction.
`noise` is what the default was from R = 4 on: lambda = 2 n_ro (lines - windows), the power of the noise in all of
k-space, at most a tenth of the mean diagonal of the normal equations, on top of 5e-4 of that.
"""

import argparse
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from snrstream.gadgets import denoise
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket, ReconImage
from snrstream.recon.grappa import TIKHONOV, calibrate
from snrtrain.simulation.phantom import white_noise
from snrtrain.work import progress

from . import fully_sampled, outputs, pictures, selection, tables
from .fully_sampled import FullScan, images_of

OWN = ("colin27_ch2", "seg3d_t1", "ms_p12_t2w")  # neither trained nor tested on
ALONG_BOTH = (2, 2)
LEAST_SNR = 4.0  # where errors are measured
MOST_SHARE = 0.1  # of the mean diagonal, that `noise` adds
N_REPLICAS = 4  # all pixels of an object: SD/g to better than 1 %
MOST_PARTITIONS = 8  # of a volume, the middle ones: so many are denoised
NOISE = "noise"
MODEL, ALPHA = "snraware", 0.3  # of the pipeline grappa_denoise


@dataclass(frozen=True)
class RegularisedRow:
    """One reconstruction; errors as the module has them."""

    scan: str = tables.column("scan")
    acceleration: str = tables.column("R")
    regularisation: str = tables.column("lambda")
    original: float = tables.column("original", ".4f")
    denoised: float = tables.column("denoised, alpha 0", ".4f")
    blended: float = tables.column("denoised, the pipeline's alpha", ".4f")
    median_g: float = tables.column("median g", ".2f")
    largest_g: float = tables.column("largest g", ".2f")
    sd_over_g: float = tables.column("SD/g", ".3f")


@dataclass(frozen=True)
class MeanRow:
    """The errors of a regularisation over those of the default, in the geometric mean."""

    regularisation: str = tables.column("lambda, over the default")
    original: float = tables.column("original", ".3f")
    denoised: float = tables.column("denoised, alpha 0", ".3f")
    blended: float = tables.column("denoised, the pipeline's alpha", ".3f")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.add_argument("scans", type=Path, nargs="*", metavar="FULL.h5", help="ISMRMRD files without acceleration")
    parser.add_argument("--scan-snr", type=outputs.positive, metavar="SNR",
                        help="of tissue: take the files for free of noise, scale them to it and add noise; for those "
                             "whose noise is not known")  # fmt: skip
    selection.add_options(parser, OWN)
    parser.add_argument("--snr", type=outputs.positive, default=20.0, help="of the volumes (%(default)s)")
    parser.add_argument("--acceleration", type=outputs.positive_int, nargs="+", default=[3, 4, 5, 6],
                        help="along e1 (%(default)s)")  # fmt: skip
    parser.add_argument("--tikhonov", type=outputs.positive, nargs="+", default=[1e-4, TIKHONOV, 2e-3, 5e-3],
                        help="fractions of the mean diagonal (%(default)s)")  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Raises what reading scans, volumes and the model raises."""
    rng = np.random.default_rng(options.seed)
    along_e1 = [(r, 1) for r in options.acceleration]
    cases = [(fully_sampled.read(path, options.scan_snr, rng), r) for path in options.scans for r in along_e1]
    if options.volumes or options.names or not cases:
        folder, names = selection.chosen(options)
        for name in names:
            plane, volume = fully_sampled.simulated(folder, name, options.snr, rng)
            cases += [*((plane, r) for r in along_e1), (volume, ALONG_BOTH)]
    rows: list[RegularisedRow] = []
    shown: dict[str, dict[str, np.ndarray]] = {}
    for scan, acceleration in progress(cases, desc="accelerations"):
        found, images = measured(scan, acceleration, options.tikhonov, rng)
        rows += found
        shown[f"{scan.name}, R = {rate(acceleration)}"] = images
    pictures.montage(shown, options.picture)
    outputs.finish(options, f"{tables.markdown(rows)}\n\n{tables.markdown(over_all(rows))}", rows, [], 0)


def measured(
    scan: FullScan, acceleration: tuple[int, int], lambdas: Sequence[float], rng: Generator
) -> tuple[list[RegularisedRow], dict[str, np.ndarray]]:
    """A row for each regularisation, and the middle partition of the original images beside the truth."""
    bucket = scan.at(acceleration)
    noise = bucket.line_sd[..., None] * white_noise((N_REPLICAS, *bucket.kspace.shape), rng)
    middle = len(scan.truth) // 2
    some = slice(max(0, middle - MOST_PARTITIONS // 2), middle + MOST_PARTITIONS // 2)
    truth = scan.truth[some].numpy()
    inside = truth > LEAST_SNR
    rows, images = [], {"truth": scan.truth[middle].numpy()}
    for name, tikhonov in {**{f"{x:g}": x for x in lambdas}, NOISE: TIKHONOV + noise_share(bucket)}.items():
        made, *replicas = images_of(bucket, noise, scan.header, tikhonov)
        power = np.mean([np.square(np.abs(replica.image[some])) for replica in replicas], axis=0) / 2
        part = dataclasses.replace(made, image=made.image[some], gmap=made.gmap[some])
        images[name] = np.abs(made.image[middle])
        clean = denoised(part, scan)
        blended = ALPHA * part.image + (1 - ALPHA) * clean
        original, best, shown = (scaled_nrmse(image, truth, inside) for image in (part.image, clean, blended))
        g = part.gmap[inside]
        sd = float(np.sqrt(np.mean(power[inside] / g**2)))
        place = scan.name, rate(acceleration), name
        rows.append(RegularisedRow(*place, original, best, shown, float(np.median(g)), float(g.max()), sd))
    return rows, images


def scaled_nrmse(image: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    """Of |image| against the magnitude `truth` where the mask `inside` is true."""
    found, wanted = np.abs(image)[inside], truth[inside]
    scale = (found * wanted).sum() / np.square(found).sum()
    return float(np.linalg.norm(scale * found - wanted) / np.linalg.norm(wanted))


def denoised(image: ReconImage, scan: FullScan) -> np.ndarray:
    """By the pipeline's model, the network alone; the image itself where g is far beyond what it was trained on."""
    _, made = run_gadget(denoise, [image], scan.header, denoise.Parameters(model=MODEL, alpha=0.0))
    if not isinstance(made, ReconImage):
        raise TypeError(f"denoise made a {type(made).__name__} of an image; expected a ReconImage")
    return made.image


def noise_share(bucket: Bucket) -> float:
    """What lambda is by `noise`, as a fraction of the mean diagonal of the normal equations."""
    if bucket.calibration is None:
        raise ValueError("the bucket has no calibration lines; expected some")
    acs = bucket.calibration.kspace
    size = bucket.grid.size
    centre = (size[0] // 2 - bucket.calibration.start[0], size[1] // 2 - bucket.calibration.start[1])
    kernel = calibrate(acs, bucket.lattice, centre=centre)
    reach = np.array(kernel.sources + kernel.targets)
    low, spans = -reach.min(axis=0), np.array(acs.shape[1:3]) - np.ptp(reach, axis=0)
    windows = [(z, y) for z, y in np.array(kernel.sources) + low]
    power = np.mean([float(acs[:, z : z + spans[0], y : y + spans[1]].abs().square().sum()) for z, y in windows])
    noise = 2 * acs.shape[3] * (math.prod(size) - math.prod(spans.tolist()))
    return float(min(noise / (power / len(acs)), MOST_SHARE))


def over_all(rows: Sequence[RegularisedRow]) -> list[MeanRow]:
    """The geometric mean, over scans and accelerations, of each error over that of the default."""
    names = list(dict.fromkeys(row.regularisation for row in rows))
    default = {(row.scan, row.acceleration): row for row in rows if row.regularisation == f"{TIKHONOV:g}"}
    means = []
    for name in names:
        pairs = [(row, default.get((row.scan, row.acceleration))) for row in rows if row.regularisation == name]
        logs = [
            [math.log(getattr(row, what) / getattr(base, what)) for what in ("original", "denoised", "blended")]
            for row, base in pairs
            if base is not None
        ]
        means.append(MeanRow(name, *np.exp(np.mean(logs, axis=0)).tolist() if logs else [math.nan] * 3))
    return means


def rate(acceleration: tuple[int, int]) -> str:
    """Such as `4`, `2 x 2`."""
    r1, r2 = acceleration
    return str(r1) if r2 == 1 else f"{r1} x {r2}"
