"""A model beside other people's denoisers, on volumes that nobody trained on.

Every test volume's middle slices are scanned in simulation (coils, phase, coil maps from noisy data, the chain that
training images pass, but without shading) and get white noise times a g-map, 1 or that of an acceleration. `thick`:
slices of 4 mm or more, thin ones averaged; `thin`: neighbouring native slices of 3D volumes, from which BM4D gains.
Reference tissue: the brightest 40 % of the object (white matter in T1 heads); its median over the noise SD (per real
part, g = 1) is the SNR. PSNR, SSIM, NRMSE: of the magnitude inside the object (above a tenth of bright tissue); peak
and data range: the 99.9th percentile of the reference. Ceiling: an oracle that knows the object, but not the noise that
the volume itself carries and is measured against; that noise is estimated from the reference, fine texture included.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from tqdm import tqdm

from snrstream.errors import ConfigurationError
from tools.training import volumes
from tools.training.metrics import ceiling, own_noise

from . import network, outputs, pictures, tables
from .peers import STATIC, Denoiser
from .scenes import Scene, static_scenes
from .scores import Scores, timed

NOISY, NETWORK, CEILING, RIVAL = "noisy", "network", "ceiling", "BM4D"


@dataclass(frozen=True)
class Row:
    """One method on one scene; gain: over noisy, in dB; ms: a frame."""

    volume: str = tables.column("volume")
    slices: str = tables.column("slices")
    acceleration: int = tables.column("R")
    snr: float = tables.column("SNR", "g")
    method: str = tables.column("method")
    psnr: float = tables.column("PSNR", ".2f")
    gain: float = tables.column("gain", "+.2f")
    ssim: float = tables.column("SSIM", ".4f")
    nrmse: float = tables.column("NRMSE", ".4f")
    ms: float = tables.column("ms", ".0f")


@dataclass(frozen=True)
class Requirement:
    """thick, thin: least gain over BM4D in dB; speed: BM4D's time over the network's, at least."""

    thick: float
    thin: float
    speed: float

    def missed(self, rows: Sequence[Row]) -> tuple[list[str], int]:
        """A line for each scene that falls short, and how many were judged: those on which BM4D ran."""
        found = {(r.volume, r.slices, r.acceleration, r.snr, r.method): r for r in rows}
        rivals = [row for row in rows if row.method == RIVAL]
        lines = []
        for rival in rivals:
            place = (rival.volume, rival.slices, rival.acceleration, rival.snr)
            ours = found[*place, NETWORK]
            lead, least = ours.psnr - rival.psnr, self.thick if rival.slices == "thick" else self.thin
            speed = rival.ms / ours.ms
            name = f"{rival.volume}, {rival.slices} slices, R = {rival.acceleration}, SNR {rival.snr:g}"
            if not (lead >= least if least else lead > 0):
                expected = f"{least:+g} or more" if least else "above 0"
                lines.append(f"{name}: {lead:+.2f} dB to BM4D; expected {expected}")
            if not speed >= self.speed:
                lines.append(f"{name}: BM4D takes {speed:.0f} times as long; expected {self.speed:g} or more")
        return lines, 2 * len(rivals)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--volumes", help="folder of .nii.gz; default: $SNRSTREAM_TEST_DATA/volumes")
    network.add_option(parser)
    parser.add_argument("--names", nargs="+", default=list(volumes.TEST), help="test volumes")
    parser.add_argument("--slices", nargs="+", choices=("thick", "thin"), default=["thick", "thin"])
    parser.add_argument("--n-thick", type=outputs.positive_int, default=3, help="slices of each volume")
    parser.add_argument("--n-thin", type=outputs.positive_int, default=8)
    parser.add_argument("--snr", type=outputs.positive, nargs="+", default=[5.0, 10.0, 20.0])
    parser.add_argument("--acceleration", type=outputs.positive_int, nargs="+", default=[1, 4])
    parser.add_argument("--peers", nargs="*", choices=list(STATIC), default=list(STATIC), metavar="PEER",
                        help=f"of {', '.join(STATIC)}")  # fmt: skip
    parser.add_argument("--peer-snr", type=outputs.positive, nargs="*", default=[10.0],
                        help="where peers run; BM4D takes 10 to 60 s a frame")  # fmt: skip
    parser.add_argument("--lead-thick", type=float, default=0.5, metavar="DB", help="least, over BM4D")
    parser.add_argument("--lead-thin", type=float, default=0.0, metavar="DB", help="the same; 0: above it")
    parser.add_argument("--speed", type=float, default=100.0, help="least time of BM4D over the network's")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError or ModelError, the latter also where a requirement is missed."""
    if not set(options.peer_snr) <= set(options.snr):
        raise ConfigurationError(f"--peer-snr is {options.peer_snr}; expected some of --snr {options.snr}")
    folder, model = volumes.volume_folder(options.volumes), network.open_model(options.model)
    ours, alpha = network.denoiser(model, "slice"), model.manifest.default_alpha
    n_slices = {"thick": options.n_thick, "thin": options.n_thin}
    scenes = static_scenes(folder, options.names, options.slices, n_slices, options.acceleration, options.seed)
    peers = {name: STATIC[name] for name in options.peers}
    cases = [(scene, r, snr) for scene in scenes for r in options.acceleration for snr in options.snr]
    rows: list[Row] = []
    shown: dict[str, dict[str, np.ndarray]] = {}
    for scene, acceleration, snr in tqdm(cases, desc="scenes", disable=None):
        there = peers if snr in options.peer_snr else {}
        case_rows, images = measure(scene, acceleration, snr, ours, alpha, there, options.seed)
        rows += case_rows
        if (acceleration, snr) == (options.acceleration[-1], (options.peer_snr or options.snr)[0]):
            shown[f"{scene.name}, {scene.slices}"] = images
    pictures.montage(shown, options.picture)
    missed, n_judged = Requirement(options.lead_thick, options.lead_thin, options.speed).missed(rows)
    outputs.finish(options, text(rows, network.title(model)), rows, missed, n_judged)


