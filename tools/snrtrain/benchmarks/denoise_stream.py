"""A streamed series: what attending to earlier images costs, and whether the images are those of the whole series."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from snrstream.denoising.backend_choice import candidates
from snrstream.denoising.manifest_fields import Manifest
from snrstream.denoising.model import Model
from snrstream.denoising.runs import TIMEOUT_S
from snrtrain import recipe
from snrtrain.export.formats import example_input, to_onnx
from snrtrain.export.receptive_field import receptive_field
from snrtrain.methods.noise_process import unit_noise
from snrtrain.networks import build, divisor, remembered
from snrtrain.recipe import Recipe

from .denoise_peers import NoisyFrame
from .timing import Row, rested

RECIPE = Path(__file__).resolve().parents[2] / "recipes/snraware.toml"
WEIGHT = 0.05  # SD of those that begin as zero: the networks are not trained, and would do nothing
MOST_TIMES, MOST_OFF = 1.5, 1000.0  # the single-image network's time; millionths of a noise SD


def rows(frame: NoisyFrame, n_repetitions: int, settings: Recipe | None = None) -> Iterator[Row]:
    """For each backend at hand: the time of an image over a single-image network's, and the difference.

    Both networks are those of a recipe, `snraware`, with random weights, one without attention to other frames.
    """
    settings = settings or recipe.load(RECIPE, [])
    alone = replace(settings, frames="none", n_frames=1, window=0, p_causal=0.0,
                    cells=("conv",) * len(settings.cells))  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    noisy = [frame.clean + frame.gmap * unit_noise(tuple(frame.gmap.shape), None, generator)
             for _ in range(n_repetitions)]  # fmt: skip
    image, gmap = torch.stack(noisy).numpy(), np.stack([frame.gmap.numpy()] * n_repetitions)
    with TemporaryDirectory() as folder:
        remembering, single = (model(each, Path(folder)) for each in (settings, alone))
        pairs = zip([remembering, *candidates(remembering, TIMEOUT_S)], [single, *candidates(single, TIMEOUT_S)],
                    strict=True)  # fmt: skip
        for streaming, without in pairs:
            yield from row_pair(streaming, without, image, gmap)


def row_pair(streaming: Model, without: Model, image: np.ndarray, gmap: np.ndarray) -> Iterator[Row]:
    """Image after image by both networks in turn; image, gmap: `(frame, e1, ro)`."""
    state, streamed, times = None, [], []
    for n in range(len(image)):

        def next_image(n: int = n) -> None:
            nonlocal state
            answer, state = streaming.stream(image[n], gmap[n], state)
            streamed.append(answer)

        def alone(n: int = n) -> None:
            without.denoise(image[n : n + 1], gmap[n : n + 1])

        times.append((rested(next_image), rested(alone)))
    ours, bare = (median(side) for side in zip(*times, strict=True))
    off = np.abs(np.stack(streamed) - streaming.denoise(image, gmap, causal=True)).max()
    what = f"{len(image)} images streamed, {streaming.backend} on {streaming.device}"
    yield Row(f"{what}: time of one over the single-image network's", ours / bare, MOST_TIMES)
    exact = MOST_OFF if streaming.device != "CPU bf16" else None
    yield Row(f"{what}: largest difference to the whole series, in 1e-6 noise SDs", 1e6 * float(off), exact)
    by_itself = np.abs(streamed[-1] - streaming.denoise(image[-1:], gmap[-1:])[0]).max()
    yield Row(f"{what}: largest difference to the last one by itself, in noise SDs", float(by_itself))


def model(settings: Recipe, folder: Path) -> Model:
    """The network of a recipe with random weights, from an ONNX file in the folder, on a CPU."""
    torch.manual_seed(settings.seed)
    network, kept = build(settings).eval(), remembered(settings)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=WEIGHT)
    path = folder / f"{settings.frames}.onnx"
    example = example_input(settings, (2, 3, 9, 13), torch.Generator().manual_seed(0))
    to_onnx(network, path, example, divisor(settings), kept)
    manifest = Manifest(
        name=path.stem, version="0", file=path.name, format="onnx", input=settings.inputs, layout="B,3,T,H,W",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(), frames=("time",) if kept else (),
        divisor=divisor(settings), scale="snr_units", default_alpha=0.0, noise_reduction=1.0, training={}, licence="",
        receptive_field=receptive_field(settings), past=tuple(kept), window=settings.window,
    )  # fmt: skip
    return Model(manifest, path, devices=("cpu",))
