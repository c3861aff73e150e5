"""Rows of results, each a dataclass made of `column`s, as Markdown and CSV. NaN: not measured, an empty cell."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from snrstream.errors import ConfigurationError

Row = TypeVar("Row")


def column(title: str, shown: str = "", default: Any = dataclasses.MISSING) -> Any:
    """A field of a row. title: of its column; shown: format of its values. default: in files of before it was there."""
    return dataclasses.field(default=default, metadata={"title": title, "shown": shown})


def markdown(rows: Sequence[Any]) -> str:
    """One line for each row, one column for each field."""
    columns = dataclasses.fields(rows[0])
    cells = [[_cell(getattr(row, c.name), c.metadata["shown"]) for c in columns] for row in rows]
    return _table([c.metadata["title"] for c in columns], cells)


def pivot(rows: Sequence[Any], index: Sequence[str], across: str, value: str) -> str:
    """One line for each combination of the fields `index`, one column for each value of `across`, in order of rows."""
    shown = {f.name: f.metadata for f in dataclasses.fields(rows[0])}
    places: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        place = tuple(_cell(getattr(row, name), shown[name]["shown"]) for name in index)
        places.setdefault(place, {})[getattr(row, across)] = _cell(getattr(row, value), shown[value]["shown"])
    columns = [c for c in dict.fromkeys(getattr(row, across) for row in rows) if any(p.get(c) for p in places.values())]
    cells = [[*place, *(found.get(c, "") for c in columns)] for place, found in places.items()]
    return _table([*(shown[name]["title"] for name in index), *columns], cells)


def write_csv(rows: Sequence[Any], path: Path) -> None:
    """Every field in full, under its name."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([f.name for f in dataclasses.fields(rows[0])])
        writer.writerows([str(x) for x in dataclasses.astuple(row)] for row in rows)


def read_csv(kind: type[Row], path: Path) -> list[Row]:
    """What `write_csv` wrote, of a dataclass whose fields are texts and numbers; the last may lack that have a default.

    Raises ConfigurationError where it is no table of such rows.
    """
    fields: dict[str, Callable[[str], Any]] = get_type_hints(kind)
    n_needed = sum(field.default is dataclasses.MISSING for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            names, *lines = csv.reader(file)
            if len(names) < n_needed or names != list(fields)[: len(names)]:
                raise ValueError(names)
            there = [fields[name] for name in names]
            return [kind(*(of(x) for of, x in zip(there, line, strict=True))) for line in lines]
    except (OSError, ValueError):
        raise ConfigurationError(f"{path} is no table of these rows; expected a CSV file of an earlier run") from None


def _table(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [list(titles), ["---"] * len(titles), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any, shown: str) -> str:
    return "" if value != value else format(value, shown)
