"""The script for a machine without network, on an archive that is there; `DRY=1`, which makes one, takes minutes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.snrtrain.training_runs import SMOKE

SCRIPT = Path(__file__).resolve().parents[3] / "tools/train_job.sh"


def job(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "RECIPE": str(SMOKE), "TRAIN": "--device cpu"}
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, env=environment, timeout=240)


def test_it_says_what_it_takes_and_that_models_want_names(tmp_path):
    told = job()
    assert told.returncode == 2 and told.stderr.startswith("One job on a machine without network")
    assert "DRY=1" in told.stderr and "set -uo" not in told.stderr
    told = job("1", str(tmp_path), str(tmp_path / "out"), "batch=3")
    assert (told.returncode, told.stderr) == (
        2, "settings 'batch=3' have no name; expected name=..., the model's\n",
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_is_told_and_its_log_comes_back(trained_on, tmp_path):
    told = job("5", str(trained_on), str(tmp_path / "out"), "name=tiny steps=3", "name=other bath=3")
    assert told.returncode == 1 and "tiny failed:\nother failed:\n" in told.stderr
    assert (tmp_path / "out/tiny.log").read_text().startswith("train: got --minutes and steps=3; expected one of them")
    assert (tmp_path / "out/other.log").read_text().startswith("train: unknown setting bath; known: name, ")
    assert "Traceback" not in told.stdout and not list((tmp_path / "out").glob("*.tgz"))
