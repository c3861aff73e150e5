"""Which volumes are measured where nobody names any."""

import argparse
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snrstream.errors import ConfigurationError
from snrtrain.evaluation import selection


def chosen(folder: Path, *arguments: str, own: tuple[str, ...] | None = None) -> list[str]:
    parser = argparse.ArgumentParser()
    selection.add_options(parser, own)
    return selection.chosen(parser.parse_args(["--volumes", str(folder), *arguments]))[1]


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, shape in (("a", (9, 9, 9)), ("b", (9, 9, 9)), ("c", (9, 9, 9)), ("heart", (9, 9, 9, 9))):
        nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)), tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_volumes_that_sources_toml_keeps_for_test_come_in_its_order(folder):
    assert chosen(folder) == ["a", "b", "c"], "all of a folder that says nothing, but for series"
    tables = [f'[{name}]\nsplit = "{split}"\n' for name, split in (("c", "test"), ("b", "train"), ("a", "test"))]
    (folder / "sources.toml").write_text("".join([*tables, '[heart]\nsplit = "test"\n[gone]\nsplit = "test"\n']))
    assert chosen(folder) == ["c", "a"]
    assert chosen(folder, "--names", "b", "a") == ["b", "a"]
    assert chosen(folder, own=("b", "a", "z")) == ["b", "a"] and chosen(folder, own=("z",)) == ["a", "b", "c"]


def test_a_folder_that_keeps_none_for_test_gives_all(folder):
    (folder / "sources.toml").write_text('[a]\nsplit = "train"\n')
    assert chosen(folder) == ["a", "b", "c"]


def test_a_folder_of_series_alone_and_a_mistake_are_told(folder):
    (folder / "sources.toml").write_text("[a")
    with pytest.raises(ConfigurationError, match=r"sources\.toml is not TOML"):
        chosen(folder)
    (folder / "sources.toml").unlink()
    for name in "abc":
        (folder / f"{name}.nii.gz").unlink()
    with pytest.raises(ConfigurationError, match="holds series of images alone; expected volumes"):
        chosen(folder)
