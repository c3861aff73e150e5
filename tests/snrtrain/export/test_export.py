"""From a checkpoint to a model folder that the runtime loads, runs and believes; what is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from snrstream.cli.main import main
from snrstream.denoising.manifest import read_manifest
from snrstream.denoising.model import Model
from snrstream.errors import ModelError
from snrstream.system.resources import folder
from snrtrain.export import export as exporting
from snrtrain.export.card import Facts
from snrtrain.export.export import export, noise_reduction
from snrtrain.export.formats import FILES, agreement, to_torchscript
from snrtrain.export.notice import notice
from snrtrain.export.receptive_field import receptive_field
from snrtrain.networks import build, divisor
from snrtrain.recipe import Recipe
from tests import shipped
from tests.snrtrain.small_recipes import recipe

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CURVE = {0.0: 30.0, 0.1: 31.5, 0.2: 31.25, 1.0: 25.0}
FACTS = Facts(
    ("volume a (CC0)", "phantoms"), "another subject", "No knees were seen.", (1.5, 100.0), (0.5, 6.0),
    ablation="| network | PSNR |\n|---|---|\n| full | 31.5 |", evaluation="It does well.", alpha_picture="alpha.png",
)  # fmt: skip
FORMATS = {"unet2d": "onnx", "cnnt": "onnx", "unet3d": "torchscript", "magnitude": "torchscript", "unet25d": "onnx"}
ROUNDING = 1e-3  # noise SDs: float32 sums in another order, of values up to 60


def small(kind: str) -> Recipe:
    """Of few levels, where three show nothing new: torch takes its time for an ONNX file."""
    levels = {"widths": (8, 8), "depths": (1, 1), "cells": recipe(kind).cells[1:]}
    return recipe(kind, name=kind, **({} if kind == "unet2d" else levels))


def checkpoint(kind: str, seed: int = 0) -> dict:
    """Of a small network with random weights everywhere."""
    settings = small(kind)
    torch.manual_seed(seed)
    network = build(settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return {
        "weights": network.state_dict(), "recipe": vars(settings), "step": 7, "steps_before": 20, "seed": 3,
        "commit": "0123abc", "validation_psnr": 31.5,
    }  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with a model of each kind."""
    models = tmp_path_factory.mktemp("models")
    for kind, file_format in FORMATS.items():
        export(checkpoint(kind), models / kind, CURVE, FACTS, file_format)
    return models


