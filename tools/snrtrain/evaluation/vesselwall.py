"""sN2N on another contrast and sampling: black-blood vessel walls, R = 2 x 2 with a CAIPIRINHA shift.

Jung et al. 2022, "MR-self Noise2Noise", applied a model of T1 brains to vessel wall images. Here necks with bright thin
vessel walls are drawn, each another one, and scanned in 3D in simulation (24 channels, 24 x 24 calibration lines, every
second line of every second partition, shifted by one); the scanner's reconstruction makes the image, and the model
denoises it at its default alpha. Compared with the fully sampled image free of noise: PSNR and SSIM as in `snraware`,
edges kept (1: as steep as the truth, below 1: blurred), and CNR = 2 (S_a - S_b) / (noise_a + noise_b) of wall against
lumen and of wall against muscle, where S is a region's mean and noise the SD of its error. One sample a neck; p is that
of the paired t-test over necks. --names adds volumes of --volumes, which count as necks do, in a table of their own:
scanned whole in some 36 partitions, CNR between the brightest two of their three tissues.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrstream.recon.acquired import Acquired
from snrstream.recon.fft import to_kspace
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan
from snrtrain.archive import volumes
from snrtrain.metrics import edges_kept, magnitude_psnr, magnitude_ssim, object_mask, reference_level
from snrtrain.simulation import scanner, simulated_pairs, vessel_wall
from snrtrain.simulation.coils import stack_sensitivities
from snrtrain.work import progress

from . import network, outputs, pictures, selection, tables, tissues, training_data
from .scores import paired_p

CAIPIRINHA = Lattice((2, 2), 1)
SHAPE, N_CHANNELS = (56, 96, 96), 24
FEWEST = 4  # pixels of a region


@dataclass(frozen=True)
class Row:
    """Means over objects."""

    of: str = tables.column("of")
    snr: float = tables.column("SNR", "g")
    measure: str = tables.column("measure")
    original: float = tables.column("original", ".4f")
    denoised: float = tables.column("denoised", ".4f")
    gain: float = tables.column("gain", "+.4f")
    p: float = tables.column("p", ".2g")
    objects: int = tables.column("objects")


@dataclass(frozen=True)
class Thing:
    """What is scanned: magnitude `(e2, e1, ro)`, heights as of `volumes.Stack`, and pairs of regions, by name."""

    of: str
    magnitude: np.ndarray
    heights: tuple[float, ...]
    pairs: dict[str, tuple[Tensor, Tensor]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    selection.add_options(parser)
    network.add_option(parser)
    parser.set_defaults(model="sn2n_unet25d")
    parser.add_argument("--objects", type=outputs.positive_int, default=4, help="necks that are drawn (%(default)s)")
    parser.add_argument(
        "--snr", type=outputs.positive, nargs="+", default=[20.0, 40.0],
        help="of bright tissue, fully sampled (%(default)s)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where PSNR or a CNR of the necks does not gain."""
    model = network.open_model(options.model)
    denoise, alpha = network.denoiser(model, "slice"), model.manifest.default_alpha
    found: dict[tuple[str, float, str], list[tuple[float, float]]] = {}
    shown: dict[str, dict[str, np.ndarray]] = {}
    things = list(_things(options))
    for number, thing in enumerate(progress(things, desc="objects")):
        for snr in options.snr:
            rng = np.random.default_rng([options.seed, number])
            image, gmap, unit, reference = scan(thing, snr, rng)
            original = image * unit
            denoised = alpha * original + (1 - alpha) * denoise(image, gmap) * unit
            for measure, both in _figures(thing, original, denoised, reference).items():
                found.setdefault((thing.of, snr, measure), []).append(both)
            middle = len(reference) // 2
            shown.setdefault(
                f"{thing.of}, SNR {snr:g}",
                {name: x[middle].abs().numpy() for name, x in
                 (("full", reference), ("original", original), (f"alpha {alpha:g}", denoised))},
            )  # fmt: skip
    rows = []
    for (of, snr, measure), values in found.items():
        before, after = np.transpose(values)
        means = float(before.mean()), float(after.mean())
        rows.append(Row(of, snr, measure, *means, means[1] - means[0], paired_p(before, after), len(values)))
    pictures.montage(shown, options.picture)
    known = [thing.of for thing in things if training_data.is_known(f"{thing.of}{volumes.ENDING}", [model])]
    judged = [row for row in rows if row.of == NECKS and (row.measure == "PSNR" or row.measure.startswith("CNR"))]
    lines = [
        f"at SNR {row.snr:g} {row.measure} of {row.of} gains {row.gain:+.2f}; expected above 0"
        for row in judged
        if not row.gain > 0
    ]
    text = f"Model: {network.title(model)}{training_data.note(known)}\n\n{tables.markdown(rows)}"
    outputs.finish(options, text, rows, lines, len(judged))


