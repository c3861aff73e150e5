"""Training from archive to model folder, in seconds."""

import contextlib
import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snrstream.denoising.manifest import load_manifest
from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from snrtrain import recipe
from snrtrain.archive.archive import Archive
from snrtrain.commands import train
from snrtrain.export import export
from snrtrain.export.facts import facts_of
from snrtrain.methods import noisy_labels
from snrtrain.methods.batch import Batch
from snrtrain.methods.snraware import Snraware
from snrtrain.run.checkpoint import read
from snrtrain.run.pace import LEAST_MEASURED, WARMING, Pace
from snrtrain.run.report import TITLE_HEIGHT
from tests.processes import forked
from tests.snrtrain import small_archive
from tests.snrtrain.training_runs import SMALL_SN2N, SMOKE, SN2N, fit, same

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("tensorboard")

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.usefixtures("same_threads")


def log(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as file:
        return list(csv.DictReader(file))


@contextlib.contextmanager
def stopping_at(step: int) -> Iterator[None]:
    """SIGINT to this process while a run draws its batch number `step`."""
    draw = Snraware.batch
    drawn: list[None] = []

    def stop(method: Snraware, n_patches: int, generator: torch.Generator) -> Batch:
        drawn.append(None)
        if len(drawn) == step:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(method, n_patches, generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Snraware, "batch", stop)
        yield


def test_the_loss_falls_and_the_gain_rises(run, trained_on):
    rows = log(run)
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    settings = recipe.load(SMOKE, [])
    method = train.open_method(settings, *(Archive(trained_on, split) for split in ("train", "validation")))
    untrained = method.psnr(train.networks.build(settings))  # which returns its input
    assert max(float(row["validation_psnr"]) for row in rows) > untrained
    assert method.psnr(train.networks.build(settings), alpha=1.0) == pytest.approx(untrained, abs=1e-3)


def test_a_run_tells_of_white_and_of_filtered_noise_and_chooses_by_the_recipes(run, trained_on, tmp_path):
    rows = log(run)
    for row in rows:
        assert row["white_psnr"] == row["validation_psnr"] != row["filtered_psnr"]
    best = max(rows, key=lambda row: float(row["white_psnr"]))
    assert read(run / "best.pt")["step"] == int(best["step"])
    fit(trained_on, tmp_path / "run", "--recipe", str(SMOKE), "name=tiny", "validated_by=filtered", "steps=20")
    (row,) = log(tmp_path / "run")
    assert row["filtered_psnr"] == row["validation_psnr"]
    assert read(tmp_path / "run/best.pt")["validation_psnr"] == pytest.approx(float(row["filtered_psnr"]), abs=1e-4)


def test_a_log_of_a_version_that_told_of_one_noise_is_gone_on_with(run, trained_on, tmp_path):
    shutil.copy(run / "last.pt", tmp_path)
    (tmp_path / "log.csv").write_text("step,seconds,loss,learning_rate,validation_psnr\n20,3,0.5,0.001,21.5\n")
    fit(trained_on, tmp_path, "--resume", "steps=80")
    first, last = log(tmp_path)
    assert (first["step"], first["validation_psnr"], first["white_psnr"], last["step"]) == ("20", "21.5", "", "80")
    assert float(last["filtered_psnr"]) > 0
    fit(trained_on, tmp_path, "--resume", "steps=100")
    assert [row["white_psnr"] != "" for row in log(tmp_path)] == [False, True, True], "its empty cells are no damage"


def test_a_run_leaves_pictures_and_curves(run):
    pictures = sorted((run / "pictures").iterdir())
    assert [path.name for path in pictures] == ["0000020.png", "0000040.png", "0000060.png"]
    sheet = np.asarray(Image.open(pictures[-1]))
    head, sheet = sheet[:TITLE_HEIGHT], sheet[TITLE_HEIGHT:]
    assert sheet.shape == (3 * small_archive.SIZE, 3 * small_archive.SIZE)
    assert all(head[:, column : column + 64].max() > 200 for column in (0, 64, 128)), "each column has its title"
    noisy, denoised, clean = (sheet[:64, column : column + 64].astype(float) for column in (0, 64, 128))
    assert np.abs(denoised - clean).mean() < np.abs(noisy - clean).mean()
    assert list((run / "tensorboard").iterdir())


def test_the_model_runs_at_the_scanner(run, monkeypatch):
    monkeypatch.setattr("snrstream.denoising.manifest.folders", lambda kind: [run])
    model = Model(*load_manifest("tiny"))
    image = 10 * torch.randn(1, 48, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)).numpy()
    assert model.denoise(image, np.ones(image.shape, np.float32)).shape == image.shape
    assert "(alpha.png)" in (run / "tiny/README.md").read_text()
    assert np.asarray(Image.open(run / "tiny/alpha.png")).std() > 0
    training = json.loads((run / "tiny/manifest.json").read_text())["training"]
    assert training["seed"] == 1 and training["commit"] == read(run / "best.pt")["commit"]


def test_the_card_quotes_what_it_is_given(run):
    card = (run / "tiny/README.md").read_text()
    assert card.startswith("# tiny 1.2.3") and "## Evaluation\n\n| PSNR |" in card and "## Ablation" not in card