def stack(n_frames: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (n_frames, height, width)
    image = 20 + rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return image.astype(np.complex64), rng.uniform(0.8, 2, shape).astype(np.float32)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_runtime_gives_the_networks_own_answer(models, kind):
    model = Model(*read_manifest(models / kind))
    assert model.backend == {"onnx": "onnxruntime", "torchscript": "torchscript"}[FORMATS[kind]]
    image, gmap = stack(3, 72, 104)
    denoised = model.denoise(image, gmap)
    network = exporting.load(checkpoint(kind))
    if kind == "unet25d":
        magnitude = np.abs(image) / np.abs(image).max()
        neighbours = np.stack([magnitude[[1, 2, 1, 0, 1, 2, 1]]])  # mirrored around frame 0
        expected = np.abs(image).max() * network(torch.from_numpy(neighbours))[0, 0].detach().numpy()
        found = np.abs(denoised[0])
    else:
        parts = [np.abs(image)] if kind == "magnitude" else [image.real, image.imag]
        answer = network(torch.from_numpy(np.stack([*parts, gmap])[None]))[0].detach().numpy()
        expected = answer[0] if kind == "magnitude" else answer[0] + 1j * answer[1]
        found = np.abs(denoised) if kind == "magnitude" else denoised
    assert np.abs(found - expected).max() < ROUNDING
    assert np.abs(np.abs(denoised) - np.abs(image)).max() > 100 * ROUNDING, "it does something"


def test_every_model_passes_the_scanners_own_check(models, monkeypatch, capsys):
    monkeypatch.setenv("SNRSTREAM_MODELS", str(models))
    assert main(["models", "check", *FORMATS]) == 0
    assert capsys.readouterr().out.count("all checks") == len(FORMATS)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_manifest_tells_what_was_measured_and_given(models, kind):
    raw = json.loads((models / kind / "manifest.json").read_text())
    manifest, path = read_manifest(models / kind)
    settings = small(kind)
    assert path.name == FILES[FORMATS[kind]] and manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    frames = () if settings.frames == "none" else (settings.frames,)
    assert (manifest.input, manifest.frames) == (settings.inputs, frames)
    assert manifest.n_frames == (7 if kind == "unet25d" else 0), "the others take any number"
    assert manifest.divisor == divisor(settings) and manifest.receptive_field == receptive_field(settings)
    assert manifest.default_alpha == 0.1, "the best of the curve"
    assert manifest.noise_reduction == pytest.approx(noise_reduction(models / kind), abs=6e-4)  # three digits
    assert (manifest.snr_range, manifest.gfactor_range, manifest.licence) == ((1.5, 100), (0.5, 6), "MIT")
    assert raw["training"]["data"] == list(FACTS.data) and raw["training"]["steps"] == 27
    assert raw["training"]["commit"] == "0123abc" and raw["training"]["seed"] == 3
    files = sorted(file.name for file in (models / kind).iterdir())
    assert files == sorted(["NOTICE", "README.md", "manifest.json", "test_vector.npz", FILES[FORMATS[kind]]])


@pytest.mark.parametrize(("kind", "method"), [("unet2d", "SNRAware"), ("unet25d", "MR-self Noise2Noise")])
def test_the_card_tells_what_a_user_must_know(models, kind, method):
    text = (models / kind / "README.md").read_text()
    for part in (
        method,
        *FACTS.data,
        FACTS.limits,
        FACTS.validated_on,
        FACTS.ablation,
        FACTS.evaluation,
        "![PSNR by alpha](alpha.png)",
        "| 0.2 | 31.25 |",
        "pixels 1.5 to 100, g 0.5",
        "after 20",
    ):
        assert part in text
    bare = exporting.card(
        json.loads((models / kind / "manifest.json").read_text()), checkpoint(kind), CURVE,
        Facts(("a",), "b", "c."),
    )  # fmt: skip
    n_weights = sum(weight.numel() for weight in checkpoint(kind)["weights"].values())
    assert f"({n_weights:,} weights, " in text, "fewer than a million, to the last one"
    assert "Ablation" not in bare and "Evaluation" not in bare and "![" not in bare


@pytest.mark.parametrize("kind", ["unet2d", "unet25d"])
def test_the_notice_lists_licence_and_attribution_of_every_source(models, kind):
    text = (models / kind / "NOTICE").read_text()
    assert text.startswith(f"{kind} 1.0.0\n") and text.endswith("Validated on: another subject\n")
    assert "\nvolume a\n    licence: CC0\n\nphantoms\n    licence: not stated\n" in text
    several = notice("m", "2.0.0", ("a (1).nii.gz (CC-BY, A. Author, B. (Bo) Other)",), "b.nii.gz (MIT)")
    assert "\na (1).nii.gz\n    licence: CC-BY\n    attribution: A. Author, B. (Bo) Other\n" in several


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "filtered in k-space in 50% of the patches, scaled by g-maps in 60%, and that of the scan's own "
             "reconstruction in 20% where it is known."),
        ({"p_white": 0.0, "p_uniform_g": 0.0, "p_own": 0.0}, "all filtered in k-space, scaled by g-maps."),
        ({"p_white": 1.0, "p_uniform_g": 1.0, "p_own": 0.0}, "white but for zero-filled scans, of g = 1 everywhere."),
    ],
)  # fmt: skip
def test_the_card_tells_of_the_noise_that_the_recipe_has(models, changes, told):
    manifest = json.loads((models / "unet2d/manifest.json").read_text())
    found = checkpoint("unet2d")
    found["recipe"] = {**found["recipe"], **changes}
    assert f"as the reconstruction makes it: {told}\n" in exporting.card(manifest, found, CURVE, FACTS)


def test_tiles_leave_no_trace_where_the_receptive_field_fits(models):
    model = Model(*read_manifest(models / "unet2d"))
    assert model.manifest.receptive_field == (1, 103, 103)
    image, gmap = stack(1, 264, 400)
    in_tiles = model.denoise_in_tiles(image, gmap, 256, shifted=False)
    assert np.abs(in_tiles - model.denoise(image, gmap)).max() < ROUNDING


