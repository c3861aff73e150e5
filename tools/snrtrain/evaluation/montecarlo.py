"""SNR, CNR and kept edges on a real scan, by Monte Carlo.

Unit noise is added to the whitened k-space again and again (pseudo-replicas), each is reconstructed by the scanner's
chain and denoised; noise is the SD of the magnitude over these, at each pixel. As the scan has noise of its own, a
replica has twice the power that the g-map tells; so the network sees it times 1 / sqrt(2), and its answer is multiplied
by sqrt(2): SNRAware's own scaling of noise of SD 1 added to SNR units.
Regions: the object is what lies above a tenth of bright tissue, specks left out. Its magnitude, smoothed by a Gaussian
of 1 pixel and divided by one of a tenth of the field of view (which takes the coils' shading off, and the contrast of
tissues larger than that), is split in three by multi-level Otsu thresholds: two tissues, and what is darker; a pixel is
taken off their edges. The full scan is split, where it is given. SNR: mean signal over mean noise. CNR =
2 (S_a - S_b) / (noise_a + noise_b) of the two tissues. With --roi no tissues are sought: each label of the mask has
mean, SD, SNR and CNR in a table of its own.
With a fully sampled scan of the same object: PSNR and SSIM of the magnitude inside the object, against that scan scaled
to the noisy image by least squares (peak: its 99.9th percentile), and the edges kept: see `metrics.edges_kept`. Its own
noise bounds them all. Where the scan's lines are among those of the full scan, both have the same noise, and the noisy
image is closer to the full scan than its noise lets it be, edges too: that is told, and nothing is judged. With
--added-noise, independent noise is added to the scan, and how much of its noise is still that of the full scan is told:
from twice its own on, a fifth, it is judged.
Residual: what the network took off the scan, beside noise alone, a replica less the scan: see `ResidualRow`. What is
noise has the correlations of noise, and no more of it where the object has edges.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.metrics import edges_kept, magnitude_nrmse, magnitude_psnr, magnitude_ssim, object_mask
from snrtrain.work import progress

from . import network, outputs, pictures, rois, tables, training_data
from .peers import Denoiser
from .regions import Regions, object_alone, regions
from .replicas import Spread, read_scan
from .residuals import reading, residual_row

NOISY, NETWORK = "noisy", "network"
MOST_SHARED = 0.2  # of the noise power, up to which closeness to the full scan tells of the network
SHARED = (
    "The scan's lines are among those of the full scan: both have the same noise, which brings the noisy image closer "
    "to it, and its edges. Nothing is judged; --added-noise 2 or more adds independent noise."
)


@dataclass(frozen=True)
class ReplicaRow:
    """noise: mean SD over repetitions in the object. fall: that of the noisy image over it; also in the tissues."""

    image: str = tables.column("image")
    noise: float = tables.column("noise SD", ".3f")
    fall: float = tables.column("falls by", ".2f")
    fall_bright: float = tables.column("in bright tissue", ".2f")
    fall_dark: float = tables.column("in dark tissue", ".2f")
    snr: float = tables.column("SNR", ".1f")
    snr_bright: float = tables.column("SNR, bright tissue", ".1f")
    snr_dark: float = tables.column("SNR, dark tissue", ".1f")
    cnr: float = tables.column("CNR", ".1f")
    psnr: float = tables.column("PSNR to full scan", ".2f")
    ssim: float = tables.column("SSIM to full scan", ".4f")
    nrmse: float = tables.column("NRMSE to full scan", ".4f")
    edges: float = tables.column("edges kept", ".3f")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    parser.add_argument("scan", type=Path, help="ISMRMRD file")
    parser.add_argument("--reference", type=Path, help="the same object fully sampled")
    parser.add_argument("--pipeline", default="grappa_snr", help="whose gadgets reconstruct (default %(default)s)")
    parser.add_argument("--image", type=int, default=0, help="which one of the scan's, from 0 (%(default)s)")
    network.add_option(parser)
    rois.add_option(parser, "of the image's size: NIfTI (ro, e1, e2), .npy (e2, e1, ro), or without e2 if it is 1")
    parser.add_argument("--repetitions", type=outputs.positive_int, default=64, help="replicas (%(default)s)")
    parser.add_argument("--added-noise", type=outputs.positive, metavar="SD", help="in SDs of the scan's own noise")
    parser.add_argument(
        "--least-edges",
        type=outputs.finite,
        default=0.9,
        help="kept by the network, over the noisy image's (%(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Raises what `read_scan` and `open_model` raise, and ModelError where a requirement is missed."""
    if options.repetitions < 2 or options.image < 0:
        raise ConfigurationError(
            f"got --repetitions {options.repetitions} --image {options.image}; expected 2 and 0 or more"
        )
    model = network.open_model(options.model)
    ours, alpha = network.denoiser(model, "slice"), model.manifest.default_alpha
    rng = np.random.default_rng(options.seed)
    raw = read_scan(options.scan, options.pipeline, options.image)
    measured = raw if options.added_noise is None else raw.noisier(options.added_noise, rng)
    images = measured.images(options.repetitions, rng)
    first = next(images)
    scan, gmap = torch.from_numpy(first.image), torch.from_numpy(first.gmap)
    labels = None if options.roi is None else rois.of_image(options.roi, tuple(scan.shape))
    found = blends(scan, ours(scan, gmap), alpha)
    spreads = {name: Spread() for name in found}
    noise = scan
    for replica in progress(images, total=options.repetitions, desc="repetitions"):
        noisy = torch.from_numpy(replica.image)
        noise = noisy - scan
        for name, image in blends(noisy, at_unit_noise(ours, noisy, gmap), alpha).items():
            spreads[name].add(image)
    reference, shared, share = None, False, 0.0
    if options.reference is not None:
        fully = read_scan(options.reference, options.pipeline, options.image)
        if raw.shares_lines_of(fully):
            share = 1 / (1 + (options.added_noise or 0.0) ** 2)
        shared = share > MOST_SHARED
        full = next(fully.images(0, rng))
        reference = scaled_reference(torch.from_numpy(full.image).abs(), scan.abs())
    marked = (regions if labels is None else object_alone)(scan.abs() if reference is None else reference)
    rows = [row(name, spreads, found, reference, marked) for name in found]
    drawn: list[rois.RoiRow] = []
    if labels is not None:
        drawn = [r for name, spread in spreads.items() for r in rois.rows(name, spread.mean, spread.sd, labels)]
    draw(options.picture, found, spreads, reference, marked, labels)
    text = f"{options.scan.name}, {options.repetitions} repetitions. Model: {network.title(model)}"
    if options.added_noise is not None:
        text += f". Noise of {options.added_noise:g} SD was added to the scan's own"
        text += f", {share:.0%} of whose power is then that of the full scan's noise" if share else ""
    text += f".\n\n{SHARED}" if shared else ""
    missed, n_judged = ([], 0) if shared else missed_requirements(rows, options.least_edges)
    if training_data.is_known(options.scan.name, [model]):
        text, missed, n_judged = text + training_data.note([options.scan.name]), [], 0
    seen = scan.abs() if reference is None else reference
    taken = {"noise alone": noise, "noisy - network": scan - found[NETWORK]}
    residuals = [residual_row(name, image, gmap, seen, marked.object) for name, image in taken.items()]
    text += f"\n\n{tables.markdown(rows)}\n\n### What the network took off\n\n{tables.markdown(residuals)}"
    text += f"\n\n{reading(*residuals)}"
    beside: dict[str, Sequence[Any]] = {"_residual": residuals}
    if drawn:
        text += f"\n\n### Labels\n\n{tables.markdown(drawn)}"
        beside["_roi"] = drawn
    outputs.finish(options, text, rows, missed, n_judged, beside)


