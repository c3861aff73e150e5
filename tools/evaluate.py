"""Measure a model's gain on volumes that nobody trained on, beside BM4D.

    python tools/evaluate.py --volumes FOLDER [--model models/snraware_unet2d] [--require-gain 5]

Every test volume's middle slices (thin ones averaged to 4 mm) are scanned in simulation: coils, phase,
coil maps from noisy data, the chain that training images pass, but without shading. Then they get white
noise times a g-map. Reference tissue: the brightest 40 % of the object (white matter in T1 heads); its
median over the noise SD (per real part, g = 1) is the SNR. PSNR: of the magnitude inside the object
(above a tenth of bright tissue), peak the 99.9th percentile of the reference. Ceiling: the gain of an
oracle that knows the object, but not the noise that the volume itself carries and is measured against;
that noise is estimated from the reference, fine texture included. BM4D gets the real and the imaginary
part of the stack of slices, divided by g. It takes 10 to 60 s a frame, so it runs at the SNRs of
--bm4d-snr alone.
"""

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "gadgets")) if path not in sys.path]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402
from tqdm import tqdm  # noqa: E402

from snrstream.errors import ConfigurationError, ModelError, SnrstreamError  # noqa: E402
from tools.training import chain, volumes  # noqa: E402
from tools.training.metrics import magnitude_psnr, object_mask  # noqa: E402
from tools.training.noise_process import unit_noise  # noqa: E402

N_CHANNELS = 12
MAP_SNR = 20.0  # of the data that coil maps and g-maps are estimated from

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (images (S, H, W) complex64, gmap (H, W)) -> (S, H, W)


@dataclass(frozen=True)
class Row:
    """One line of the table; PSNR in dB, times in ms a frame, NaN where BM4D was left out."""

    volume: str
    acceleration: int
    snr: float
    noisy: float
    network: float
    blended: float
    ceiling: float
    bm4d: float
    network_ms: float
    bm4d_ms: float


def scan_volume(volume: volumes.Volume, n_slices: int, rng: np.random.Generator) -> Tensor:
    """The clean combined slices `(S, H, W)` complex64 of a test volume, reference tissue at 1."""
    scans = []
    for image in volumes.test_planes(volume, n_slices):
        state = np.random.default_rng(rng.bit_generator.seed_seq.entropy)  # same coils for all slices
        scanned = chain.complex_object(image, state)
        scans.append(chain.fully_sampled(scanned, state, MAP_SNR, None, N_CHANNELS, 0.0, flat=True))
    clean = torch.stack([scan.clean for scan in scans])
    return clean / reference_level(clean.abs())


def reference_level(magnitude: Tensor) -> float:
    """Median of the brightest 40 % of the object, which is the 80th percentile of the object."""
    inside = magnitude[object_mask(magnitude)]
    return float(inside.sort().values[int(0.8 * len(inside))])


def gmap_for(volume: volumes.Volume, acceleration: int, rng: np.random.Generator) -> Tensor:
    """The g-map `(H, W)` of the middle slice; ones at R=1."""
    (image,) = volumes.test_planes(volume, 1)
    if acceleration == 1:
        return torch.ones(image.shape)
    scanned = chain.complex_object(image, rng)
    return chain.gmaps(scanned, (acceleration,), rng, MAP_SNR, N_CHANNELS)[0]


def network_denoiser(folder: Path, n_threads: int) -> tuple[Denoiser, float]:
    """The model in `folder` through ONNX Runtime, and its default alpha.

    Raises ModelError where the folder holds no manifest and model.
    """
    import onnxruntime

    for name in ("manifest.json", "model.onnx"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name} does not exist; expected a model folder that train.py has written")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, ["CPUExecutionProvider"])
    divisor = manifest["divisor"]

    def denoise(images: Tensor, gmap: Tensor) -> Tensor:
        height, width = gmap.shape
        x = torch.stack([images.real, images.imag, gmap.expand(images.shape)])[None]  # (1, 3, S, H, W)
        pad = (0, -width % divisor, 0, -height % divisor)
        x = F.pad(x[0], pad, mode="reflect")[None]
        # Frame by frame, as on the scanner: a stack at once would measure the memory, not the network.
        frames = [session.run(None, {"input": x[:, :, [i]].numpy()})[0] for i in range(x.shape[2])]
        y = torch.from_numpy(np.concatenate(frames, axis=2))[0, :, :, :height, :width]
        return torch.complex(y[0], y[1])

    return denoise, float(manifest["default_alpha"])


def bm4d_denoiser(images: Tensor, gmap: Tensor) -> Tensor:
    """BM4D on real and imaginary volumes of whitened slices."""
    from bm4d import bm4d

    white = (images / gmap).permute(1, 2, 0)
    parts = [torch.from_numpy(np.asarray(bm4d(part.numpy(), 1.0))).float() for part in (white.real, white.imag)]
    if parts[0].ndim == 2:
        parts = [part[..., None] for part in parts]
    return torch.complex(*parts).permute(2, 0, 1) * gmap


