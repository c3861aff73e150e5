"""The folder of a model: its manifest, and the file that the manifest vouches for."""

import hashlib
import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..system.resources import folder, is_plain_name
from .manifest_checks import LONGEST_SHOWN, check_values, parse_value
from .manifest_fields import Manifest, Recorded


def load_manifest(model: str) -> tuple[Manifest, Path]:
    """The manifest of a model and the path of its model file, whose hash has been checked.

    Parameters
    ----------
    model
        Name of a folder in `models/`.

    Raises
    ------
    ModelError
        The name leads out of the folder; a key is missing, unknown or of the wrong type; values are not supported or
        contradict each other; or a file is missing, cannot be read or does not match its hash.
    """
    manifest, path = named_manifest(model)
    try:
        read_checked(path, manifest.sha256, model)
    except OSError as exc:
        raise ModelError(f"model {model}: {path.name} cannot be read: {exc}") from None
    return manifest, path


def named_manifest(model: str) -> tuple[Manifest, Path]:
    """As `load_manifest`, but for the hash, which is still to be checked."""
    if not is_plain_name(model):
        raise ModelError(f"model name {model!r} is not a plain name; expected the name of a folder in models/")
    try:
        models = models_folder()
        if (models / model).is_dir() and not (models / model / "manifest.json").is_file():
            raise ModelError(f"model {model}: its folder has no manifest.json")
        if not (models / model).is_dir():
            known = ", ".join(sorted(p.parent.name for p in models.glob("*/manifest.json"))) or f"none in {models}"
            raise ModelError(f"unknown model {model!r}; known: {known}")
        return read_manifest(models / model)
    except (OSError, RecursionError) as exc:
        raise ModelError(f"model {model}: its folder cannot be read: {exc}") from None


def models_folder() -> Path:
    """Where the models' folders lie."""
    return folder("models")


def model_names() -> list[str]:
    """The names of all folders in models/, whatever they hold, without hidden ones. Raises ModelError."""
    try:
        return sorted(p.name for p in models_folder().iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as exc:
        raise ModelError(f"the models folder cannot be read: {exc}") from None


def read_manifest(place: Path) -> tuple[Manifest, Path]:
    """The manifest of a model and the path of its model file, whose hash is still to be checked.

    Parameters
    ----------
    place
        The model's folder, anywhere.

    Raises
    ------
    ModelError
        As `load_manifest`.
    OSError, RecursionError
        manifest.json cannot be read.
    """
    model = place.name
    try:
        raw = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ModelError(f"model {model}: manifest.json cannot be read: {exc}") from None
    try:
        values = _typed(Manifest, raw, "manifest.json")
        if values.get("patch") and values["input"] != "magnitude_slices":
            values.setdefault("n_frames", values["patch"][0])
        manifest = Manifest(**values)
        check_values(manifest)
        if manifest.name != model:
            raise ValueError(f"name in manifest.json is {manifest.name[:100]!r}; expected that of its folder")
    except ValueError as exc:
        raise ModelError(f"model {model}: {exc}") from None
    return manifest, file_beside(place, manifest.file, model)


def file_beside(place: Path, file: str, model: str) -> Path:
    """The path of `file` in the model's folder `place`.

    Raises
    ------
    ModelError
        The file is not there, or its name leads out of the folder.
    """
    if not is_plain_name(file) or not (place / file).is_file():
        raise ModelError(f"model {model}: file {file!r} of its manifest is not in its folder")
    return place / file


def read_checked(path: Path, sha256: str, model: str) -> bytes:
    """The bytes of a file.

    Raises
    ------
    ModelError
        They do not match the manifest's hash.
    OSError
        They cannot be read.
    """
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(f"model {model}: {path.name} has sha256 {found}; its manifest expects {sha256}")
    return data


def file_and_size(path: Path) -> str:
    """The name of a file and its size, for people.

    Raises
    ------
    ModelError
        The file cannot be found.
    """
    try:
        size = path.stat().st_size
    except OSError as exc:
        raise ModelError(f"{path.name} cannot be read: {exc}") from None
    return f"{path.name}, {size / 2**20:.1f} MiB" if size >= 1e5 else f"{path.name}, {size} bytes"


def problem_of(model: str, exc: Exception) -> str:
    """The text of a model's error without the model's name, for where that stands beside it."""
    return "too large for the memory" if isinstance(exc, MemoryError) else str(exc).removeprefix(f"model {model}: ")


def _typed(kind: type, raw: Any, what: str) -> dict[str, Any]:
    """The values of `raw`, each of the type of its field in the dataclass `kind`. Raises ValueError."""
    if not isinstance(raw, dict):
        raise ValueError(f"{what} holds a {type(raw).__name__}; expected an object")
    known = {f.name: f for f in fields(kind)}
    required = {name for name, f in known.items() if f.default is MISSING}
    for problem, keys in (("lacks", required - raw.keys()), ("has unknown", raw.keys() - known.keys())):
        if keys:
            raise ValueError(f"{what} {problem} {', '.join(sorted(keys))[:LONGEST_SHOWN]}")
    values = {}
    for key, value in raw.items():
        if known[key].type == (Recorded | None):
            values[key] = None if value is None else Recorded(**_typed(Recorded, value, f"{key} in {what}"))
        else:
            values[key] = parse_value(value, known[key].type, f"{key} in {what}")
    return values