def blends(noisy: Tensor, denoised: Tensor, alpha: float) -> dict[str, Tensor]:
    """Noisy, denoised, and their blend where the model's default alpha is not 0."""
    images = {NOISY: noisy, NETWORK: denoised}
    if alpha:
        images[f"{NETWORK}, alpha {alpha:g}"] = alpha * noisy + (1 - alpha) * denoised
    return images


def at_unit_noise(denoise: Denoiser, noisy: Tensor, gmap: Tensor) -> Tensor:
    """The answer to an image whose noise has twice the power of the g-map's, in its own units."""
    return denoise(noisy / math.sqrt(2), gmap) * math.sqrt(2)


def scaled_reference(full: Tensor, noisy: Tensor) -> Tensor:
    """|full| scaled to |noisy| in the object: R times fewer lines have a lower SNR. Raises ConfigurationError."""
    if full.shape != noisy.shape:
        raise ConfigurationError(f"reference has the shape {tuple(full.shape)}; expected {tuple(noisy.shape)}")
    inside = object_mask(full)
    return full * float((full * noisy)[inside].sum() / full[inside].square().sum())


def row(
    name: str, spreads: dict[str, Spread], found: dict[str, Tensor], reference: Tensor | None, marked: Regions
) -> ReplicaRow:
    """One image's line."""
    parts = (marked.object, marked.bright, marked.dark)
    signal, noise, before = (
        [float(x[part].mean()) for part in parts] for x in (spreads[name].mean, spreads[name].sd, spreads[NOISY].sd)
    )
    quality = [math.nan] * 4
    if reference is not None:
        measures = (magnitude_psnr, magnitude_ssim, magnitude_nrmse, edges_kept)
        quality = [measure(found[name], reference, marked.object) for measure in measures]
    fall, fall_bright, fall_dark = (b / n for b, n in zip(before, noise, strict=True))
    snr, snr_bright, snr_dark = (s / n for s, n in zip(signal, noise, strict=True))
    cnr = 2 * (signal[1] - signal[2]) / (noise[1] + noise[2])
    return ReplicaRow(name, noise[0], fall, fall_bright, fall_dark, snr, snr_bright, snr_dark, cnr, *quality)


