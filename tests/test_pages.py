"""README, manual and the like: links lead somewhere, tables are whole, and what stands there as Python is Python."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    text = _without_code((ROOT / page).read_text(encoding="utf-8"))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_each_row_of_a_table_has_as_many_cells_as_its_head(page: Path) -> None:
    text = _without_blocks((ROOT / page).read_text(encoding="utf-8"))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", row.strip())[1:-1] for row in table.splitlines()]
        assert len(rows) > 2, table
        assert all(re.fullmatch(r"\s*:?-+:?\s*", cell) for cell in rows[1]), table
        assert {len(row) for row in rows} == {len(rows[0])}, table


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_table_stands_apart_from_the_text_above_it(page: Path) -> None:
    """Or it is shown as text."""
    lines = _without_blocks((ROOT / page).read_text(encoding="utf-8")).splitlines()
    above = [before for before, line in zip(["", *lines], lines, strict=False) if line.startswith("|")]
    assert all(not before.strip() or before.startswith("|") for before in above)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_blocks_of_python_are_python(page: Path) -> None:
    for block in _python_blocks(page):
        ast.parse(block)


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = _python_blocks(Path("README.md"))
    (tmp_path / "readme.py").write_text(block)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(tmp_path / "readme.py"))
    assert "snraware" in capsys.readouterr().out


def _python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _without_blocks(text: str) -> str:
    """The text without fenced and indented code."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", _without_blocks(text))


def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _without_blocks(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
