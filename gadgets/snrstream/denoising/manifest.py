"""The manifest beside a model file: all that the runtime believes about it."""

import functools
import hashlib
import json
import logging
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..system.resources import folders, is_plain_name
from .manifest_checks import LONGEST_SHOWN, check, parse

Size = tuple[int, int, int]
Range = tuple[float, float]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """What the model once answered.

    file: beside the model, see `test_vector`; sha256: its hash in hex; tolerance: largest difference of a later answer,
    in SNR units, above 0.
    """

    file: str
    sha256: str
    tolerance: float


@dataclass(frozen=True)
class Manifest:
    """One model. `manifest.json` holds these keys; those with a default may be left out.

    name, version: printable text. licence: an SPDX name. training: method, data, commit, seed and the like.
    file, sha256: the model file in the same folder, and its hash in hex. format: `onnx` or `torchscript`.
    input: `complex_gmap`, channels real, imaginary, g-map in, real, imaginary out; `magnitude_gmap`, magnitude and
    g-map in, magnitude out; `magnitude_slices`, `n_frames` neighbours' magnitudes in, the centre one's out.
    layout: of the input, `B,3,T,H,W`, `B,2,T,H,W` or `B,T,H,W` in the order of the above; S may stand for T where
    frames are slices, D where they are depth.
    frames: what T holds; `none` where each frame is denoised by itself, `time`, `slice` or `depth` (partitions).
    n_frames: how many the network takes at once, default 0, any number, or patch's T where there is a patch.
    `magnitude_slices` needs an odd number of 3 or more.
    divisor: H and W must be multiples of it.
    patch, overlap: `[T, H, W]` of a network that takes one size only, and by how much neighbours overlap; both or none.
    receptive_field: `[T, H, W]`, how many pixels of the input have a say in one of the output; 0, the default, where
    it is not known. Where it fits the overlap, tiles leave no trace.
    scale: `snr_units`, noise SD = g per part; `normalised_magnitude`, for `magnitude_slices` alone, the largest
    magnitude of the stack made 1.
    default_alpha: weight of the original in the blend, 0 to 1.
    noise_reduction: measured ratio of noise SD out to in, at alpha 0.
    snr_range, gfactor_range: `[lowest, highest]` in training, above 0; `safety` holds inputs against them.
    test_vector: a `Recorded`, or null where there is none.
    tensorrt: whether ONNX Runtime may use TensorRT where it has it, which takes minutes at first; default false.
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
    n_frames: int = 0
    patch: Size | None = None
    overlap: Size | None = None
    receptive_field: Size = (0, 0, 0)
    snr_range: Range | None = None
    gfactor_range: Range | None = None
    test_vector: Recorded | None = None
    tensorrt: bool = False


def load_manifest(model: str) -> tuple[Manifest, Path]:
    """The manifest of `models/<model>` and the path of its model file, whose hash has been checked.

    Raises ModelError where the name leaves the folder, a key is missing, unknown or of the wrong type,
    values are not supported or contradict each other, or a file is missing, cannot be read or does not match its hash.
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
    """The manifest in the folder `place` and the path of its model file, whose hash is still to be checked.

    Raises ModelError as `load_manifest`, OSError or RecursionError where manifest.json cannot be read.
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
        check(manifest)
        if manifest.name != model:
            raise ValueError(f"name in manifest.json is {manifest.name[:100]!r}; expected that of its folder")
    except ValueError as exc:
        raise ModelError(f"model {model}: {exc}") from None
    return manifest, file_beside(place, manifest.file, model)


def file_beside(place: Path, file: str, model: str) -> Path:
    """The path of `file` in the folder `place`. Raises ModelError where it is not there, or would lead out of it."""
    if not is_plain_name(file) or not (place / file).is_file():
        raise ModelError(f"model {model}: file {file!r} of its manifest is not in its folder")
    return place / file


def read_checked(path: Path, sha256: str, model: str) -> bytes:
    """The bytes of a file. Raises ModelError where they do not match the manifest's hash, OSError."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(f"model {model}: {path.name} has sha256 {found}; its manifest expects {sha256}")
    return data


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
            values[key] = parse(value, known[key].type, f"{key} in {what}")
    return values