def missed_requirements(rows: list[ReplicaRow], least_edges: float) -> tuple[list[str], int]:
    """What the network at alpha 0 falls short of, and how many requirements were looked at."""
    named = {row.image: row for row in rows}
    noisy, ours = named[NOISY], named[NETWORK]
    if math.isnan(ours.psnr):
        return [], 0
    lines = []
    if not ours.edges >= least_edges * noisy.edges:
        lines.append(f"edges are {ours.edges / noisy.edges:.3f} of the noisy ones; expected {least_edges:g} or more")
    if not ours.psnr > noisy.psnr:
        lines.append(
            f"PSNR to the full scan is {ours.psnr:.2f} dB; expected more than the noisy image's {noisy.psnr:.2f}"
        )
    if not ours.ssim > noisy.ssim:
        lines.append(f"SSIM to the full scan is {ours.ssim:.4f}; expected more than the noisy {noisy.ssim:.4f}")
    return lines, 3


def draw(
    path: Path, found: dict[str, Tensor], spreads: dict[str, Spread], reference: Tensor | None, marked: Regions,
    labels: Tensor | None = None,
) -> None:  # fmt: skip
    """The middle partition: images, what the network took off, and the SD maps in one window."""
    middle = len(found[NOISY]) // 2
    images = {} if reference is None else {"full scan": reference[middle].numpy()}
    images |= {name: image[middle].abs().numpy() for name, image in found.items()}
    images["noisy - network, 5 x"] = 5 * (found[NOISY] - found[NETWORK])[middle].abs().numpy()
    maps = {f"SD, {name}": spread.sd[middle].numpy() for name, spread in spreads.items()}
    if labels is not None:
        parts, top = "labels", float(labels.max())
        maps[parts] = labels[middle].numpy()
    else:
        parts, top = "object, dark and bright tissue", 3.0
        one, dark, bright = (part[middle].float().numpy() for part in (marked.object, marked.dark, marked.bright))
        maps[parts] = one + dark + 2 * bright
    pictures.montage({"images": images, "noise": maps}, path, {parts: top})
