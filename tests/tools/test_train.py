"""Training from archive to model folder, in seconds; and the mistakes a user can make."""

import csv
import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snrstream.denoising.manifest import load_manifest
from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError
from tools import train
from tools.training import recipe
from tools.training.archive import Archive
from tools.training.checkpoint import read, write
from tools.training.facts import facts_of
from tools.training.report import TITLE_HEIGHT

from . import small_archive

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("tensorboard")

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "tools/recipes/smoke.toml"
SN2N = ROOT / "tools/recipes/sn2n_unet25d.toml"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SMALL_SN2N = ["widths=8,8,8", "patch=32", "batch=2", "steps=60", "validate_every=30", "n_validation=3", "ema=0.9"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors: a second thread costs more than it brings."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return small_archive.make(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, archive) -> Path:
    """The folder of a finished run, with its model."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    fit(archive, folder, "--recipe", str(SMOKE), "--output", str(folder / "tiny"), "name=tiny")
    return folder


def fit(archive: Path, run: Path, *arguments: str) -> None:
    train.main(["--archive", str(archive), "--folder", str(run), "--threads", "1", "--device", "cpu", *arguments])


def log(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as file:
        return list(csv.DictReader(file))


def same(one: object, other: object) -> bool:
    """Whether two checkpoints hold the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_the_loss_falls_and_the_gain_rises(run, archive):
    rows = log(run)
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    settings = recipe.load(SMOKE, [])
    method = train.open_method(settings, *(Archive(archive, split) for split in ("train", "validation")))
    untrained = method.psnr(train.networks.build(settings))  # which returns its input
    assert max(float(row["validation_psnr"]) for row in rows) > untrained
    assert method.psnr(train.networks.build(settings), alpha=1.0) == pytest.approx(untrained, abs=1e-3)


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
    monkeypatch.setattr("snrstream.denoising.manifest.folder", lambda kind: run)
    model = Model(*load_manifest("tiny"))
    image = 10 * torch.randn(1, 48, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)).numpy()
    assert model.denoise(image, np.ones(image.shape, np.float32)).shape == image.shape
    assert "(alpha.png)" in (run / "tiny/README.md").read_text()
    assert np.asarray(Image.open(run / "tiny/alpha.png")).std() > 0
    training = json.loads((run / "tiny/manifest.json").read_text())["training"]
    assert training["seed"] == 1 and training["commit"] == read(run / "best.pt")["commit"]


