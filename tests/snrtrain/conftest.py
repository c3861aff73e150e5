"""A small archive and a finished run on it, for all tests of training."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from . import small_archive
from .training_runs import SMOKE, fit


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, for all processes of the tests: the first one makes it, others wait."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    finished = root / f"{name}.finished"
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            make(root / name)
            finished.touch()
    return root / name


@pytest.fixture(scope="session")
def trained_on(tmp_path_factory) -> Path:
    return made_once(tmp_path_factory, "archive", small_archive.make)


@pytest.fixture(scope="session")
def run(tmp_path_factory, trained_on) -> Path:
    """The folder of a finished run, with its model."""
    for package in ("onnxruntime", "onnxscript", "tensorboard"):
        pytest.importorskip(package)
    table = tmp_path_factory.mktemp("tables") / "table.md"
    table.write_text("| PSNR |\n|---|\n| 31.5 |\n")

    def train(folder: Path) -> None:
        fit(
            trained_on, folder, "--recipe", str(SMOKE), "--output", str(folder / "tiny"), "name=tiny",
            "--model-version", "1.2.3", "--evaluation", str(table),
        )  # fmt: skip

    return made_once(tmp_path_factory, "run", train)
