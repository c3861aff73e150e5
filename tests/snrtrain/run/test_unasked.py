"""Nothing asks a device how it stands while batches are drawn and steps are taken.

On torch's device `meta`, tensors have shapes and no values: each question fails, and so does a tensor elsewhere. It has
no fused AdamW, which is torch's own.
"""

import dataclasses

import pytest
import torch

from snrtrain import networks, recipe
from snrtrain.archive import windows
from snrtrain.archive.archive import Archive
from snrtrain.methods import patches
from snrtrain.methods.snraware import Snraware
from snrtrain.run.descent import Descent
from snrtrain.run.processes import Processes
from tests.snrtrain import small_archive
from tests.snrtrain.training_runs import SMOKE

META = torch.device("meta")


class NoGenerator:
    """`meta` has none, nor needs one."""

    def __init__(self, device: torch.device) -> None:
        assert device == META

    def manual_seed(self, seed: int) -> None:
        assert seed >= 0


@pytest.fixture
def unasked(monkeypatch):
    """Reading the archive asks whether it is finite: that is before the first step."""
    monkeypatch.setattr(windows, "sound", lambda part, image, source: part)
    monkeypatch.setattr(patches.torch, "Generator", NoGenerator)


@pytest.mark.parametrize("inputs", ["complex_gmap", "magnitude_gmap"])
def test_steps_are_taken_without_a_question(tmp_path, unasked, inputs):
    settings = recipe.load(SMOKE, ["optimiser=muon", f"inputs={inputs}", "p_own=0.5"])
    splits = [Archive(small_archive.make(tmp_path), split).entries for split in ("train", "validation")]
    seeded = torch.default_generator.manual_seed(1)
    held = [dataclasses.replace(entry, resolution=(0.7, 0.9)) for entry in splits[0]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches.torch, "Generator", type(seeded))
        method = Snraware(settings, held, splits[1], networks.divisor(settings))
    assert method._patches.settle(META, 1 << 40)
    descent = Descent(settings, Processes(0, 1, META))
    descent.begin()
    loss_of = descent.loss_of(method)
    for _ in range(3):
        batch = method.batch(settings.batch, seeded)
        assert batch.input.device == batch.target.device == batch.gmap.device == META
        descent.step(loss_of, batch, 1e-3)
    assert len(descent._losses) == 3 and all(loss.device == META for loss in descent._losses)
