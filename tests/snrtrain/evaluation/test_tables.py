"""Tables, pictures, and the verdict at their end."""

import argparse
import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snrstream.errors import ConfigurationError, ModelError
from snrtrain.evaluation import outputs, pictures, tables


@dataclass(frozen=True)
class Row:
    scene: str = tables.column("the scene")
    method: str = tables.column("method")
    psnr: float = tables.column("PSNR", ".1f")


ROWS = [Row("a", "noisy", 20.04), Row("a", "ours", 25.0), Row("b", "noisy", 21.0), Row("b", "ours", math.nan)]


def test_markdown_has_a_line_for_each_row() -> None:
    assert tables.markdown(ROWS[:2]).splitlines() == [
        "| the scene | method | PSNR |", "| --- | --- | --- |", "| a | noisy | 20.0 |", "| a | ours | 25.0 |"
    ]  # fmt: skip


def test_a_pivot_has_a_column_for_each_value_and_leaves_out_what_was_not_measured() -> None:
    lines = tables.pivot(ROWS, ("scene",), "method", "psnr").splitlines()
    assert lines == ["| the scene | noisy | ours |", "| --- | --- | --- |", "| a | 20.0 | 25.0 |", "| b | 21.0 |  |"]
    assert tables.pivot([ROWS[0], ROWS[3]], ("scene",), "method", "psnr").startswith("| the scene | noisy |\n")


def test_csv_holds_every_value_in_full(tmp_path) -> None:
    tables.write_csv(ROWS, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["psnr"] for row in found] == ["20.04", "25.0", "21.0", "nan"]
    assert tables.read_csv(Row, tmp_path / "rows.csv")[:3] == ROWS[:3]


@pytest.mark.parametrize("text", ["", "scene,psnr\n", "scene,method,psnr\na,b\n", "scene,method,psnr\na,b,c\n"])
def test_a_csv_of_other_rows_is_told(tmp_path, text: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=r"rows.csv is no table of these rows; expected a CSV file"):
        tables.read_csv(Row, tmp_path / "rows.csv")


@dataclass(frozen=True)
class LaterRow(Row):
    more: float = tables.column("more", default=7.0)


def test_a_csv_of_an_earlier_version_lacks_columns_that_have_a_default(tmp_path) -> None:
    tables.write_csv(ROWS[:2], tmp_path / "rows.csv")
    assert tables.read_csv(LaterRow, tmp_path / "rows.csv") == [
        LaterRow("a", "noisy", 20.04),
        LaterRow("a", "ours", 25.0),
    ]
    tables.write_csv([LaterRow("a", "noisy", 20.04, 1.0)], tmp_path / "rows.csv")
    assert tables.read_csv(LaterRow, tmp_path / "rows.csv") == [LaterRow("a", "noisy", 20.04, 1.0)]
    (tmp_path / "rows.csv").write_text("scene,method,psnr,other\na,b,1,2\n")
    with pytest.raises(ConfigurationError, match="is no table of these rows"):
        tables.read_csv(LaterRow, tmp_path / "rows.csv")


def test_pictures_are_written(tmp_path) -> None:
    image = np.linspace(0, 1, 64).reshape(8, 8)
    pictures.montage({"a": {"one": image, "two": image}, "b": {"one": image}}, tmp_path / "montage.png")
    pictures.curves([0, 0.5, 1], {"a": [1, 3, 2]}, "alpha", "PSNR", tmp_path / "curves.png")
    for name in ("montage", "curves"):
        assert np.asarray(Image.open(tmp_path / f"{name}.png")).std() > 0


def test_few_bright_spots_do_not_darken_a_picture(tmp_path) -> None:
    image = np.zeros((40, 40))
    image[10:30, 10:30] = 1.0
    means = []
    for spot in (1.0, 20.0):
        image[20, 20:24] = spot  # 1 % of the object
        pictures.montage({"a": {"one": image}}, tmp_path / "montage.png")
        means.append(np.asarray(Image.open(tmp_path / "montage.png").convert("L"), float).mean())
    assert means[1] == pytest.approx(means[0], rel=0.02)