def test_two_runs_of_one_seed_agree_and_of_another_do_not(run, archive, tmp_path):
    for name, seed in (("again", 1), ("other", 2)):
        fit(archive, tmp_path / name, "--recipe", str(SMOKE), "name=tiny", f"seed={seed}")
    assert same(read(run / "last.pt"), read(tmp_path / "again/last.pt"))
    assert not same(read(run / "last.pt")["weights"], read(tmp_path / "other/last.pt")["weights"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_interrupted_and_resumed_is_the_uninterrupted_one(run, archive, tmp_path, number):
    folder = tmp_path / "run"
    command = [
        sys.executable, str(ROOT / "tools/train.py"), "--archive", str(archive), "--folder", str(folder),
        "--threads", "1", "--device", "cpu", "--recipe", str(SMOKE), "name=tiny",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    for _ in range(600):
        if (folder / "log.csv").exists() and len(log(folder)) >= 1:
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert f"step {log(folder)[0]['step']} of 60, loss " in told and " s left" in told, "there is no terminal"
    assert process.returncode == 1 and told.strip().splitlines()[-1] == "train: interrupted; --resume goes on"
    assert "Traceback" not in told and read(folder / "last.pt")["step"] < 60
    train.main(["--folder", str(folder), "--threads", "1", "--device", "cpu", "--resume"])  # it knows its archive
    assert same(read(run / "last.pt"), read(folder / "last.pt"))
    columns = ("step", "loss", "validation_psnr")
    assert [[row[key] for key in columns] for row in log(run)] == [[row[key] for key in columns] for row in log(folder)]


def test_workers_that_draw_ahead_change_nothing(run, archive, tmp_path):
    fit(archive, tmp_path / "run", "--recipe", str(SMOKE), "name=tiny", "--workers", "2")
    assert same(read(run / "last.pt"), read(tmp_path / "run/last.pt"))


def test_a_run_that_gains_no_more_ends_early(archive, tmp_path):
    fit(archive, tmp_path / "run", "--recipe", str(SMOKE), "learning_rate=1e-9", "validate_every=2", "patience=3")
    assert len(log(tmp_path / "run")) < 30 and read(tmp_path / "run/last.pt")["step"] < 60


def test_two_processes_share_a_batch(archive, tmp_path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29611",
        str(ROOT / "tools/train.py"), "--archive", str(archive), "--folder", str(tmp_path / "run"), "--threads", "1",
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "none.toml"], "recipe none.toml cannot be read"),
        ([], "got no --recipe; expected one, or --resume"),
        (["--resume"], "checkpoint .*last.pt does not exist"),
        (["--recipe", str(SMOKE), "--threads", "0"], "--threads is 0; expected 1 to 1024"),
        (["--recipe", str(SMOKE), "--threads", "99999999999"], "--threads is 99999999999; expected 1 to 1024"),
        (["--recipe", str(SMOKE), "--folder", __file__], "--folder is .*: .*test_train.py cannot be written to"),
        (
            ["--recipe", str(SMOKE), "--folder", f"{__file__}/run"],
            "--folder is .*: .*test_train.py cannot be written to",
        ),
        (["--recipe", str(SMOKE), "--folder", "/proc/run"], "--folder is /proc/run: /proc cannot be written to"),
        (
            ["--recipe", str(SMOKE), "--output", f"{__file__}/smoke"],
            "--output is .*: .*test_train.py cannot be written",
        ),
        (
            [
                "--recipe",
                str(SMOKE),
                "patch=256",
                "widths=8,8,8,8,8,8,8,8",
                "depths=1,1,1,1,1,1,1,1",
                f"cells={','.join(['conv'] * 8)}",
            ],
            "clean.npy holds images of 64 x 64 pixels; expected 256 x 256 or more",
        ),
        (["--recipe", str(SMOKE), "patch=128"], "has 64 x 64 pixels; expected 128 x 128 or more"),
        (["--recipe", str(SMOKE), "frames=time", "n_frames=4"], "holds no scan whose frames are of time"),
        (["--recipe", str(SN2N)], "holds no pairs; expected some"),
        (["--recipe", str(SMOKE), "--weights", "none.pt"], "checkpoint none.pt does not exist"),
        (["--recipe", str(SMOKE), "--output", "mine"], "model's name smoke; expected a folder of that name .name=mine"),
        (["--recipe", str(SMOKE), "--export-only"], "best.pt does not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(archive, tmp_path, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        fit(archive, tmp_path / "run", *arguments)


def test_a_run_is_not_overwritten_nor_gone_on_with_by_another_recipe(run, archive):
    with pytest.raises(ConfigurationError, match="already holds a run; expected --resume"):
        fit(archive, run, "--recipe", str(SMOKE))
    with pytest.raises(ConfigurationError, match="of another recipe: name tiny and smoke, batch 4 and 8; expected"):
        fit(archive, run, "--recipe", str(SMOKE), "--resume", "batch=8")


def test_a_best_checkpoint_alone_is_not_overwritten(run, archive, tmp_path):
    shutil.copy(run / "best.pt", tmp_path)
    with pytest.raises(ConfigurationError, match="already holds best.pt of a run; expected another --folder"):
        fit(archive, tmp_path, "--recipe", str(SMOKE))


def test_a_checkpoint_that_tells_no_archive_can_still_be_resumed(run, archive, tmp_path, monkeypatch):
    found = read(run / "last.pt")
    del found["archive"]
    torch.save(found, tmp_path / "last.pt")
    options = ["--folder", str(tmp_path), "--threads", "1", "--device", "cpu", "--resume"]
    monkeypatch.setattr(train, "ARCHIVE", tmp_path / "none")
    with pytest.raises(ConfigurationError, match="none does not exist; expected a folder .*, named by --archive"):
        train.main(options)
    train.main([*options, "--archive", str(archive)])


@pytest.mark.parametrize("value", [np.nan, 0])
def test_a_validation_image_that_shows_nothing_is_named_before_training(tmp_path, value):
    place = small_archive.make(tmp_path / "archive") / "validation/three/0001/clean.npy"
    np.save(place, np.full_like(np.load(place), value))
    with pytest.raises(ConfigurationError, match=r"three/0001/clean\.npy (is empty|holds values that are not finite)"):
        fit(tmp_path / "archive", tmp_path / "run", "--recipe", str(SMOKE))
    assert not (tmp_path / "run/log.csv").exists()


@pytest.mark.parametrize("value", [np.nan, 0])
def test_a_validation_pair_that_shows_nothing_is_named(tmp_path, value):
    place = small_archive.make_pairs(tmp_path / "pairs") / "validation/two/0000/plain.npy"
    np.save(place, np.full_like(np.load(place), value))
    with pytest.raises(ConfigurationError, match=r"two/0000/plain\.npy (is empty|holds values that are not finite)"):
        fit(tmp_path / "pairs", tmp_path / "run", "--recipe", str(SN2N), *SMALL_SN2N)


def test_a_worker_tells_its_error_in_one_line(archive, tmp_path):
    with pytest.raises(ConfigurationError) as error:
        fit(archive, tmp_path / "run", "--recipe", str(SMOKE), "patch=128", "--workers", "1")
    assert str(error.value) == "an image of phantom has 64 x 64 pixels; expected 128 x 128 or more, the recipe's patch"


def test_a_full_disk_is_told_in_one_line_and_leaves_the_older_checkpoint(run, tmp_path):
    shutil.copy(run / "last.pt", tmp_path)
    found, limits = read(run / "last.pt"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9999, limits[1]))
    try:
        with pytest.raises(ConfigurationError, match="last.pt cannot be written; expected room on its disk"):
            write(tmp_path / "last.pt", found)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert same(read(run / "last.pt"), read(tmp_path / "last.pt")) and not (tmp_path / "last.part").exists()


@pytest.mark.parametrize(
    "text",
    [b"garbage", bytes(range(256)), b"step,seconds\n20,1\n", b"step,seconds,loss,learning_rate,validation_psnr\nx"],
)
def test_a_log_that_cannot_be_gone_on_with_is_named_and_left(run, archive, tmp_path, text):
    shutil.copy(run / "last.pt", tmp_path)
    (tmp_path / "log.csv").write_bytes(text)
    with pytest.raises(ConfigurationError, match="log.csv is no log of train.py, or damaged"):
        fit(archive, tmp_path, "--resume")
    assert (tmp_path / "log.csv").read_bytes() == text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", 3), ("weights", [1]), ("weights", {"a": 1}), ("optimiser", "adam"), ("optimiser", {}),
        ("network", None), ("state", {"stp": 3}), ("state", {"step": "many"}), ("state", None), ("step", "many"),
    ],
)  # fmt: skip
def test_a_checkpoint_with_something_else_in_it_is_named(run, archive, tmp_path, key, value):
    torch.save({**read(run / "last.pt"), key: value}, tmp_path / "last.pt")
    with pytest.raises(ConfigurationError, match="last.pt"):
        fit(archive, tmp_path, "--resume")
    found = read(run / "last.pt")
    del found[key]
    torch.save(found, tmp_path / "last.pt")
    with pytest.raises(ConfigurationError, match="last.pt"):
        fit(archive, tmp_path, "--resume")


