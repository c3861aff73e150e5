"""tools/train.py on bad input: one line each, and nothing is lost."""

import resource
import shutil

import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain.commands import train
from snrtrain.run.checkpoint import read, write
from tests.snrtrain import small_archive
from tests.snrtrain.training_runs import SMALL_SN2N, SMOKE, SN2N, fit, same

pytestmark = pytest.mark.usefixtures("same_threads")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "none.toml"], "recipe none.toml cannot be read"),
        ([], "got no --recipe; expected one, or --resume"),
        (["--resume"], "checkpoint .*last.pt does not exist"),
        (["--recipe", str(SMOKE), "--threads", "0"], "--threads is 0; expected 1 to 1024"),
        (["--recipe", str(SMOKE), "--threads", "99999999999"], "--threads is 99999999999; expected 1 to 1024"),
        (
            ["--recipe", str(SMOKE), "--folder", __file__],
            "--folder is .*py cannot be written to",
        ),
        (
            ["--recipe", str(SMOKE), "--folder", f"{__file__}/run"],
            "--folder is .*py cannot be written to",
        ),
        (["--recipe", str(SMOKE), "--folder", "/proc/run"], "--folder is /proc/run: /proc cannot be written to"),
        (
            ["--recipe", str(SMOKE), "--output", f"{__file__}/smoke"],
            "--output is .*: .*test_train_mistakes.py cannot be written",
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
        (["--recipe", str(SMOKE), "--evaluation", "none.md"], "--evaluation none.md cannot be read: .*Markdown"),
    ],
)
def test_mistakes_are_told_in_one_line(trained_on, tmp_path, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        fit(trained_on, tmp_path / "run", *arguments)


def test_a_run_is_not_overwritten_nor_gone_on_with_by_another_recipe(run, trained_on):
    with pytest.raises(ConfigurationError, match="already holds a run; expected --resume"):
        fit(trained_on, run, "--recipe", str(SMOKE))
    with pytest.raises(ConfigurationError, match="of another recipe: name tiny and smoke, batch 4 and 8; expected"):
        fit(trained_on, run, "--recipe", str(SMOKE), "--resume", "batch=8")
    with pytest.raises(ConfigurationError, match="got batch=8 for a run that goes on; expected steps=N alone"):
        fit(trained_on, run, "--resume", "batch=8")
    with pytest.raises(ConfigurationError, match="steps is 40; expected more: .*last.pt is of step 60"):
        fit(trained_on, run, "--resume", "steps=40")


def test_a_best_checkpoint_alone_is_not_overwritten(run, trained_on, tmp_path):
    shutil.copy(run / "best.pt", tmp_path)
    with pytest.raises(ConfigurationError, match="already holds best.pt of a run; expected another --folder"):
        fit(trained_on, tmp_path, "--recipe", str(SMOKE))


def test_a_checkpoint_that_tells_no_archive_can_still_be_resumed(run, trained_on, tmp_path, monkeypatch):
    found = read(run / "last.pt")
    del found["archive"]
    torch.save(found, tmp_path / "last.pt")
    options = ["--folder", str(tmp_path), "--threads", "1", "--device", "cpu", "--resume"]
    monkeypatch.setattr(train, "ARCHIVE", tmp_path / "none")
    with pytest.raises(ConfigurationError, match="none does not exist; expected a folder .*, named by --archive"):
        train.main(options)
    train.main([*options, "--archive", str(trained_on)])


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


def test_a_worker_tells_its_error_in_one_line(trained_on, tmp_path):
    with pytest.raises(ConfigurationError) as error:
        fit(trained_on, tmp_path / "run", "--recipe", str(SMOKE), "patch=128", "--workers", "1")
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
def test_a_log_that_cannot_be_gone_on_with_is_named_and_left(run, trained_on, tmp_path, text):
    shutil.copy(run / "last.pt", tmp_path)
    (tmp_path / "log.csv").write_bytes(text)
    with pytest.raises(ConfigurationError, match="log.csv is no log of train.py, or damaged"):
        fit(trained_on, tmp_path, "--resume")
    assert (tmp_path / "log.csv").read_bytes() == text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", 3), ("weights", [1]), ("weights", {"a": 1}), ("optimiser", "adam"), ("optimiser", {}),
        ("network", None), ("state", {"stp": 3}), ("state", {"step": "many"}), ("state", None), ("step", "many"),
    ],
)  # fmt: skip
def test_a_checkpoint_with_something_else_in_it_is_named(run, trained_on, tmp_path, key, value):
    torch.save({**read(run / "last.pt"), key: value}, tmp_path / "last.pt")
    with pytest.raises(ConfigurationError, match="last.pt"):
        fit(trained_on, tmp_path, "--resume")
    found = read(run / "last.pt")
    del found[key]
    torch.save(found, tmp_path / "last.pt")
    with pytest.raises(ConfigurationError, match="last.pt"):
        fit(trained_on, tmp_path, "--resume")


def test_bytes_that_were_overwritten_in_a_checkpoint_are_found(run, tmp_path):
    data = bytearray((run / "last.pt").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    (tmp_path / "last.pt").write_bytes(data)
    with pytest.raises(ConfigurationError, match="last.pt is no checkpoint of train.py, or damaged"):
        read(tmp_path / "last.pt")


def test_an_archive_that_is_missing_empty_or_damaged_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist; expected a folder that prepare.py has made"):
        fit(tmp_path / "none", tmp_path / "run", "--recipe", str(SMOKE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="is empty"):
        fit(tmp_path / "empty", tmp_path / "run", "--recipe", str(SMOKE))


def test_a_damaged_checkpoint_is_named(tmp_path, trained_on):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/last.pt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ConfigurationError, match="last.pt is no checkpoint of train.py, or damaged"):
        fit(trained_on, tmp_path / "run", "--resume")
