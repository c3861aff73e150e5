"""SNR and CNR of a beating heart, by noise replicas, with what blurring would gain told beside.

Hearts are drawn in a thorax (a short axis; the ventricle contracts, or a contrast agent passes), each another one, and
scanned in simulation with 32 coils: `cine` at R = 5 and a `bolus` at R = 4, as SNRAware has them (Xue et al. 2025,
arXiv 2503.18162, table 3). GRAPPA and coil maps are the scanner's, from noisy calibration lines of the mean frame. Each
replica has noise of its own; models see its frames as the scanner gives them, those whose frames are time the whole
series, others one frame at a time, all at alpha 0.
At each pixel, signal is the mean of the magnitude over replicas, and noise their SD. Blood: the left ventricle without
papillary muscles. SNR: mean signal over mean noise in blood or myocardium; CNR = 2 (S_blood - S_myocardium) /
(noise_blood + noise_myocardium), as in the paper. Of a bolus those frames count in which blood is bright. One sample a
heart: its frames are not independent of each other. p is that of the paired t-test of the CNR over hearts.
A network that blurs gains SNR and CNR, one that sees what it expects gains more. So, against the fully sampled image
without noise: `means off`, the NRMSE over frames of a region's mean, and `edges kept`, how steep the mean over replicas
is at the heart's edges (1: as the truth, below 1: blurred; see `metrics.edges_kept`).
With --series and --roi, a cine series that a scanner made takes the place of the hearts, at the R of `cine`: it is the
truth, and the mask's labels are the regions, the first of which has the SNR that --snr says.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain.metrics import edges_kept
from snrtrain.simulation import heart
from snrtrain.work import progress

from . import accelerated_series, cardiac_rows, network, outputs, pictures, rois, tables, training_data
from .accelerated_series import AcceleratedSeries
from .beating import KINDS, Beating, hearts, of_series
from .cardiac_rows import NOISY, HeartRow
from .replicas import Spread

SMALLEST = 32  # pixels an edge, of a simulated heart
TISSUES = {heart.BLOOD: "blood", heart.MYOCARDIUM: "myocardium"}
BRIGHTEST = 90  # percentile of the regions' SNR at which the picture is white
BORDER = 3  # pixels around a region that count as its edge


@dataclass(frozen=True)
class Measured:
    """Of one that was scanned, the mean and SD over its replicas, by image."""

    series: AcceleratedSeries
    spreads: dict[str, Spread]


@dataclass(frozen=True)
class SeriesRow(rois.RoiRow):
    """off: by how much the label's mean is off the truth's. edges: see `edges_kept`, at the label's border."""

    off: float = tables.column("mean off", "+.2%")
    edges: float = tables.column("edges kept", ".3f")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the sub-command its options."""
    network.add_several(parser)
    parser.add_argument("--scans", nargs="+", choices=KINDS, default=list(KINDS), help="of simulated hearts (both)")
    parser.add_argument("--hearts", type=outputs.positive_int, default=4, help="that are drawn (%(default)s)")
    parser.add_argument("--frames", type=outputs.positive_int, default=12, help="of each (%(default)s)")
    parser.add_argument("--matrix", type=outputs.positive_int, default=128, help="pixels an edge (%(default)s)")
    parser.add_argument("--repetitions", type=outputs.positive_int, default=64, help="replicas (%(default)s)")
    parser.add_argument("--snr", type=outputs.positive, default=60.0, help="of blood, fully sampled (%(default)s)")
    parser.add_argument("--cine-acceleration", type=outputs.positive_int, default=5, metavar="R", help="(%(default)s)")
    parser.add_argument("--bolus-acceleration", type=outputs.positive_int, default=4, metavar="R", help="(%(default)s)")
    parser.add_argument(
        "--least-gain",
        type=outputs.finite,
        default=2.0,
        help="of the first model's CNR, over the noisy image's (%(default)s)",
    )
    parser.add_argument("--least-edges", type=outputs.finite, default=0.9, help="the same of edges kept (%(default)s)")
    parser.add_argument("--series", type=Path, metavar="FOLDER", help="with a 4D .nii.gz, in place of simulated hearts")
    parser.add_argument("--name", help="of the series, where the folder has several, without .nii.gz")
    parser.add_argument("--slice", type=outputs.not_negative_int, metavar="N", help="of the series (the middle one)")
    rois.add_option(parser, "of the size of the series or of its slice's frames")


def run(options: argparse.Namespace) -> None:
    """Raises ConfigurationError, ScanError or ModelError, the latter also where a requirement is missed."""
    _check(options)
    models = network.open_several(options.model)
    if NOISY in models:
        raise ConfigurationError(f"a model is named {NOISY}, as the image before it; expected another name")
    title = f"{outputs.counted(options.repetitions, 'repetition')}, SNR {options.snr:g} if fully sampled. "
    title += "; ".join(f"Model: {network.title(model)}" for model in models.values())
    if options.series is not None:
        beating, file = of_series(options)
        found = measure(beating, models, options, 0)
        draw({beating.scan: (beating, found)}, options.picture)
        note = training_data.note([file]) if training_data.is_known(file, models.values()) else ""
        rows = list(_series_rows(beating, found))
        text = f"{title}\n\n{_geometry(beating, found, {})}{note}\n\n{tables.markdown(rows)}"
        outputs.finish(options, text, rows, [], 0)
        return
    of_hearts: list[HeartRow] = []
    shown: dict[str, tuple[Beating, Measured]] = {}
    for number, beating in enumerate(hearts(options)):
        found = measure(beating, models, options, number)
        of_hearts += _heart_rows(beating, found, number % options.hearts)
        shown.setdefault(beating.scan, (beating, found))
    draw(shown, options.picture)
    summary = cardiac_rows.of_hearts(of_hearts, next(iter(models)))
    missed, n_judged = cardiac_rows.missed(summary, next(iter(models)), options.least_gain, options.least_edges)
    geometry = "\n".join(f"- {_geometry(*what, TISSUES)} of the first heart" for what in shown.values())
    text = f"{title}\n\n{geometry}\n\n{tables.markdown(summary)}"
    outputs.finish(options, text, summary, missed, n_judged, {"_hearts": of_hearts})


def _check(options: argparse.Namespace) -> None:
    if options.repetitions < 2 or options.matrix < SMALLEST:
        raise ConfigurationError(
            f"got --repetitions {options.repetitions} --matrix {options.matrix}; expected 2 and {SMALLEST} or more"
        )
    if (options.series is None) != (options.roi is None):
        raise ConfigurationError("got one of --series and --roi; expected both, or none for simulated hearts")
    if options.series is None and (options.name is not None or options.slice is not None):
        raise ConfigurationError("--name and --slice choose in a series; expected --series as well")


def measure(beating: Beating, models: dict[str, Model], options: argparse.Namespace, number: int) -> Measured:
    """Scan and denoise the replicas. number: another one gives other coils and noise."""
    rng = np.random.default_rng([options.seed, number, 1])
    first = rois.found_in(beating.labels)[0]
    region = (beating.labels == first).numpy() & beating.measured.numpy()[:, None, None]
    scanned = accelerated_series.scan(beating.magnitude, region, options.snr, beating.acceleration, rng)
    denoisers = {name: network.denoiser(model, "time") for name, model in models.items()}
    spreads = {name: Spread() for name in (NOISY, *denoisers)}
    for _ in progress(range(options.repetitions), desc=f"{beating.scan} {number}"):
        noisy = scanned.replica(rng)
        spreads[NOISY].add(noisy)
        for name, denoise in denoisers.items():
            spreads[name].add(denoise(noisy, scanned.gmap))
    return Measured(scanned, spreads)


def _heart_rows(beating: Beating, found: Measured, number: int) -> Iterator[HeartRow]:
    labels, truth = beating.labels, found.series.truth.double()
    counted = torch.where(beating.measured[:, None, None], labels, 0)
    tissues = heart.BLOOD, heart.MYOCARDIUM
    for name, spread in found.spreads.items():
        blood, myocardium = (rois.region(spread.mean, spread.sd, counted == label) for label in tissues)
        off_blood, off_myocardium = (means_off(spread.mean, truth, labels == label) for label in tissues)
        yield HeartRow(
            beating.scan, beating.acceleration, number, name, blood[0] / blood[1], myocardium[0] / myocardium[1],
            rois.cnr(blood, myocardium), off_blood, off_myocardium,
            edges_kept(spread.mean, truth, _bordered(counted > 0)),
        )  # fmt: skip


def _series_rows(beating: Beating, found: Measured) -> Iterator[SeriesRow]:
    truth = found.series.truth.double()
    for name, spread in found.spreads.items():
        for row in rois.rows(name, spread.mean, spread.sd, beating.labels):
            inside = beating.labels == row.label
            off = row.mean / float(truth[inside].mean()) - 1
            edges = edges_kept(spread.mean, truth, _bordered(inside))
            yield SeriesRow(**dataclasses.asdict(row), off=off, edges=edges)


def means_off(image: Tensor, truth: Tensor, inside: Tensor) -> float:
    """NRMSE over frames `(frame, e1, ro)` of the mean inside a region: a curve that is dull in time is told too."""
    frames = [n for n, region in enumerate(inside) if region.any()]
    got, expected = (torch.stack([x[n][inside[n]].mean() for n in frames]) for x in (image, truth))
    return float((got - expected).norm() / expected.norm())


def _bordered(inside: Tensor) -> Tensor:
    """The region of each frame with what is around it."""
    cross = ndimage.generate_binary_structure(2, 1)[None]
    return torch.from_numpy(ndimage.binary_dilation(inside.numpy(), cross, BORDER))


def _geometry(beating: Beating, found: Measured, names: Mapping[int, str]) -> str:
    """A line that tells of g in each label."""
    gmap = found.series.gmap.expand(beating.labels.shape)
    parts = {label: float(gmap[beating.labels == label].median()) for label in rois.found_in(beating.labels)}
    told = ", ".join(f"{g:.1f} in {names.get(label, f'label {label}')}" for label, g in parts.items())
    return f"{beating.scan}, R = {beating.acceleration}: g has medians of {told}"


def draw(shown: dict[str, tuple[Beating, Measured]], path: Path) -> None:
    """Of each scan the middle one of the frames that count: mean, SD and SNR over replicas."""
    lines: dict[str, dict[str, np.ndarray]] = {}
    tops: dict[str, float] = {}
    for scan, (beating, found) in shown.items():
        frames: Sequence[int] = beating.measured.nonzero().flatten().tolist()
        n = frames[len(frames) // 2]
        means = {name: spread.mean[n].numpy() for name, spread in found.spreads.items()}
        noise = {name: spread.sd[n].numpy() for name, spread in found.spreads.items()}
        snr = {f"{scan}, {name}": means[name] / np.maximum(noise[name], 1e-6) for name in means}
        lines[f"{scan}: mean"] = {"truth": found.series.truth[n].numpy(), **means}
        lines[f"{scan}: SD"] = noise
        lines[f"{scan}: SNR"] = snr
        inside = beating.labels[n].numpy() > 0
        top = max((float(np.percentile(of[inside], BRIGHTEST)) for of in snr.values() if inside.any()), default=1.0)
        tops |= dict.fromkeys(snr, top)
    pictures.montage(lines, path, tops)
