"""The network and other denoisers on the same noisy scenes: their rows, tables and picture."""

import argparse
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain.metrics import ceiling, magnitude_psnr, own_noise, ssim_map
from snrtrain.work import each, progress

from . import network, outputs, pictures, selection, tables, training_data
from .peers import DYNAMIC, STATIC, Denoiser
from .scenes import Scene
from .scores import Scores, timed

NOISY, NETWORK, SINGLE, CEILING = "noisy", "network", "single-image network", "ceiling"
SAME_DB = 1e-4  # by less the PSNR of the same images may differ, from one machine to another
OF_THIRDS = tuple(f"{value}_{third}" for value in ("gain", "ssim") for third in ("low", "middle", "high"))
PEERS = {"slice": STATIC, "time": DYNAMIC}  # by what the images of a stack are


@dataclass(frozen=True)
class ComparisonRow:
    """One method on one scene; gain: over noisy, in dB; ms: a frame. psnr_2048: see `Scores`.

    gain_low, gain_middle, gain_high: in the thirds of the object with the lowest g, the middle and the highest; so
    ssim_low to ssim_high, the gains in SSIM over noisy. NaN where g is the same (figure 3 of arXiv 2503.18162).
    """

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
    psnr_2048: float = tables.column("PSNR, peak 2048", ".2f", default=math.nan)
    gain_low: float = tables.column("gain, lowest g", "+.2f", default=math.nan)
    gain_middle: float = tables.column("gain, middle g", "+.2f", default=math.nan)
    gain_high: float = tables.column("gain, highest g", "+.2f", default=math.nan)
    ssim_low: float = tables.column("SSIM gain, lowest g", "+.4f", default=math.nan)
    ssim_middle: float = tables.column("SSIM gain, middle g", "+.4f", default=math.nan)
    ssim_high: float = tables.column("SSIM gain, highest g", "+.4f", default=math.nan)


def add_options(parser: argparse.ArgumentParser, axis: str) -> None:
    """Of the scenes and of what runs on them. axis: what the images of a stack are, `slice` or `time`."""
    peers = list(PEERS[axis])
    selection.add_options(parser)
    network.add_option(parser)
    parser.add_argument("--snr", type=outputs.positive, nargs="+", default=[5.0, 10.0, 20.0],
                        help="of reference tissue (%(default)s)")  # fmt: skip
    parser.add_argument("--acceleration", type=outputs.positive_int, nargs="+", default=[1, 2, 4],
                        help="R of g-maps (%(default)s)")  # fmt: skip
    parser.add_argument("--peers", type=outputs.one_of(peers), nargs="*", default=peers, metavar="PEER",
                        help=f"of {', '.join(peers)} (all)")  # fmt: skip
    parser.add_argument("--peer-snr", type=outputs.positive, nargs="*", default=[10.0],
                        help="where peers run; BM4D takes 10 to 60 s a frame (%(default)s)")  # fmt: skip
    parser.add_argument("--peers-of", type=Path, metavar="FILE.csv",
                        help="rows of an earlier run, whose peers do not run again")  # fmt: skip
    parser.add_argument("--single", metavar="MODEL",
                        help=f"another model, which sees each image alone: rows of `{SINGLE}`")  # fmt: skip
    parser.add_argument("--workers", type=outputs.positive_int, default=1,
                        help="processes (%(default)s); all methods of a scene are timed in the same")  # fmt: skip


def check(options: argparse.Namespace) -> list[ComparisonRow]:
    """The rows of an earlier run, where one is named.

    Raises ConfigurationError where it has none, or peers would run nowhere, ModelError where the model that sees each
    image alone cannot be opened; all before the scenes, which take minutes.
    """
    if options.single is not None:
        network.open_model(options.single)
    if not set(options.peer_snr) <= set(options.snr):
        raise ConfigurationError(f"--peer-snr is {options.peer_snr}; expected some of --snr {options.snr}")
    return tables.read_csv(ComparisonRow, options.peers_of) if options.peers_of else []


def compare(
    scenes: Sequence[Scene], model: Model, axis: str, known: Sequence[ComparisonRow], options: argparse.Namespace
) -> list[ComparisonRow]:
    """All rows; draws the scenes at the last acceleration and the first SNR with peers.

    known: rows of an earlier run. Raises ConfigurationError where they are of other images.
    """
    rows: list[ComparisonRow] = []
    shown: dict[str, dict[str, np.ndarray]] = {}
    cases = [(scene, r, snr) for scene in scenes for r in options.acceleration for snr in options.snr]
    work = functools.partial(measure_case, axis, options, known, model if options.workers == 1 else None)
    results = progress(each(work, cases, options.workers), total=len(cases), desc="scenes")
    for (scene, acceleration, snr), (case_rows, images) in zip(cases, results, strict=True):
        rows += case_rows
        if (acceleration, snr) == (options.acceleration[-1], (options.peer_snr or options.snr)[0]):
            shown[f"{scene.name}, {scene.slices}"] = images
    pictures.montage(shown, options.picture)
    return rows


