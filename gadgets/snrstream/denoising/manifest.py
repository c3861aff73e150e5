"""The folder of a model: its manifest, and the file that the manifest vouches for."""

import functools
import hashlib
import json
import logging
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..system.resources import folders, is_plain_name
from .manifest_checks import axes_of, check_values
from .manifest_fields import Manifest, Recorded
from .manifest_values import LONGEST_SHOWN, parse_value

log = logging.getLogger(__name__)


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
    places = model_places()
    if model not in places:
        known = [name for name, place in places.items() if (place / "manifest.json").is_file()]
        raise ModelError(f"unknown model {model!r}; known: {', '.join(known) or f'none in {models_folders()}'}")
    place = places[model]
    try:
        if not (place / "manifest.json").is_file():
            raise ModelError(f"model {model}: its folder has no manifest.json")
        for models in folders("models"):
            _tell_of_other(place, models / model)
        return read_manifest(place)
    except (OSError, RecursionError) as exc:
        raise ModelError(f"model {model}: its folder cannot be read: {exc}") from None


def models_folders() -> str:
    """Where the models' folders lie, in the order in which a name is looked up."""
    return ", ".join(map(str, folders("models")))


def model_places() -> dict[str, Path]:
    """All folders of models by name, whatever they hold, without hidden ones: of two of one name the first, the user's.

    Raises ModelError for a folder of models that cannot be read.
    """
    places: dict[str, Path] = {}
    for models in folders("models"):
        try:
            for place in models.iterdir():
                if place.is_dir() and not place.name.startswith("."):
                    places.setdefault(place.name, place)
        except OSError as exc:
            raise ModelError(f"the models folder {models} cannot be read: {exc.strerror or exc}") from None
    return dict(sorted(places.items()))


@functools.cache
def _tell_of_other(place: Path, other: Path) -> None:
    """Log, once, that there is another model of the name, unless it is a copy."""
    file, others = place / "manifest.json", other / "manifest.json"
    if place != other and others.is_file() and others.read_bytes() != file.read_bytes():
        log.info("model %s: that of %s is used, not that of %s", place.name, place.parent, other.parent)


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
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if known[key].type == (Recorded | None):
            values[key] = None if value is None else Recorded(**_typed(Recorded, value, f"{key} in {what}"))
        elif key == "frames":
            named = [value] if isinstance(value, str) else value
            values[key] = axes_of(parse_value(named, known[key].type, f"{key} in {what}"))
        else:
            values[key] = parse_value(value, known[key].type, f"{key} in {what}")
    return values