@pytest.mark.parametrize(
    ("kind", "depths", "expected"),
    [
        # Output pixel 1 asks half-pixels -1 to 1 (the output convolution), these the eighths -1 and 0, those the
        # half-pixels -4 to 3, which the pre-convolution makes of -5 to 4, pixels -10 to 9: it reaches 11 far.
        ("unet2d", [0, 0, 0], (1, 23, 23)),
        ("unet2d", [0, 0, 1], (1, 55, 55)),  # two convolutions reach 2 eighths, 16 pixels
        ("unet2d", [1, 0, 0], (1, 39, 39)),  # four, two each on the way down and up, reach 4 halves, 8 pixels
        ("unet3d", [0, 0, 1], (5, 55, 55)),
        ("cnnt", [0, 0, 1], (0, 71, 71)),  # keys and values reach 1, the mixer 2; all frames have a say
        ("magnitude", [0, 0, 0], (1, 23, 23)),
        ("unet25d", [0, 0, 0], (7, 0, 0)),  # instance norms see all of their input
    ],
)
def test_the_receptive_field_is_as_computed_by_hand(kind, depths, expected):
    assert receptive_field(recipe(kind, depths=depths)) == expected


def test_noise_reduction_is_the_networks(tmp_path):
    class Shrinking(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.9 * x[:, :2]

    place = tmp_path / "shrinking"
    place.mkdir()
    to_torchscript(Shrinking(), place / "model.pt")
    manifest = {
        "name": "shrinking", "version": "1", "file": "model.pt", "format": "torchscript",
        "sha256": hashlib.sha256((place / "model.pt").read_bytes()).hexdigest(), "input": "complex_gmap",
        "layout": "B,3,T,H,W", "frames": "none", "divisor": 8, "scale": "snr_units", "default_alpha": 0,
        "noise_reduction": 1, "training": {}, "licence": "MIT",
    }  # fmt: skip
    (place / "manifest.json").write_text(json.dumps(manifest))
    assert noise_reduction(place) == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize("wrong", FILES)
def test_a_file_of_another_network_is_refused(models, tmp_path, wrong):
    seeds = {"onnx": (1, 1), "torchscript": (0, 1)}  # of the network and of its TorchScript file; ONNX has 0
    network, script = (exporting.load(checkpoint("unet2d", seed)) for seed in seeds[wrong])
    shutil.copy(models / "unet2d" / FILES["onnx"], tmp_path)
    to_torchscript(script, tmp_path / FILES["torchscript"])
    with pytest.raises(ModelError, match=f"{FILES[wrong]} of small differs from the network by .*; expected at most"):
        agreement(network, tmp_path, recipe("unet2d"))


def test_a_failed_export_leaves_the_older_model_and_a_good_one_replaces_it(models, tmp_path):
    output = tmp_path / "magnitude"
    shutil.copytree(models / "magnitude", output)  # TorchScript
    (output / "alpha.png").write_bytes(b"a picture")
    before = {file.name: file.read_bytes() for file in output.iterdir()}
    broken = checkpoint("magnitude")
    broken["weights"]["leave.bias"] += torch.nan
    with pytest.raises(ModelError, match="differs from the network by nan"):
        export(broken, output, CURVE, FACTS)
    assert {file.name: file.read_bytes() for file in output.iterdir()} == before
    export(checkpoint("magnitude", seed=1), output, CURVE, FACTS)
    assert not (output / FILES["torchscript"]).exists() and (output / "alpha.png").read_bytes() == b"a picture"
    assert Model(*read_manifest(output)).backend == "onnxruntime"


def test_what_cannot_be_exported_is_named(tmp_path):
    output = tmp_path / "unet2d"
    other = checkpoint("unet2d") | {"recipe": vars(recipe("unet2d", name="unet2d", widths=(8, 8, 16)))}
    with pytest.raises(ModelError, match="checkpoint of unet2d holds weights of another network"):
        export(other, output, CURVE, FACTS)
    with pytest.raises(ModelError, match="format is 'pickle'; expected onnx or torchscript"):
        export(checkpoint("unet2d"), output, CURVE, FACTS, "pickle")
    with pytest.raises(ModelError, match="alpha curve is empty"):
        export(checkpoint("unet2d"), output, {}, FACTS)
    with pytest.raises(ModelError, match="folder of model unet2d is .*other; expected one of its name"):
        export(checkpoint("unet2d"), tmp_path / "other", CURVE, FACTS)
    assert not list(tmp_path.iterdir())


def test_an_onnx_file_holds_no_paths_of_the_machine_that_made_it(models):
    made, ours = list(models.glob("*/model.onnx")), [folder("models") / name / "model.onnx" for name in shipped.MODELS]
    assert len(made) == 3
    for path in (*made, *ours):
        assert b"tools/" not in path.read_bytes(), path