def measure_case(
    axis: str,
    options: argparse.Namespace,
    known: Sequence[ComparisonRow],
    model: Model | None,
    case: tuple[Scene, int, float],
) -> tuple[list[ComparisonRow], dict[str, np.ndarray]]:
    """See `measure`. known: rows of an earlier run, whose peers are not run again.

    model: opened anew where it is not given, for no other process can be handed one.
    """
    scene, acceleration, snr = case
    place = (scene.name, scene.slices, acceleration, snr)
    before = {row.method: row for row in known if (row.volume, row.slices, row.acceleration, row.snr) == place}
    theirs = [before[name] for name in options.peers if name in before]
    names = [name for name in options.peers if snr in options.peer_snr and name not in before]
    model, peers = model or network.open_model(options.model), {name: PEERS[axis][name] for name in names}
    if options.single is not None:
        peers[SINGLE] = network.denoiser(network.open_model(options.single), "none")
    rows, images = measure(*case, network.denoiser(model, axis), model.manifest.default_alpha, peers, options.seed)
    noisy = before[NOISY].psnr if NOISY in before else math.nan
    if theirs and not math.isclose(noisy, rows[0].psnr, abs_tol=SAME_DB):
        what = f"{scene.name}, {scene.slices} slices, R = {acceleration}, SNR {snr:g}"
        raise ConfigurationError(
            f"the noisy images of {what} have {noisy:.2f} dB in {options.peers_of} and {rows[0].psnr:.2f} here; "
            "expected a run on the same slices with the same --seed"
        )
    return [*rows[:-1], *theirs, rows[-1]], images


def measure(
    scene: Scene, acceleration: int, snr: float, ours: Denoiser, alpha: float, peers: Mapping[str, Denoiser], seed: int
) -> tuple[list[ComparisonRow], dict[str, np.ndarray]]:
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
    thirds = thirds_of(gmap, scene.mask)
    by_third = {name: _of_thirds(image, clean, thirds) for name, (image, _) in answers.items()}
    rows = []
    for name, s in scores.items():
        gains = [after - before for after, before in zip(by_third[name], by_third[NOISY], strict=True)]
        measured = (s.psnr, s.psnr - before, s.ssim, s.nrmse, answers[name][1], s.psnr_2048)
        rows.append(ComparisonRow(*place, name, *measured, *gains))
    most = ceiling(before, clean, snr * own_noise(scene.truth, scene.mask), scene.mask)
    rows.append(ComparisonRow(*place, CEILING, most, most - before, math.nan, math.nan, math.nan))
    images = {"clean": clean, **{name: image for name, (image, _) in answers.items()}}
    return rows, {name: image[len(image) // 2].abs().numpy() for name, image in images.items()}


def _of_thirds(image: Tensor, clean: Tensor, thirds: Sequence[Tensor]) -> list[float]:
    """PSNR in each third, then SSIM in each; NaN where there are none."""
    if not thirds:
        return [math.nan] * 6
    similar = ssim_map(image, clean)
    psnr = [magnitude_psnr(image, clean, third) for third in thirds]
    return [*psnr, *(float(similar[third].mean()) for third in thirds)]


def thirds_of(gmap: Tensor, mask: Tensor) -> list[Tensor]:
    """The object's thirds by g, lowest first, each a bool mask as `mask` `(S, H, W)`; none where g is the same."""
    inside = gmap.expand(mask.shape)[mask]
    low, high = (float(np.quantile(inside.numpy(), q)) for q in (1 / 3, 2 / 3))
    if float(inside.min()) == float(inside.max()):
        return []
    return [mask & third for third in (gmap <= low, (gmap > low) & (gmap <= high), gmap > high)]


def trained_on(scenes: Sequence[Scene], model: Model) -> list[str]:
    """The names of the scenes whose file the model was trained on."""
    return [scene.name for scene in scenes if training_data.is_known(scene.file, [model])]


def text(rows: Sequence[ComparisonRow], model: str, trained: Sequence[str], leads: str) -> str:
    """A table for each measure, methods side by side. trained: names of scenes to be marked. leads: a further table."""
    index = ("volume", "slices", "acceleration", "snr")
    rows = [replace(row, volume=row.volume + training_data.MARK * (row.volume in trained)) for row in rows]
    parts = [f"Model: {model}{training_data.note(trained)}", *([leads] if leads else [])]
    for title, value in (
        ("PSNR in dB", "psnr"), ("PSNR gain over noisy in dB", "gain"), ("SSIM", "ssim"), ("NRMSE", "nrmse"),
        ("PSNR gain in dB, where g is in its lowest third", "gain_low"), ("in the middle third", "gain_middle"),
        ("in the highest third", "gain_high"),
        ("SSIM gain over noisy, where g is in its lowest third", "ssim_low"),
        ("SSIM gain in the middle third", "ssim_middle"), ("SSIM gain in the highest third", "ssim_high"),
        ("PSNR in dB as SNRAware has it: whole image, peak 2048 in SNR units", "psnr_2048"),
        ("Time in ms a frame", "ms"),
    ):  # fmt: skip
        kept = [
            row for row in rows
            if not (value in ("gain", *OF_THIRDS) and row.method == NOISY)
            and not (value in OF_THIRDS and (row.acceleration == 1 or row.method == CEILING))
        ]  # fmt: skip
        if kept:
            parts.append(f"### {title}\n\n{tables.pivot(kept, index, 'method', value)}")
    return "\n\n".join(parts)
