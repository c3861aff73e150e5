"""A small archive and a finished run on it, for all tests of training."""

from pathlib import Path

import pytest

from . import small_archive
from .training_runs import SMOKE, fit


@pytest.fixture(scope="session")
def trained_on(tmp_path_factory) -> Path:
    return small_archive.make(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def run(tmp_path_factory, trained_on) -> Path:
    """The folder of a finished run, with its model."""
    for package in ("onnxruntime", "onnxscript", "tensorboard"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("runs") / "run"
    table = tmp_path_factory.mktemp("tables") / "table.md"
    table.write_text("| PSNR |\n|---|\n| 31.5 |\n")
    fit(
        trained_on, folder, "--recipe", str(SMOKE), "--output", str(folder / "tiny"), "name=tiny",
        "--model-version", "1.2.3", "--evaluation", str(table),
    )  # fmt: skip
    return folder