NECKS = "vessel walls"


def scan(thing: Thing, snr: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, float, Tensor]:
    """Image in SNR units, g-map, what turns the former into units of the reference, and that, all `(e2, e1, ro)`.

    The scanner's reconstruction: GRAPPA in two directions and coil maps from the noisy calibration lines.
    """
    coils = stack_sensitivities(N_CHANNELS, thing.magnitude.shape[1:], thing.heights, rng, fewest_rings=2)
    coils = coils / torch.linalg.vector_norm(coils, dim=0)
    image = scanner.complex_object(thing.magnitude, rng, thing.heights)
    image = image * (snr / reference_level(image.abs()))
    clean = to_kspace(coils * image, dims=(1, 2, 3)).to(torch.complex64)
    volume = simulated_pairs.scanned(clean, rng, CAIPIRINHA)
    sampled = volume.kspace[0].abs().amax(dim=-1) > 0
    acquired = Acquired.of(sampled, CAIPIRINHA, clean.shape[-1])
    plan = Plan.of(volume.acs, volume.start, acquired)
    return plan.image(volume.kspace), plan.gmap, 1 / acquired.scale, image.abs()


def _things(options: argparse.Namespace) -> Iterator[Thing]:
    for number in range(options.objects):
        neck = vessel_wall.draw(SHAPE, np.random.default_rng([options.seed, number]))
        wall, lumen, muscle = (torch.from_numpy(part) for part in (neck.wall, neck.lumen, neck.muscle))
        pairs = {"CNR wall, lumen": (wall, lumen), "CNR wall, muscle": (wall, muscle)}
        yield Thing(NECKS, neck.magnitude, neck.heights, pairs)
    if options.names:
        folder, names = selection.chosen(options)
        for name in names:
            slices, heights = simulated_pairs.whole(volumes.load(folder, name), np.random.default_rng(options.seed))
            truth = torch.from_numpy(slices)
            classes = tissues.tissue_classes(truth, object_mask(truth))
            yield Thing(name, slices, tuple(heights), {"CNR of two tissues": (classes == 3, classes == 2)})


def _figures(
    thing: Thing, original: Tensor, denoised: Tensor, reference: Tensor
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """Of the original and of the denoised image, by measure. Raises ConfigurationError where a region is too small."""
    mask = object_mask(reference)
    both = original, denoised
    figures = {
        name: (measure(both[0], reference, mask), measure(both[1], reference, mask))
        for name, measure in (("PSNR", magnitude_psnr), ("SSIM", magnitude_ssim), ("edges kept", edges_kept))
    }
    for name, (bright, dark) in thing.pairs.items():
        if min(int(bright.sum()), int(dark.sum())) < FEWEST:
            raise ConfigurationError(f"{thing.of} has no {FEWEST} pixels of a region for the {name}; expected some")
        figures[name] = cnr(both[0], reference, bright, dark), cnr(both[1], reference, bright, dark)
    return figures


def cnr(image: Tensor, reference: Tensor, bright: Tensor, dark: Tensor) -> float:
    """2 (S_bright - S_dark) / (noise_bright + noise_dark), of a magnitude; noise: SD of the error in a region."""
    error = image.abs() - reference
    signal = float(image.abs()[bright].mean() - image.abs()[dark].mean())
    return 2 * signal / float(error[bright].std() + error[dark].std())