def options(tmp_path) -> argparse.Namespace:
    return argparse.Namespace(markdown=tmp_path / "a/t.md", csv=tmp_path / "a/t.csv", picture=tmp_path / "a/t.png")


def test_what_is_missed_is_listed_at_the_end_and_is_an_error(tmp_path, capsys) -> None:
    given = options(tmp_path)
    outputs.make_folders(given)
    with pytest.raises(ModelError, match="1 of 3 requirements missed"):
        outputs.finish(given, "table", ROWS, ["scene a is too dark"], 3)
    for text in (capsys.readouterr().out, given.markdown.read_text()):
        assert text.endswith("Falls short:\n\n- scene a is too dark\n")
    assert given.csv.is_file()
    outputs.finish(given, "table", ROWS, [], 3)
    assert given.markdown.read_text().endswith("3 requirements met.\n")
    outputs.finish(given, "table", ROWS, [], 1)
    assert given.markdown.read_text().endswith("1 requirement met.\n")
    outputs.finish(given, "table", ROWS, [], 0)
    assert given.markdown.read_text().endswith("No requirement was judged.\n")


def test_a_full_disk_costs_the_files_but_not_what_is_printed(tmp_path, capsys) -> None:
    given = options(tmp_path)
    given.markdown = Path("/dev/full")
    with pytest.raises(ConfigurationError, match="/dev/full and .* cannot be written: No space left on device"):
        outputs.finish(given, "table", ROWS, [], 1)
    assert capsys.readouterr().out.startswith("table\n\n1 requirement met.")
    given.markdown, given.csv = tmp_path / "t.md", tmp_path / "t.csv"
    (tmp_path / "t_alpha.csv").symlink_to("/dev/full")
    with pytest.raises(ConfigurationError, match="cannot be written: No space left on device"):
        outputs.finish(given, "table", ROWS, [], 1, {"_alpha": 2000 * ROWS})
    assert capsys.readouterr().out.startswith("table\n\n1 requirement met.") and given.csv.is_file()
    (tmp_path / "full.png").symlink_to("/dev/full")
    pictures.curves([0, 1], {"a": [1, 3]}, "alpha", "PSNR", tmp_path / "full.png")
    assert capsys.readouterr().err.endswith("the picture is missing\n")


def test_outputs_that_cannot_be_written_are_told_before_the_work(tmp_path) -> None:
    given = options(tmp_path)
    (tmp_path / "a").write_text("a file")
    given.csv = tmp_path / "a/../a/t.png"
    with pytest.raises(ConfigurationError, match="are one file; expected different ones"):
        outputs.make_folders(given)
    given.csv = tmp_path / "a/t.csv"
    with pytest.raises(ConfigurationError, match=r"t\.md cannot be written"):
        outputs.make_folders(given)
    given.markdown = tmp_path
    with pytest.raises(ConfigurationError, match="is a folder; expected a file"):
        outputs.make_folders(given)
    given.picture = tmp_path / "picture.txt"
    with pytest.raises(ConfigurationError, match=r"expected a name that ends in \.png"):
        outputs.make_folders(given)


def test_the_check_of_outputs_leaves_what_was_there_and_nothing_new(tmp_path) -> None:
    given = options(tmp_path)
    given.csv.parent.mkdir()
    given.csv.write_text("before")
    outputs.make_folders(given)
    assert [path.read_text() for path in given.csv.parent.iterdir()] == ["before"]


@pytest.mark.parametrize(("option", "value", "told"), [
    ("--seed", "-1", "is -1; expected 0 or more"), ("--added", "nan", "is nan; expected a number of 0 or more"),
    ("--peers", "bm3d", "is bm3d; expected one of BM4D, NLM"),
])  # fmt: skip
def test_values_out_of_range_are_told(option: str, value: str, told: str, capsys) -> None:
    parser = argparse.ArgumentParser()
    outputs.add_options(parser, "test")
    parser.add_argument("--added", type=outputs.not_negative)
    parser.add_argument("--peers", type=outputs.one_of(("BM4D", "NLM")))
    assert parser.parse_args(["--peers", "nlm", "--added", "0", "--seed", "0"]).peers == "NLM"
    with pytest.raises(SystemExit):
        parser.parse_args([option, value])
    assert told in capsys.readouterr().err
