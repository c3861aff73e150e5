"""From a checkpoint to a model folder: model file, manifest.json, test_vector.npz, the card README.md and NOTICE.

The manifest is all that the runtime gets to know; what it states is measured here.
"""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from snrstream.denoising.check import flat_images, noise_remaining
from snrstream.denoising.manifest import read_manifest
from snrstream.denoising.model import Model
from snrstream.denoising.recorded import record_test_vector
from snrstream.errors import ModelError
from snrtrain.export.card import Facts, card
from snrtrain.export.formats import FILES, agreement, example_input, to_onnx, to_torchscript
from snrtrain.export.notice import NAME, notice
from snrtrain.export.receptive_field import receptive_field
from snrtrain.networks import build, divisor, remembered
from snrtrain.recipe import restored

PAPERS = {
    "snraware": "SNRAware (Xue et al. 2025, arXiv 2503.18162)",
    "sn2n": "MR-self Noise2Noise (Jung et al. 2022, doi 10.1007/s00330-022-09243-y)",
}
LAYOUTS = {"complex_gmap": "B,3,{},H,W", "magnitude_gmap": "B,2,{},H,W", "magnitude_slices": "B,{},H,W"}
AXES = ("time", "slice", "depth")  # that a network for any frames takes
__all__ = ["export", "noise_reduction", "to_onnx"]


def export(
    checkpoint: dict[str, Any], output: Path, curve: dict[float, float], facts: Facts, file_format: str = "onnx"
) -> dict[str, Any]:
    """Write the model folder of a checkpoint; returns the manifest.

    checkpoint: weights, recipe, step, steps_before, commit. curve: validation PSNR in dB by alpha; the best becomes
    the default, unless `facts` have another. file_format: `onnx` or `torchscript`.
    Other files of an older folder `output` are left as they are, all of it where anything fails.
    Raises ConfigurationError where the recipe describes no network, ModelError where the weights are of another one,
    the network, its ONNX and its TorchScript file disagree, or the runtime refuses the model.
    """
    if file_format not in FILES:
        raise ModelError(f"format is {file_format!r}; expected {' or '.join(FILES)}")
    if not curve:
        raise ModelError("the alpha curve is empty; expected a validation PSNR by alpha")
    recipe = restored(checkpoint["recipe"])
    if output.name != recipe.name:
        raise ModelError(f"the folder of model {recipe.name} is {output}; expected one of its name")
    network = load(checkpoint)
    with TemporaryDirectory() as folder:
        place = Path(folder) / output.name
        place.mkdir()
        example = example_input(recipe, (2, 3, 9, 13), torch.Generator().manual_seed(recipe.seed))
        to_onnx(network, place / FILES["onnx"], example, divisor(recipe), remembered(recipe))
        to_torchscript(network, place / FILES["torchscript"], bool(remembered(recipe)))
        agreement(network, place, recipe)
        (unused,) = (name for kind, name in FILES.items() if kind != file_format)
        (place / unused).unlink()
        manifest = _manifest(checkpoint, curve, facts, place / FILES[file_format], file_format)
        _write(place, manifest)
        manifest["noise_reduction"] = round(noise_reduction(place), 3)
        _write(place, manifest)
        manifest["test_vector"] = asdict(record_test_vector(place))
        (place / "README.md").write_text(card(manifest, checkpoint, curve, facts), encoding="utf-8")
        text = notice(recipe.name, facts.version, facts.data, facts.validated_on)
        (place / NAME).write_text(text, encoding="utf-8")
        shutil.copytree(place, output, dirs_exist_ok=True)
        (output / unused).unlink(missing_ok=True)
    return manifest


def load(checkpoint: dict[str, Any]) -> nn.Module:
    """The network of a checkpoint. Raises as `export`."""
    network = build(restored(checkpoint["recipe"]))
    try:
        network.load_state_dict(checkpoint["weights"])
    except RuntimeError:
        name = checkpoint["recipe"]["name"]
        raise ModelError(f"the checkpoint of {name} holds weights of another network than its recipe") from None
    return network.eval()


def noise_reduction(place: Path) -> float:
    """Noise SD out over in, of the model in the folder `place`, in flat regions under a smooth phase."""
    model = Model(*read_manifest(place))
    noisy, gmap, flat = flat_images(model.manifest)
    denoised = np.stack([model.denoise(image, gmap) for image in noisy])
    return noise_remaining(model.manifest, noisy, denoised, flat)


def _manifest(
    checkpoint: dict[str, Any], curve: dict[float, float], facts: Facts, path: Path, file_format: str
) -> dict[str, Any]:
    """All but the test vector; the noise reduction is to be measured."""
    recipe = restored(checkpoint["recipe"])
    slices, kept = recipe.inputs == "magnitude_slices", remembered(recipe)
    return {
        "name": recipe.name,
        "version": facts.version,
        "file": path.name,
        "format": file_format,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input": recipe.inputs,
        "layout": LAYOUTS[recipe.inputs].format("S" if recipe.frames == "slice" else "T"),
        "frames": list(AXES) if recipe.frames == "any" else recipe.frames,
        "n_frames": recipe.n_frames if slices else 0,
        **({"past": [list(part) for part in kept], "window": recipe.window} if kept else {}),
        "divisor": divisor(recipe),
        "receptive_field": list(receptive_field(recipe)),
        "scale": "normalised_magnitude" if slices else "snr_units",
        "default_alpha": max(curve, key=curve.__getitem__) if facts.default_alpha is None else facts.default_alpha,
        "noise_reduction": 1.0,
        "training": {
            "method": PAPERS[recipe.method],
            "data": list(facts.data),
            "steps": checkpoint["steps_before"] + checkpoint["step"],
            "commit": checkpoint["commit"],
            "seed": recipe.seed,
        },
        "licence": facts.licence,
        "snr_range": None if facts.snr_range is None else list(facts.snr_range),
        "gfactor_range": None if facts.gfactor_range is None else list(facts.gfactor_range),
    }


def _write(place: Path, manifest: dict[str, Any]) -> None:
    (place / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
