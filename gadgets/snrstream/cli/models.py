"""`snrstream models`: what the folders of models hold, in lines for the terminal.

Each function gives the lines of stdout and raises ModelError at the end where something is wrong, for the status.
"""

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from ..denoising.manifest import (
    file_and_size,
    load_manifest,
    model_places,
    models_folders,
    named_manifest,
    problem_of,
    read_checked,
)
from ..denoising.manifest_fields import Manifest, Recorded, frames_text
from ..errors import ModelError, printable

COLUMNS = ("name", "version", "format", "input", "frames", "alpha", "licence", "folder")
LONGEST_CELL = 40  # characters, so that one manifest cannot tear the table apart
LONGEST_LINE = 1000
LABEL = 17  # width of the labels' column

log = logging.getLogger(__name__)


def models(options: argparse.Namespace) -> Iterator[str]:
    """The action that the command line names."""
    match options.action:
        case "list":
            return list_models()
        case "show":
            return show_model(options.name)
        case "record":
            return record_model(options.name)
        case _:
            return check_models(options.names)


def list_models() -> Iterator[str]:
    """A table with one row for each model, with the folder where it lies; of a broken one, what is wrong with it."""
    rows: list[tuple[str, ...]] = [COLUMNS]
    broken: dict[str, str] = {}
    for name, place in model_places().items():
        try:
            m, _ = load_manifest(name)
            cells = (name, m.version, m.format, m.input, frames_text(m.frames), f"{m.default_alpha:g}", m.licence)
            rows.append((*(_cell(text) for text in cells), _line(str(place.parent))))
        except (ModelError, MemoryError) as exc:
            rows.append((_cell(name),))
            broken[_cell(name)] = problem_of(name, exc)
    widths = [max(len(row[n]) for row in rows if len(row) > n) for n in range(len(COLUMNS))]
    for row in rows:
        if len(row) > 1:
            yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        else:
            yield _line(f"{row[0].ljust(widths[0])}  BROKEN: {broken[row[0]]}")
    if len(rows) == 1:
        yield _line(f"(no models in {models_folders()})")
    if broken:
        raise ModelError(f"{len(broken)} of {len(rows) - 1} models cannot be used: {', '.join(broken)}")


def show_model(name: str) -> Iterator[str]:
    """The manifest's fields, the size of the model file and whether it matches its hash."""
    manifest, path = named_manifest(name)
    wrong = None
    try:
        read_checked(path, manifest.sha256, name)
    except ModelError as exc:
        wrong = exc
    except OSError as exc:
        raise ModelError(f"model {name}: {path.name} cannot be read: {exc}") from None
    yield name
    for field in fields(Manifest):
        value = getattr(manifest, field.name)
        if field.name == "training":
            yield from _training(value)
            continue
        yield _row(field.name, file_and_size(path) if field.name == "file" else _shown(field.name, value))
        if field.name == "sha256":
            yield _row("", "DOES NOT MATCH the file" if wrong else "matches the file")
    yield _row("folder", str(path.parent))
    if wrong:
        raise wrong


def check_models(names: list[str]) -> Iterator[str]:
    """Of each model, or of all, what a run of it shows: see `check_model`."""
    from ..denoising.check import FAILED, check_model

    names = list(dict.fromkeys(names)) or list(model_places())
    failed = []
    for n, name in enumerate(names):
        log.info("model %s (%d of %d)", _cell(name), n + 1, len(names))
        if n:
            yield ""
        yield _line(name)
        labels = []
        for label, text in check_model(name):
            labels.append(label)
            yield _row(label, text)
        if FAILED in labels:
            failed.append(_cell(name))
        else:
            yield _row("passed", "all checks")
    if not names:
        yield _line(f"(no models in {models_folders()})")
    if failed:
        raise ModelError(f"{len(failed)} of {len(names)} models failed the check: {', '.join(failed)}")


def record_model(name: str) -> Iterator[str]:
    """Keep the model's answer to a test image in its folder; the one kept before is replaced."""
    from ..denoising.recorded import record_test_vector
    from ..system.threads import limit_threads

    limit_threads(1)
    manifest, path = load_manifest(name)
    try:
        recorded = record_test_vector(path.parent)
    except OSError as exc:
        raise ModelError(f"model {name}: its answer cannot be written: {exc}") from None
    yield _line(f"{name} {manifest.version}: {recorded.file} written, tolerance {recorded.tolerance:g}")


def _training(values: dict[str, Any]) -> Iterator[str]:
    """One line for each entry, and for each item of a list."""
    yield _row("training", "" if values else "nothing stated")
    for key, value in values.items():
        items = value if isinstance(value, list) and value else [value]
        for n, item in enumerate(items):
            try:
                text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
            except RecursionError:
                text = "(nested too deep to be shown)"
            yield _row("" if n else f"  {key}", text)


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Recorded):
        return f"{value.file}, tolerance {value.tolerance:g}"
    if key.endswith("_range"):
        return "{:g} to {:g}".format(*value)
    if key == "n_frames":
        return str(value or "any number")
    if key == "frames":
        return frames_text(value)
    if key == "past":
        return ", ".join(f"{channels} channels at 1/{divisor}" for channels, divisor in value) or "none"
    if key == "window":
        return str(value or "none")
    if key == "receptive_field" and not any(value):
        return "not known"
    if isinstance(value, tuple):
        return " x ".join(map(str, value)) + " (T, H, W)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(label: str, text: str) -> str:
    return _line(f"  {label.ljust(LABEL)}{text if len(label) < LABEL else ' ' + text}")


def _cell(text: str) -> str:
    text = _line(text)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."


def _line(text: str) -> str:
    """One line without what would steer a terminal: names of folders and texts of others may hold anything."""
    shown = printable(text.rstrip())
    return shown if len(shown) <= LONGEST_LINE else f"{shown[:LONGEST_LINE]} ..."