def test_two_runs_of_one_seed_agree_and_of_another_do_not(run, trained_on, tmp_path):
    for name, seed in (("again", 1), ("other", 2)):
        fit(trained_on, tmp_path / name, "--recipe", str(SMOKE), "name=tiny", f"seed={seed}")
    assert same(read(run / "last.pt"), read(tmp_path / "again/last.pt"))
    assert not same(read(run / "last.pt")["weights"], read(tmp_path / "other/last.pt")["weights"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_interrupted_and_resumed_is_the_uninterrupted_one(run, trained_on, tmp_path, number):
    folder = tmp_path / "run"
    command = forked(
        str(ROOT / "tools/train.py"), "--archive", str(trained_on), "--folder", str(folder),
        "--threads", "1", "--device", "cpu", "--recipe", str(SMOKE), "name=tiny",
    )  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    for _ in range(2400):
        if (folder / "log.csv").exists() and len(log(folder)) >= 1:
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert f"step {log(folder)[0]['step']} of 60, loss " in told and " s left" in told, "there is no terminal"
    assert process.returncode == 1 and told.strip().splitlines()[-1] == "train: interrupted; --resume goes on"
    assert "Traceback" not in told and read(folder / "last.pt")["step"] < 60
    train.main(["--folder", str(folder), "--threads", "1", "--device", "cpu", "--resume"])  # it knows its archive
    assert same(read(run / "last.pt"), read(folder / "last.pt"))
    columns = ("step", "loss", "validation_psnr", "filtered_psnr", "white_psnr_2048")
    assert [[row[key] for key in columns] for row in log(run)] == [[row[key] for key in columns] for row in log(folder)]


def test_a_run_that_had_ended_is_lengthened_and_resumed_bit_for_bit(run, trained_on, tmp_path):
    """In one go, and interrupted between: the length, and since when it holds, are in the checkpoint."""
    options = ("--threads", "1", "--device", "cpu", "--resume")
    for name in ("whole", "parts"):
        shutil.copytree(run, tmp_path / name)
    train.main(["--folder", str(tmp_path / "whole"), *options, "steps=100"])
    assert [row["step"] for row in log(tmp_path / "whole")] == ["20", "40", "60", "80", "100"]
    found = read(tmp_path / "whole/last.pt")
    assert found["step"] == 100 and found["recipe"]["steps"] == 100 and found["state"]["since"] == 60
    rates = [float(row["learning_rate"]) for row in log(tmp_path / "whole")]
    assert rates[2] == 0 and rates[3] > 0 and rates[4] == 0

    with pytest.raises(KeyboardInterrupt), stopping_at(13):
        train.main(["--folder", str(tmp_path / "parts"), *options, "steps=100"])
    assert read(tmp_path / "parts/last.pt")["step"] == 73
    train.main(["--folder", str(tmp_path / "parts"), *options])
    assert same(found, read(tmp_path / "parts/last.pt"))


def test_workers_that_draw_ahead_change_nothing(run, trained_on, tmp_path):
    fit(trained_on, tmp_path / "run", "--recipe", str(SMOKE), "name=tiny", "--workers", "1")
    assert same(read(run / "last.pt"), read(tmp_path / "run/last.pt"))


def test_a_run_that_is_fitted_to_the_time_is_one_with_as_many_steps(trained_on, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Pace, "fitted", lambda _, step, n_steps, every: n_steps)  # the same time for each step
    fit(trained_on, tmp_path / "fitted", "--recipe", str(SMOKE), "--minutes", "0.05", "name=tiny")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "fit into the time" in line]
    found = read(tmp_path / "fitted/last.pt")
    n_steps, every = (found["recipe"][key] for key in ("steps", "validate_every"))
    assert line.startswith(f"tiny: {n_steps} steps of ") and found["step"] == n_steps and f"each {every} " in line
    assert 3 < n_steps < 1000, "of 2 s and more"
    fit(
        trained_on,
        tmp_path / "told",
        "--recipe",
        str(SMOKE),
        "name=tiny",
        f"steps={n_steps}",
        f"validate_every={every}",
    )
    assert same(found, read(tmp_path / "told/last.pt"))


def test_a_run_that_goes_on_can_be_fitted_to_a_time_as_well(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    train.main(
        ["--folder", str(tmp_path / "run"), "--threads", "1", "--device", "cpu", "--resume", "--minutes", "0.05"]
    )
    found = read(tmp_path / "run/last.pt")
    assert found["step"] == found["recipe"]["steps"] > 60 and found["state"]["since"] == 60
    rates = [float(row["learning_rate"]) for row in log(tmp_path / "run")]
    assert rates[2] == 0 and rates[-1] == 0 and len(rates) > 3


def test_an_interrupted_run_of_a_given_time_goes_on_with_the_steps_that_it_had(trained_on, tmp_path, monkeypatch):
    """Each look at the rate changes the number of steps here: what follows from it is in the checkpoint."""
    monkeypatch.setattr(Pace, "plan", lambda *_: (50, 20))
    monkeypatch.setattr("snrtrain.run.run.SECONDS_BETWEEN_LOSSES", 0.0)
    monkeypatch.setattr(Pace, "fitted", lambda _, step, n_steps, every: 60 if step == 11 else n_steps)
    fit(trained_on, tmp_path / "whole", "--recipe", str(SMOKE), "--minutes", "0.01", "name=tiny")
    trial = WARMING + LEAST_MEASURED + 1  # batches that are drawn before the first step
    with pytest.raises(KeyboardInterrupt), stopping_at(trial + 30):
        fit(trained_on, tmp_path / "parts", "--recipe", str(SMOKE), "--minutes", "0.01", "name=tiny")
    stopped = read(tmp_path / "parts/last.pt")
    assert 20 < stopped["step"] < 60 and stopped["recipe"]["steps"] == 60 and stopped["state"]["at"] == 11
    train.main(["--folder", str(tmp_path / "parts"), "--threads", "1", "--device", "cpu", "--resume"])
    assert same(read(tmp_path / "whole/last.pt"), read(tmp_path / "parts/last.pt"))
    assert float(log(tmp_path / "parts")[-1]["learning_rate"]) == 0


def test_a_run_that_gains_no_more_ends_early(trained_on, tmp_path):
    fit(trained_on, tmp_path / "run", "--recipe", str(SMOKE), "learning_rate=1e-9", "validate_every=2", "patience=3")
    assert len(log(tmp_path / "run")) < 30 and read(tmp_path / "run/last.pt")["step"] < 60


def test_two_processes_share_a_batch(trained_on, tmp_path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",  # on a free port
        str(ROOT / "tools/train.py"), "--archive", str(trained_on), "--folder", str(tmp_path / "run"), "--threads", "1",
        "--device", "cpu", "--recipe", str(SMOKE), "steps=4", "validate_every=2",
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, timeout=240, env=ENVIRONMENT)
    assert told.returncode == 0, told.stderr
    assert [row["step"] for row in log(tmp_path / "run")] == ["2", "4"]


def test_sn2n_gains_on_what_it_never_saw_with_and_without_a_reference(tmp_path):
    for reference in (True, False):
        pairs = small_archive.make_pairs(tmp_path / f"pairs {reference}", reference)
        folder = tmp_path / f"run {reference}"
        fit(pairs, folder, "--recipe", str(SN2N), *SMALL_SN2N)
        first, last = (float(row["validation_psnr"]) for row in (log(folder)[0], log(folder)[-1]))
        assert last > first


def test_alpha_is_chosen_on_noisy_labels_at_several_levels(tmp_path):
    pairs = small_archive.make_pairs(tmp_path / "pairs", reference=False)
    fit(
        pairs, tmp_path / "run", "--recipe", str(SN2N), *SMALL_SN2N, "name=levels", "--output", str(tmp_path / "levels")
    )
    method = train.open_method(
        recipe.load(SN2N, SMALL_SN2N), *(Archive(pairs, split) for split in ("train", "validation"))
    )  # fmt: skip
    curves = method.curves(export.load(read(tmp_path / "run/best.pt")), train.ALPHAS)
    assert list(curves) == list(noisy_labels.LEVELS) and all(
        list(level) == list(train.ALPHAS) for level in curves.values()
    )
    alpha = json.loads((tmp_path / "levels/manifest.json").read_text())["default_alpha"]
    assert alpha == noisy_labels.chosen(curves)
    assert curves[noisy_labels.LEVELS[0]][alpha] >= curves[noisy_labels.LEVELS[0]][1.0]
    card = (tmp_path / "levels/README.md").read_text()
    assert (
        "| alpha | 0.25 sigma | 1 sigma | 2 sigma | 3 sigma | mean |" in card and f"default alpha, {alpha:g}," in card
    )
    (row,) = [line for line in card.splitlines() if line.startswith("| 1 |")]
    assert row.split(" | ")[1:5] == [f"{level[1.0]:.2f}" for level in curves.values()]


def test_pairs_without_drawn_noise_cannot_be_validated_on(tmp_path):
    pairs = small_archive.make_pairs(tmp_path / "pairs")
    done = pairs / "validation/two/0000/entry.json"
    facts = json.loads(done.read_text())
    del facts["arrays"]["noise"]
    done.write_text(json.dumps(facts))
    with pytest.raises(ConfigurationError, match="the pair of phantom has no image of drawn noise"):
        fit(pairs, tmp_path / "run", "--recipe", str(SN2N), *SMALL_SN2N)


def test_a_source_without_a_licence_leaves_the_model_without_one(trained_on):
    settings = recipe.load(SMOKE, [])
    splits = [Archive(trained_on, split) for split in ("train", "validation")]
    assert facts_of(settings, *splits).licence == "MIT"
    unknown = [dataclasses.replace(entry, source="mine (licence not stated)") for entry in splits[0].entries]
    splits[0].entries = [*splits[0].entries, *unknown]
    assert facts_of(settings, *splits).licence == "not stated"


def test_the_smoke_recipe_takes_no_setting_for_granted():
    assert recipe.load(SMOKE, []).steps <= 100
