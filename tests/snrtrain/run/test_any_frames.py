"""A run on single images, a series and a stack together, and the files of its network."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from snrstream.denoising.manifest import read_manifest
from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain import networks, recipe
from snrtrain.archive.archive import Archive, write_entry
from snrtrain.commands.train import open_method
from snrtrain.export import export
from snrtrain.export.formats import FILES, agreement, example_input, to_onnx, to_torchscript
from snrtrain.networks.cost import flop
from snrtrain.run import checkpoint, registries
from tests.snrtrain import small_archive
from tests.snrtrain.small_recipes import recipe as small_recipe
from tests.snrtrain.training_runs import RECIPES, SMOKE, fit

ANY = ("frames=any", "n_frames=4", "window=3", "p_causal=0.5", "cells=conv,conv,conv+cnnt", "depths=1,1,2")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """An archive of single images (once 8 that are no neighbours), series of 5 frames and stacks of 2."""
    folder = tmp_path_factory.mktemp("mixed")
    for axis, frames in (("none", 8), ("time", 5), ("slice", 2)):
        made = small_archive.make(folder / axis, frames, axis)
        for split in ("train", "validation"):
            for number, entry in enumerate(Archive(made, split).entries):
                write_entry(folder / "all" / split / entry.subject / f"{axis}{number:04d}", entry)
    return folder / "all"


def opened(archive: Path, **changes):
    settings = small_recipe("any", patch=32, n_validation=6, **changes)
    return open_method(settings, Archive(archive, "train"), Archive(archive, "validation"))


def test_batches_have_all_numbers_of_frames_at_a_level_cost_causal_or_not(mixed):
    method, generator = opened(mixed, n_frames=16), torch.Generator().manual_seed(0)
    batches = [method.batch(8, generator) for _ in range(60)]
    shapes = {tuple(batch.input.shape) for batch in batches}
    # No entry has more than 5 frames, and a stack must not be gone on with as its mirror image.
    assert shapes == {(8, 3, 1, 32, 32), (4, 3, 2, 32, 32), (2, 3, 4, 32, 32)}
    assert {float(batch.causal) for batch in batches} == {0.0, 1.0}
    for p_causal in (0.0, 1.0):
        one_way = opened(mixed, p_causal=p_causal)
        assert {float(one_way.batch(8, generator).causal) for _ in range(8)} == {p_causal}
    assert method.batch(1, generator).input.shape[0] == 1, "fewer than the frames of one patch"


def test_several_frames_are_of_entries_that_have_them(mixed):
    """All entries alike would give single images, gone on with as their mirror image."""
    method, generator = opened(mixed), torch.Generator().manual_seed(0)
    for _ in range(60):
        clean = method.batch(4, generator).target
        if clean.shape[2] > 1:
            distance = (clean[:, :, 1:] - clean[:, :, :1]).abs().amax(dim=(1, 2, 3, 4))
            assert bool((distance > 0).all()), "frames of the archive have noise of their own"


def test_validation_sees_series_as_a_stream_does_and_stacks_whole(mixed):
    asked = []

    class Told(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x, causal):
            asked.append((x.shape[2], float(causal)))
            return x[:, :2]

    assert opened(mixed).psnr(Told()) > 0
    assert sorted(set(asked)) == [(1, 0.0), (2, 0.0), (5, 1.0)]


@pytest.fixture(scope="module")
def trained(mixed, tmp_path_factory) -> Path:
    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("runs") / "any"
    fit(mixed, folder, "--recipe", str(SMOKE), "steps=20", *ANY)
    return folder / "best.pt"


def test_a_run_for_any_frames_learns_and_its_files_are_its_network_also_in_a_stream(trained, tmp_path):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    found = checkpoint.read(trained)
    network, settings = export.load(found), recipe.restored(found["recipe"])
    assert bool(network.backbone.bottom.cells[1].out.weight.any()), "attention has learned"
    example = example_input(settings, (2, 3, 5, 4), torch.Generator().manual_seed(0))
    kept = networks.remembered(settings)
    to_onnx(network, tmp_path / FILES["onnx"], example, 8, kept)
    to_torchscript(network, tmp_path / FILES["torchscript"], remembering=True)
    # The largest value is some tens of noise SDs: all within 1e-4 of one.
    assert agreement(network, tmp_path, settings) < 2e-6
    with torch.no_grad():
        network.backbone.bottom.cells[1].slope.add_(10.0)
    with pytest.raises(export.ModelError, match=r"differs from the network by .*, all frames; expected"):
        agreement(network, tmp_path, settings)


def test_a_run_for_any_frames_begins_with_the_answers_of_a_single_image_network(mixed, tmp_path):
    pytest.importorskip("tensorboard")
    fit(mixed, tmp_path / "alone", "--recipe", str(SMOKE), "steps=3", "validate_every=3")
    grown = ("steps=1", "learning_rate=1e-12", *ANY[:-1])
    fit(mixed, tmp_path / "grown", "--recipe", str(SMOKE), "--weights", str(tmp_path / "alone/best.pt"), *grown)
    alone, any_ = (export.load(checkpoint.read(tmp_path / name / "best.pt")) for name in ("alone", "grown"))
    x = torch.randn(1, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0)).abs() + 0.1
    with torch.no_grad():
        assert torch.allclose(any_(x), alone(x), atol=1e-4)
        assert not torch.allclose(alone(x), x[:, :2], atol=1e-4), "it does something"


def test_the_runtime_takes_the_model_of_a_run(mixed, trained, tmp_path):
    pytest.importorskip("onnxruntime")
    fit(mixed, trained.parent, "--export-only", "--output", str(tmp_path / "smoke"))
    found, model = checkpoint.read(trained), Model(*read_manifest(tmp_path / "smoke"))
    assert model.manifest.frames == ("time", "slice", "depth")
    x = example_input(recipe.restored(found["recipe"]), (1, 5, 4, 4), torch.Generator().manual_seed(0))
    image, gmap = torch.complex(x[0, 0], x[0, 1]), x[0, 2]
    with torch.no_grad():
        for n_frames in (1, 5):
            answer = export.load(found)(x[:, :, :n_frames])[0]
            denoised = torch.from_numpy(model.denoise(image[:n_frames].numpy(), gmap[:n_frames].numpy()))
            assert torch.allclose(denoised, torch.complex(answer[0], answer[1]), atol=1e-4)


def test_the_manifest_and_the_card_tell_of_the_frames_and_the_cost(trained, tmp_path):
    found = checkpoint.read(trained)
    (tmp_path / "model.onnx").write_bytes(b"")
    facts = export.Facts(("a",), "b", "c.")
    manifest = export._manifest(found, {0.0: 30.0}, facts, tmp_path / "model.onnx", "onnx")
    assert manifest["frames"] == ["time", "slice", "depth"] and manifest["layout"] == "B,3,T,H,W"
    assert (manifest["past"], manifest["window"], manifest["n_frames"]) == ([[16, 8]], 3, 0)
    assert manifest["receptive_field"][0] == 5, "two frames on either side"
    assert json.loads(json.dumps(manifest)) == manifest
    text = export.card(manifest, found, {0.0: 30.0}, facts)
    assert "weights, 0.174 GFLOP a frame of 256 x 256)" in text and "A stream runs each of its frames once" in text


@pytest.mark.parametrize(("name", "most"), [("snraware", 22), ("snraware_large", 80)])
def test_a_shipped_recipe_keeps_to_its_budget(name, most):
    settings = recipe.load(RECIPES / f"{name}.toml", [])
    registries.check(settings)
    assert 0.9 * most < flop(settings) / 1e9 < most
    # Beside the network of single images attention is to cost hardly anything.
    alone = replace(settings, frames="none", n_frames=1, window=0, p_causal=0.0, cells=("conv",) * 3)
    assert flop(settings) < 1.1 * flop(alone)


def test_weights_that_are_not_to_be_trained_stay_as_they_began(mixed, tmp_path) -> None:
    cells = ("--recipe", str(SMOKE), "steps=20", "validate_every=20", "depths=1,1,2")
    fit(mixed, tmp_path / "single", *cells)
    parts = (".query.", ".key.", ".value.", ".out.", ".sharpness", ".slope")
    attention = (*cells, *ANY[:-1], "trained=" + ",".join(parts), "--weights", str(tmp_path / "single/best.pt"))
    fit(mixed, tmp_path / "any", *attention)
    before, after = (checkpoint.read(tmp_path / name / "best.pt")["weights"] for name in ("single", "any"))
    begun = {name: before[name.replace(".mixer.", ".")] for name in after if name.replace(".mixer.", ".") in before}
    assert begun.keys() == {name for name in after if not any(part in name for part in parts)}
    assert all(torch.equal(weight, after[name]) for name, weight in begun.items())
    assert any(float(after[name].abs().max()) > 0 for name in after if name.endswith(".out.weight")), "which began as 0"
    with pytest.raises(ConfigurationError, match=r"trained has 'attention'; expected a part of a weight's name, such"):
        fit(mixed, tmp_path / "none", *cells, "trained=attention")
    with pytest.raises(ConfigurationError, match=r"setting trained is ','; expected parts of weights' names"):
        fit(mixed, tmp_path / "none", *cells, "trained=,")
