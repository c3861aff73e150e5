"""Where each sub-command leaves its table, rows and picture, and how it says that a requirement is missed."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snrstream.errors import ConfigurationError, ModelError

from . import tables

FOLDER = Path("out/evaluate")  # which git ignores: pictures of the volumes' heads are not to be published


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Give the sub-command `name` the options that say where its results go."""
    parser.add_argument("--markdown", type=Path, default=FOLDER / f"{name}.md", help="the table (default %(default)s)")
    parser.add_argument("--csv", type=Path, default=FOLDER / f"{name}.csv", help="its rows (default %(default)s)")
    parser.add_argument("--picture", type=Path, default=FOLDER / f"{name}.png", help="default %(default)s")
    parser.add_argument("--seed", type=not_negative_int, default=7, help="of coils, phase and noise (%(default)s)")


def check(options: argparse.Namespace) -> None:
    """Before the work begins. Raises ConfigurationError where a value is given twice, which would count twice."""
    for name, values in vars(options).items():
        for value in values if isinstance(values, list) else ():
            if values.count(value) > 1:
                raise ConfigurationError(f"got {value} twice in {name}; expected each once")


def make_folders(options: argparse.Namespace) -> None:
    """Before the work begins. Raises ConfigurationError where a file of the outputs cannot be there."""
    places = [path.resolve() for path in (options.markdown, options.csv, options.picture)]
    if len(set(places)) < len(places):
        raise ConfigurationError("two of --markdown, --csv and --picture are one file; expected different ones")
    if options.picture.suffix != ".png":
        raise ConfigurationError(f"--picture is {options.picture}; expected a name that ends in .png")
    for path in (options.markdown, options.csv, options.picture):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise ConfigurationError(f"{path} is a folder; expected a file to write")
            is_new = not path.exists()
            path.open("ab").close()
            if is_new:
                path.unlink()
        except OSError as exc:
            raise ConfigurationError(f"{path} cannot be written: {exc.strerror or exc}") from None


def finish(
    options: argparse.Namespace, text: str, rows: Sequence[Any], missed: Sequence[str], n_judged: int,
    beside: Mapping[str, Sequence[Any]] | None = None,
) -> None:  # fmt: skip
    """Print the text with what was missed, so that a full disk does not cost it, then write it and the rows.

    missed: one line for each requirement that is not met, of `n_judged`. beside: further rows, by what the name of
    their file has more than that of `rows`. Raises ModelError where there are some,
    ConfigurationError where the files cannot be written.
    """
    if missed:
        text += "\n\nFalls short:\n\n" + "\n".join(f"- {line}" for line in missed)
    else:
        text += f"\n\n{counted(n_judged, 'requirement')} met." if n_judged else "\n\nNo requirement was judged."
    print(text)
    try:
        options.markdown.write_text(text + "\n", encoding="utf-8")
        for ending, kind in {"": rows, **(beside or {})}.items():
            tables.write_csv(kind, options.csv.with_stem(options.csv.stem + ending))
    except OSError as error:
        what = f"{options.markdown} and {options.csv} cannot be written: {error.strerror or error}"
        raise ConfigurationError(f"{what}; expected room on their disk") from None
    if missed:
        raise ModelError(f"{len(missed)} of {counted(n_judged, 'requirement')} missed, see {options.markdown}")


def counted(number: int, what: str) -> str:
    """Such as `1 volume`, `2 volumes`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def positive_int(text: str) -> int:
    """For argparse: 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {value}; expected 1 or more")
    return value


def not_negative_int(text: str) -> int:
    """For argparse: 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"is {value}; expected 0 or more")
    return value


def finite(text: str) -> float:
    """For argparse: any number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"is {text}; expected a number")
    return value


def not_negative(text: str) -> float:
    """For argparse: a number of 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"is {text}; expected a number of 0 or more")
    return value


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """For argparse: one of the names, in any case."""
    known = {name.lower(): name for name in names}

    def find(text: str) -> str:
        if text.lower() not in known:
            raise argparse.ArgumentTypeError(f"is {text}; expected one of {', '.join(names)}")
        return known[text.lower()]

    return find


def positive(text: str) -> float:
    """For argparse: a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"is {text}; expected a number above 0")
    return value
