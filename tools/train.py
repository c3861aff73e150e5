"""Train a denoiser with SNRAware's method on simulated scans, and export it.

    python tools/train.py --volumes FOLDER [--recipe FILE] [key=value ...]
    python tools/train.py --recipe tools/recipes/snraware_unet2d_finish.toml \\
        --start runs/snraware_unet2d/best.pt --run runs/snraware_unet2d_finish

Simulates the archive once (kept in --archive), trains, validates on a subject of its own, and writes
model.onnx, manifest.json and README.md to --output. --export-only exports the best checkpoint so far,
also of a run that has not ended. Every setting of the recipe can be overridden as key=value.
"""

import argparse
import copy
import math
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "gadgets")) if path not in sys.path]

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from tqdm import tqdm  # noqa: E402

from snrstream.errors import ConfigurationError, SnrstreamError  # noqa: E402
from tools.training import archive, losses, recipe, volumes  # noqa: E402
from tools.training.networks import build as build_network  # noqa: E402
from tools.training.networks import load_weights  # noqa: E402
from tools.training.noise_process import NoiseRange  # noqa: E402
from tools.training.patches import Batch, PatchRange, draw_batch  # noqa: E402
from tools.training.validation import validation_psnr, validation_set  # noqa: E402


def train(
    settings: recipe.Recipe, scans: archive.Archive, held_out: archive.Archive, run: Path, start: Path | None = None
) -> None:
    """Train on `scans`, from the weights of the checkpoint `start` or anew; leaves best.pt (by validation PSNR)
    and last.pt in `run`."""
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    network = build_network(settings)
    steps_before = 0 if start is None else load_weights(network, start)
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
    )
    patch = PatchRange(
        settings.patch, (settings.amplitude_min, settings.amplitude_max), settings.p_chain, settings.p_uniform_g
    )
    noise = NoiseRange(settings.sigma_max, settings.p_white)
    validation = validation_set(held_out, settings.seed)
    log = (run / "log.csv").open("w", encoding="utf-8", buffering=1)
    log.write("step,seconds,loss,validation_psnr\n")
    best, smooth, started = -math.inf, None, time.monotonic()

    progress = tqdm(range(1, settings.steps + 1), desc=settings.name, disable=None)
    for step in progress:
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step / settings.steps, settings.warmup)
        batch = draw_batch(scans, settings.batch, patch, noise, generator)
        loss = training_loss(network, batch, settings)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimiser.step()

        # The average follows more closely at first, or it would remember the untrained weights.
        keep = min(settings.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(weight, 1 - keep)
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        progress.set_postfix(loss=f"{smooth:.4f}", psnr=f"{best:.2f}", refresh=False)
        if step % settings.validate_every == 0 or step == settings.steps:
            psnr = validation_psnr(average, validation)
            log.write(f"{step},{time.monotonic() - started:.0f},{smooth:.5f},{psnr:.3f}\n")
            checkpoint = {
                "weights": average.state_dict(), "recipe": asdict(settings), "step": step,
                "steps_before": steps_before, "validation_psnr": psnr, "commit": commit(),
            }  # fmt: skip
            save(checkpoint, run / "last.pt")
            if psnr > best:
                best = psnr
                save(checkpoint, run / "best.pt")
    log.close()


def training_loss(network: nn.Module, batch: Batch, settings: recipe.Recipe) -> Tensor:
    """Charbonnier + perpendicular + gradient L1, on images whose noise has been scaled to SD 1."""
    prediction = network(batch.network_input())[:, :, 0] / batch.gmap
    clean = batch.clean / batch.gmap
    loss = losses.charbonnier(prediction, clean, settings.charbonnier_epsilon)
    loss = loss + settings.perpendicular_weight * losses.perpendicular(prediction, clean)
    return loss + settings.gradient_weight * losses.gradient_l1(prediction, clean)


def schedule(progress: float, warmup: float) -> float:
    """Share of the peak learning rate: linear up to `warmup`, then a cosine to zero."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def save(checkpoint: dict, path: Path) -> None:
    """Write beside, then rename: a reader never sees half a file."""
    torch.save(checkpoint, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def commit() -> str:
    """The checked out commit, or "unknown" outside a repository."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def open_archive(path: Path, make) -> archive.Archive:
    """The archive at `path`; simulated by `make()` where there is none."""
    if not path.is_file():
        make().save(path)
    return archive.Archive.load(path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override a setting of the recipe")
    parser.add_argument("--recipe", type=Path, default=ROOT / "tools/recipes/snraware_unet2d.toml")
    parser.add_argument("--volumes", help="folder of .nii.gz; default: $SNRSTREAM_TEST_DATA/volumes")
    parser.add_argument("--archive", type=Path, default=ROOT / "archive", help="simulated scans are kept here")
    parser.add_argument("--run", type=Path, default=ROOT / "runs/snraware_unet2d", help="checkpoints and log")
    parser.add_argument("--output", type=Path, default=ROOT / "models/snraware_unet2d")
    parser.add_argument("--threads", type=int, default=1, help="of the training, and processes that simulate")
    parser.add_argument("--start", type=Path, help="go on from the weights of this checkpoint, in a new --run")
    parser.add_argument("--export-only", action="store_true")
    options = parser.parse_args(arguments)
    if options.threads < 1:
        raise ConfigurationError(f"--threads is {options.threads}; expected 1 or more")
    settings = recipe.load(options.recipe, options.settings)
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)

    held_out = open_archive(
        options.archive / "validation.pt",
        lambda: archive.build(
            volumes.volume_folder(options.volumes), volumes.VALIDATION, settings.n_validation_scans,
            max(1, settings.n_validation_scans // 8), settings.archive_seed + 1000, options.threads,
            synthetic=False,
        ),
    )  # fmt: skip
    scans = open_archive(
        options.archive / "train.pt",
        lambda: archive.build(
            volumes.volume_folder(options.volumes), volumes.TRAIN, settings.n_scans,
            settings.n_coil_sets, settings.archive_seed, options.threads,
        ),
    )  # fmt: skip
    if not options.export_only:
        train(settings, scans, held_out, options.run, options.start)

    from tools.training import export

    export.export(options.run / "best.pt", scans, held_out, options.output)


if __name__ == "__main__":
    try:
        main()
    except SnrstreamError as error:
        sys.exit(f"train: {error}")
