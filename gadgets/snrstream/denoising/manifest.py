"""The manifest beside a model file: all that the runtime believes about it."""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..resources import folder, is_plain_name

LARGEST_DIVISOR = 1024  # images are padded to multiples of it


@dataclass(frozen=True)
class Manifest:
    """One model. Every field is required; `manifest.json` holds exactly these keys.

    file, sha256: the model file in the same folder, and its hash in hex.
    format: `onnx`.
    input: `complex_gmap`, channels real, imaginary, g-map; output channels real, imaginary.
    layout: `B,3,T,H,W`. frames: what T holds; `none` for a model that takes one frame at a time.
    divisor: H and W must be multiples of it. scale: `snr_units`, noise SD = g per part.
    default_alpha: weight of the original in the blend, 0 to 1.
    noise_reduction: measured ratio of noise SD out to in, at alpha 0.
    training: method, data, ranges, commit, seed. licence: an SPDX name.
    """

    name: str
    version: str
    file: str
    format: str
    sha256: str
    input: str
    layout: str
    frames: str
    divisor: int
    scale: str
    default_alpha: float
    noise_reduction: float
    training: dict[str, Any]
    licence: str


SUPPORTED = {
    "format": ("onnx",),
    "input": ("complex_gmap",),
    "layout": ("B,3,T,H,W",),
    "frames": ("none",),
    "scale": ("snr_units",),
}


def load_manifest(model: str) -> tuple[Manifest, Path]:
    """The manifest of `models/<model>` and the path of its model file, whose hash has been checked.

    Raises ModelError where the name leaves the folder, a key is missing, unknown or of the wrong type,
    a value is not supported, or a file is missing, cannot be read or does not match its hash.
    """
    try:
        return _checked(model)
    except (OSError, RecursionError) as exc:
        raise ModelError(f"model {model}: its folder cannot be read: {exc}") from None


def _checked(model: str) -> tuple[Manifest, Path]:
    models = folder("models")
    if not is_plain_name(model):
        raise ModelError(f"model name {model!r} is not a plain name; expected the name of a folder in models/")
    place = models / model
    if not (place / "manifest.json").is_file():
        known = ", ".join(sorted(p.parent.name for p in models.glob("*/manifest.json"))) or "none"
        raise ModelError(f"unknown model {model!r}; known: {known}")
    manifest = _read(place / "manifest.json", model)
    path = place / manifest.file
    if not is_plain_name(manifest.file) or not path.is_file():
        raise ModelError(f"model {model}: file {manifest.file!r} of its manifest is not in its folder")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != manifest.sha256:
        raise ModelError(f"model {model}: {manifest.file} has sha256 {found}; its manifest expects {manifest.sha256}")
    return manifest, path


def _read(path: Path, model: str) -> Manifest:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ModelError(f"model {model}: manifest.json cannot be read: {exc}") from None
    if not isinstance(raw, dict):
        raise ModelError(f"model {model}: manifest.json holds a {type(raw).__name__}; expected an object")
    known = {f.name: f.type for f in fields(Manifest)}
    for problem, keys in (("lacks", known.keys() - raw.keys()), ("has unknown", raw.keys() - known.keys())):
        if keys:
            raise ModelError(f"model {model}: manifest.json {problem} {', '.join(sorted(keys))}")
    kinds: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float)}
    for key, kind in known.items():
        accepted = kinds.get(kind, (dict,))
        if not isinstance(raw[key], accepted) or isinstance(raw[key], bool):
            raise ModelError(f"model {model}: {key} in manifest.json is {raw[key]!r}; expected {accepted[-1].__name__}")
        if kind is str and not raw[key].isprintable():
            raise ModelError(f"model {model}: {key} in manifest.json is {raw[key]!r}; expected printable characters")
    manifest = Manifest(**raw)
    for key, values in SUPPORTED.items():
        if getattr(manifest, key) not in values:
            raise ModelError(f"model {model}: {key} is {getattr(manifest, key)!r}; supported: {', '.join(values)}")
    if not 0 <= manifest.default_alpha <= 1:
        raise ModelError(f"model {model}: default_alpha is {manifest.default_alpha}; expected 0 to 1")
    if not 1 <= manifest.divisor <= LARGEST_DIVISOR:
        raise ModelError(f"model {model}: divisor is {manifest.divisor}; expected 1 to {LARGEST_DIVISOR}")
    return manifest
