"""Commands that README, manual and the tools' own descriptions give are commands: their options and files exist."""

import argparse
import ast
import importlib
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snrstream.cli.main import main
from snrstream.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "examples/*.md", "tools/*.py", "tools/snrtrain/commands/*.py")
    for path in ROOT.glob(pattern)
)
OURS = re.compile(r"(data|docs|examples|gadgets|pipelines|tools)/.")  # a path within the repository
UNFINISHED = re.compile(r"required|expected (one|at least one) argument")  # as text names a command or an option


class Parsed(BaseException):
    """The command line was understood; nothing is run."""


def code_in(page: Path) -> list[tuple[str, bool]]:
    """Lines of blocks of code, and code within text; whether each is of a block, and so a whole command."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.suffix == ".py":
        text = ast.get_docstring(ast.parse(text)) or ""
    of_blocks = re.compile(r"^ *```(?!python|json|xml).*?^ *```|^ {4,}[^\s`][^`\n]*$", re.MULTILINE | re.DOTALL)
    lines = [line for block in of_blocks.findall(text) for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]
    inline = re.findall(r"`([^`\n]+)`", of_blocks.sub("", text))
    return [(line, True) for line in lines] + [(line, False) for line in inline]


def commands_in(line: str) -> list[list[str]]:
    """Those of ours, or of `make`, in a line: without what is around them, also the brackets of a usage.

    What they do may follow after a `#`, or at a distance.
    """
    found = []
    for part in re.split(r" \| | > | && |; ", re.sub(r"((^| +)#|  ).*$", "", line.strip().removeprefix("$ "))):
        words = re.sub(r"\[([^]]*)\]", r"\1", part).split()
        words = [word for word in words if word != "..." and not re.match(r"[A-Z_]+=", word)]
        starts = [n for n, word in enumerate(words) if Path(word).name in ("snrstream", "python", "make")]
        if starts and (starts[0] == 0 or words[:2] == ["docker", "run"]):
            found.append([word.strip("'\"") for word in words[starts[-1] :]])
    return found


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that has a command parse its arguments, and gives what it has to say against them."""
    real = argparse.ArgumentParser.parse_args

    def only(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)
        raise Parsed

    def run(command: Callable[..., object], arguments: list[str]) -> str:
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only)
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        try:
            command(arguments)
        except Parsed:
            return ""
        except ConfigurationError as error:
            return str(error)
        except SystemExit as end:
            return capsys.readouterr().err if end.code else ""
        raise AssertionError("the command took no arguments")

    return run


def main_of(tool: str) -> Callable[..., object]:
    """What the script `tools/TOOL.py` calls."""
    try:
        return importlib.import_module(f"snrtrain.commands.{tool}").main
    except ModuleNotFoundError:
        return lambda _: runpy.run_path(str(ROOT / f"tools/{tool}.py"))["main"]()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_of_a_page_are_understood(page: Path, parse: Callable[..., str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wrong = []
    for line, whole in code_in(page):
        for program, *arguments in commands_in(line):
            lacking = [word for word in arguments if OURS.match(word) and not (ROOT / word).exists()]
            told = f"{lacking} not there" if lacking else ""
            if program == "make" and arguments and arguments[0] not in targets:
                told = "no such target"
            elif Path(program).name == "snrstream" and arguments:
                told = told or parse(main, arguments)
            elif Path(program).name == "python" and arguments and arguments[0].startswith("tools/"):
                told = told or parse(main_of(Path(arguments[0]).stem), arguments[1:])
            if told and (whole or not UNFINISHED.search(told)):
                wrong.append(f"{line.strip()}: {told.strip()}")
    assert not wrong, "\n".join(wrong)


def test_what_the_container_imports_is_there() -> None:
    """Its build calls functions of ours, and no test builds it."""
    statements = re.findall(r'python -c "(from \S+ import \w+);', (ROOT / "Dockerfile").read_text())
    assert statements
    for statement in statements:
        exec(statement, {})  # noqa: S102 - our own file, in this repository
