"""From a checkpoint to a model folder: model.onnx, manifest.json, test_vector.npz and the card README.md.

The manifest is all that the runtime gets to know; what it states is measured here.
"""

import hashlib
import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from snrstream.denoising.recorded import record_test_vector
from snrstream.errors import ModelError
from tools.training import volumes
from tools.training.archive import Archive
from tools.training.card import card
from tools.training.network import DIVISOR, build_network
from tools.training.noise_process import unit_noise
from tools.training.recipe import Recipe
from tools.training.validation import validation_psnr, validation_set

VERSION = "1.0.0"
AGREEMENT = 1e-4  # of the largest value: float32 sums in another order differ by about 1e-6
SIZES = ((1, 1, 64, 64), (2, 3, 72, 104), (1, 2, 256, 200), (3, 1, 40, 8))  # B, T, H, W
ALPHAS = tuple(round(0.1 * step, 1) for step in range(11))


def export(checkpoint_path: Path, scans: Archive, held_out: Archive, output: Path) -> dict:
    """Write the model folder of a checkpoint; returns the manifest.

    scans: what it was trained on, for the range of g. held_out: the validation scans, for alpha.

    Raises ModelError where the checkpoint is missing, or where the ONNX file and the network disagree.
    """
    if not checkpoint_path.is_file():
        raise ModelError(f"checkpoint {checkpoint_path} does not exist; expected one that train.py has written")
    checkpoint = torch.load(checkpoint_path, weights_only=True)
    settings = Recipe(**checkpoint["recipe"])
    network = build_network(settings)
    network.load_state_dict(checkpoint["weights"])
    network.eval()

    output.mkdir(parents=True, exist_ok=True)
    to_onnx(network, output / "model.onnx")
    agreement(network, output / "model.onnx", settings.seed)
    validation = validation_set(held_out, settings.seed)
    psnr = {alpha: validation_psnr(network, validation, alpha) for alpha in ALPHAS}
    manifest = {
        "name": settings.name,
        "version": VERSION,
        "file": "model.onnx",
        "format": "onnx",
        "sha256": hashlib.sha256((output / "model.onnx").read_bytes()).hexdigest(),
        "input": "complex_gmap",
        "layout": "B,3,T,H,W",
        "frames": "none",
        "divisor": DIVISOR,
        "scale": "snr_units",
        "default_alpha": max(psnr, key=psnr.get),
        "noise_reduction": round(noise_reduction(network, settings.seed), 3),
        "training": {
            "method": "SNRAware (arXiv 2503.18162)",
            "data": [f"{name} ({volumes.LICENCES[name]})" for name in volumes.TRAIN]
            + ["pictures shipped with scikit-image (CC0 or public domain)", "procedural phantoms and textures"],
            "commit": checkpoint["commit"],
            "seed": settings.seed,
        },
        "licence": "MIT",
        "snr_range": [round(settings.amplitude_min / settings.sigma_max, 1), settings.amplitude_max],
        "gfactor_range": gfactor_range(scans.gmaps),
    }
    (output / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    manifest["test_vector"] = asdict(record_test_vector(output))
    (output / "README.md").write_text(card(manifest, checkpoint, psnr), encoding="utf-8")
    return manifest


def to_onnx(network: nn.Module, path: Path) -> None:
    """One self-contained ONNX file with dynamic B, T, H and W (H, W multiples of the divisor)."""
    dim = torch.export.Dim
    height, width = (DIVISOR * dim(name, min=1, max=512) for name in ("h", "w"))
    shapes = ({0: dim("b", min=1, max=4096), 2: dim("t", min=1, max=4096), 3: height, 4: width},)
    example = torch.rand(2, 3, 3, 72, 104) + 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch.onnx about itself
        torch.onnx.export(
            network, (example,), str(path), input_names=["input"], output_names=["output"],
            dynamic_shapes=shapes, dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip


def agreement(network: nn.Module, path: Path, seed: int) -> float:
    """Largest relative difference of the ONNX file and the network over `SIZES`.

    Raises ModelError where it exceeds `AGREEMENT`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(seed)
    worst = 0.0
    for n_batch, n_frames, height, width in SIZES:
        image = 20 * torch.randn(n_batch, 2, n_frames, height, width, generator=generator)
        gmap = 0.5 + 2 * torch.rand(n_batch, 1, n_frames, height, width, generator=generator)
        x = torch.cat([image, gmap], dim=1)
        with torch.no_grad():
            expected = network(x)
        (got,) = session.run(None, {"input": x.numpy()})
        if got.shape != tuple(expected.shape):
            raise ModelError(f"{path} gives the shape {got.shape}; the network {tuple(expected.shape)}")
        worst = max(worst, float(np.abs(got - expected.numpy()).max() / expected.abs().max()))
    if not worst <= AGREEMENT:
        raise ModelError(f"{path} differs from the network by {worst:.1e}; expected at most {AGREEMENT:.0e}")
    return worst


@torch.no_grad()
def noise_reduction(network: nn.Module, seed: int, n_repetitions: int = 32) -> float:
    """SD out / SD in by Monte Carlo, inside flat regions of tissue at SNR 20, white noise, g = 1.

    The SD over repetitions in each pixel, its root mean square over pixels 8 or more from an edge.
    """
    generator = torch.Generator().manual_seed(seed)
    flat = torch.zeros(128, 128)
    flat[16:112, 16:112], flat[40:88, 40:88] = 20.0, 12.0
    keep = torch.zeros(128, 128, dtype=torch.bool)
    keep[48:80, 48:80] = True
    keep[24:32, 24:104] = keep[96:104, 24:104] = True
    gmap = torch.ones(1, 1, 1, 128, 128)
    outputs = []
    for _ in range(n_repetitions):
        noisy = flat + unit_noise((128, 128), None, generator)
        x = torch.cat([torch.view_as_real(noisy).permute(2, 0, 1)[None, :, None], gmap], dim=1)
        outputs.append(network(x)[0, :, 0])
    variance = torch.stack(outputs).var(dim=0)  # (2, H, W)
    return float(variance[:, keep].mean().sqrt())


def gfactor_range(gmaps: Tensor) -> list[float]:
    """1st and 99th percentile of g over the maps."""
    values = gmaps.flatten().numpy()
    return [round(float(np.quantile(values, q)), 1) for q in (0.01, 0.99)]