def measure(
    scene: Scene, acceleration: int, snr: float, ours: Denoiser, alpha: float, peers: dict[str, Denoiser], seed: int
) -> tuple[list[Row], dict[str, np.ndarray]]:
    """The rows of one scene at one noise level, and the magnitudes of its middle slice by method."""
    clean, noisy = scene.noisy(snr, acceleration, np.random.default_rng(seed))
    gmap = scene.gmaps[acceleration]
    ours(noisy[:1], gmap)  # loads what the first run loads
    answers: dict[str, tuple[Tensor, float]] = {NOISY: (noisy, math.nan), NETWORK: timed(ours, noisy, gmap)}
    if alpha:
        denoised, ms = answers[NETWORK]
        answers[f"{NETWORK}, alpha {alpha:g}"] = alpha * noisy + (1 - alpha) * denoised, ms
    answers.update((name, timed(peer, noisy, gmap)) for name, peer in peers.items())
    scores = {name: Scores.of(image, clean, scene.mask) for name, (image, _) in answers.items()}
    before = scores[NOISY].psnr
    place = (scene.name, scene.slices, acceleration, snr)
    rows = [Row(*place, name, s.psnr, s.psnr - before, s.ssim, s.nrmse, answers[name][1]) for name, s in scores.items()]
    most = ceiling(before, clean, snr * own_noise(scene.truth, scene.mask), scene.mask)
    rows.append(Row(*place, CEILING, most, most - before, math.nan, math.nan, math.nan))
    images = {"clean": clean, **{name: image for name, (image, _) in answers.items()}}
    return rows, {name: image[len(image) // 2].abs().numpy() for name, image in images.items()}


def text(rows: Sequence[Row], model: str) -> str:
    """A table for each measure, methods side by side."""
    index = ("volume", "slices", "acceleration", "snr")
    parts = [f"Model: {model}"]
    for title, value in (
        ("PSNR in dB", "psnr"), ("PSNR gain over noisy in dB", "gain"), ("SSIM", "ssim"), ("NRMSE", "nrmse"),
        ("Time in ms a frame", "ms"),
    ):  # fmt: skip
        kept = [row for row in rows if not (value == "gain" and row.method == NOISY)]
        parts.append(f"### {title}\n\n{tables.pivot(kept, index, 'method', value)}")
    return "\n\n".join(parts)