def evaluate_volume(
    volume: volumes.Volume, n_slices: int, snrs: list[float], accelerations: list[int],
    network: Denoiser, alpha: float, bm4d_snrs: list[float], seed: int,
) -> list[Row]:  # fmt: skip
    """The table's rows of one volume."""
    truth = scan_volume(volume, n_slices, np.random.default_rng(seed))
    mask = object_mask(truth.abs())
    rows = []
    for acceleration in accelerations:
        gmap = gmap_for(volume, acceleration, np.random.default_rng(seed))
        for snr in snrs:
            generator = torch.Generator().manual_seed(seed)
            clean = truth * snr
            noisy = clean + gmap * torch.stack([unit_noise(tuple(gmap.shape), None, generator) for _ in clean])
            denoised, network_ms = timed(network, noisy, gmap)
            blended = alpha * noisy + (1 - alpha) * denoised
            other, bm4d_ms = timed(bm4d_denoiser, noisy, gmap) if snr in bm4d_snrs else (None, float("nan"))
            before, after, mixed, rival = (
                float("nan") if image is None else magnitude_psnr(image, clean, mask)
                for image in (noisy, denoised, blended, other)
            )
            # An oracle weighs what it knows against what it sees: own * added / (own + added) in variances.
            without_own = magnitude_psnr(clean.abs() + own_noise(truth, mask) * snr, clean, mask)
            ceiling = before + 10 * math.log10(1 + 10 ** ((without_own - before) / 10))
            rows.append(Row(volume.name, acceleration, snr, before, after, mixed, ceiling, rival, network_ms, bm4d_ms))
    return rows


def own_noise(truth: Tensor, mask: Tensor) -> float:
    """SD of the noise that the reference `(S, H, W)` itself carries, in its own units.

    From the diagonal second difference, blind to edges along the axes (Immerkaer, CVIU 64:300, 1996),
    by its median over the object, blind to the few pixels with structure.
    """
    image = truth.abs()
    difference = image.diff(n=2, dim=-1).diff(n=2, dim=-2) / 6  # weights 1 -2 1 twice: a norm of 6
    inside = mask[:, 1:-1, 1:-1]
    return float(difference.abs()[inside].median() / 0.6745)


def timed(denoiser: Denoiser, images: Tensor, gmap: Tensor) -> tuple[Tensor, float]:
    """The result and the time in ms a frame."""
    start = time.perf_counter()
    result = denoiser(images, gmap)
    return result, 1e3 * (time.perf_counter() - start) / len(images)


def markdown(rows: list[Row], alpha: float) -> str:
    """The table; gains over noisy in brackets."""
    lines = [
        f"| volume | R | SNR | noisy | network | network, alpha {alpha:g} | ceiling | BM4D | network ms | BM4D ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        gains = [f"{x:.2f} ({x - row.noisy:+.2f})" for x in (row.network, row.blended)]
        gains += [f"{row.ceiling - row.noisy:+.2f}", f"{row.bm4d:.2f} ({row.bm4d - row.noisy:+.2f})"]
        lines.append(
            f"| {row.volume} | {row.acceleration} | {row.snr:g} | {row.noisy:.2f} | "
            + " | ".join(gains)
            + f" | {row.network_ms:.0f} | {row.bm4d_ms:.0f} |"
        )
    return "\n".join(lines).replace("nan (+nan)", "").replace("nan", "")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", help="folder of .nii.gz; default: $SNRSTREAM_TEST_DATA/volumes")
    parser.add_argument("--model", type=Path, default=ROOT / "models/snraware_unet2d")
    parser.add_argument("--names", nargs="+", default=volumes.TEST, help="test volumes")
    parser.add_argument("--slices", type=int, default=3, help="of each volume")
    parser.add_argument("--snr", type=float, nargs="+", default=[5.0, 10.0, 20.0])
    parser.add_argument("--acceleration", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--bm4d-snr", type=float, nargs="*", default=[10.0], help="none: leave BM4D out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    parser.add_argument("--csv", type=Path, help="write the rows here")
    parser.add_argument("--require-gain", type=float, metavar="DB", help="exit 1 below it, at SNR 10 and R=1")
    options = parser.parse_args(arguments)
    if options.slices < 1 or options.threads < 1:
        raise ConfigurationError(f"got --slices {options.slices} --threads {options.threads}; expected 1 or more")
    folder = volumes.volume_folder(options.volumes)
    network, alpha = network_denoiser(options.model, options.threads)
    torch.set_num_threads(options.threads)

    rows: list[Row] = []
    for name in tqdm(options.names, desc="volumes", disable=None):
        volume = volumes.load(folder, name)
        rows += evaluate_volume(
            volume, options.slices, options.snr, options.acceleration, network, alpha, options.bm4d_snr, options.seed
        )
    table = markdown(rows, alpha)
    print(table)
    if options.markdown:
        options.markdown.write_text(table + "\n", encoding="utf-8")
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([field.name for field in fields(Row)])
            writer.writerows(astuple(row) for row in rows)
    if options.require_gain is not None:
        check_gain(rows, options.require_gain)


def check_gain(rows: list[Row], required: float) -> None:
    """Raises ModelError where a volume gains less than `required` dB at SNR 10 and R=1."""
    judged = [row for row in rows if row.snr == 10 and row.acceleration == 1]
    if not judged:
        raise ConfigurationError("--require-gain looks at SNR 10 and R=1; expected both among --snr and --acceleration")
    short = [f"{row.volume} {row.network - row.noisy:.2f} dB" for row in judged if row.network - row.noisy < required]
    if short:
        raise ModelError(f"gain at SNR 10 is under {required:g} dB: {', '.join(short)}")


if __name__ == "__main__":
    try:
        main()
    except SnrstreamError as error:
        sys.exit(f"evaluate: {error}")