def test_bytes_that_were_overwritten_in_a_checkpoint_are_found(run, tmp_path):
    data = bytearray((run / "last.pt").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    (tmp_path / "last.pt").write_bytes(data)
    with pytest.raises(ConfigurationError, match="last.pt is no checkpoint of train.py, or damaged"):
        read(tmp_path / "last.pt")


def test_a_source_without_a_licence_leaves_the_model_without_one(archive):
    settings = recipe.load(SMOKE, [])
    splits = [Archive(archive, split) for split in ("train", "validation")]
    assert facts_of(settings, *splits).licence == "MIT"
    unknown = [dataclasses.replace(entry, source="mine (licence not stated)") for entry in splits[0].entries]
    splits[0].entries = [*splits[0].entries, *unknown]
    assert facts_of(settings, *splits).licence == "not stated"


def test_an_archive_that_is_missing_empty_or_damaged_is_named(tmp_path, archive):
    with pytest.raises(ConfigurationError, match="does not exist; expected a folder that prepare.py has made"):
        fit(tmp_path / "none", tmp_path / "run", "--recipe", str(SMOKE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="is empty"):
        fit(tmp_path / "empty", tmp_path / "run", "--recipe", str(SMOKE))


def test_a_damaged_checkpoint_is_named(tmp_path, archive):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/last.pt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ConfigurationError, match="last.pt is no checkpoint of train.py, or damaged"):
        fit(archive, tmp_path / "run", "--resume")


def test_the_smoke_recipe_takes_no_setting_for_granted():
    assert recipe.load(SMOKE, []).steps <= 100
