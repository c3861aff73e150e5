"""Where each sub-command leaves its table, rows and picture, and how it says that a requirement is missed."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snrstream.errors import ConfigurationError, ModelError

from . import tables

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "out" / "evaluate"  # which git ignores: pictures of the volumes' heads are not to be published


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--markdown", type=Path, default=FOLDER / f"{name}.md", help="the table (default %(default)s)")
    parser.add_argument("--csv", type=Path, default=FOLDER / f"{name}.csv", help="its rows (default %(default)s)")
    parser.add_argument("--picture", type=Path, default=FOLDER / f"{name}.png", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=7)


def make_folders(options: argparse.Namespace) -> None:
    """Before the work begins. Raises ConfigurationError where a file of the outputs cannot be there."""
    if options.picture.suffix != ".png":
        raise ConfigurationError(f"--picture is {options.picture}; expected a name that ends in .png")
    for path in (options.markdown, options.csv, options.picture):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as exc:
            raise ConfigurationError(f"{path} cannot be written: {exc.strerror or exc}") from None
        if path.is_dir():
            raise ConfigurationError(f"{path} is a folder; expected a file to write")


def finish(options: argparse.Namespace, text: str, rows: Sequence[Any], missed: Sequence[str], n_judged: int) -> None:
    """Print the text with what was missed and write it and the rows.

    missed: one line for each requirement that is not met, of `n_judged`. Raises ModelError where there are some.
    """
    if missed:
        text += "\n\nFalls short:\n\n" + "\n".join(f"- {line}" for line in missed)
    else:
        text += f"\n\n{n_judged} requirements met." if n_judged else "\n\nNo requirement was judged."
    options.markdown.write_text(text + "\n", encoding="utf-8")
    tables.write_csv(rows, options.csv)
    print(text)
    if missed:
        raise ModelError(f"{len(missed)} of {n_judged} requirements are missed, see {options.markdown}")


def positive_int(text: str) -> int:
    """For argparse: 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {value}; expected 1 or more")
    return value


def positive(text: str) -> float:
    """For argparse: a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"is {text}; expected a number above 0")
    return value
