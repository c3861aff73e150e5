"""A test vector: an image, its g-map, and what the model answered where it was made."""

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import numpy as np

from ..errors import ModelError
from .manifest import file_beside, read_checked, read_manifest
from .manifest_fields import Recorded
from .model import Model
from .runs import TIMEOUT_S

FILE = "test_vector.npz"
EDGE = 64  # of the image, along e1 and ro
ARRAYS = {"image": np.complex64, "gmap": np.float32, "denoised": np.complex64}


def record_test_vector(place: Path, tolerance: float = 1e-2) -> Recorded:
    """Write `test_vector.npz` into a model's folder and its entry into manifest.json.

    Parameters
    ----------
    place
        The model's folder.
    tolerance
        In SNR units; 0.01 is a hundredth of the noise SD, ten times what other processors' sums differ.

    Raises
    ------
    ModelError
        The model does not run.
    OSError
        A file cannot be written.
    """
    manifest, path = read_manifest(place)
    image, gmap = _scene(manifest.n_frames or (4 if manifest.frames else 1))
    denoised = Model(manifest, path).denoise(image, gmap)
    data = io.BytesIO()
    np.savez_compressed(data, image=image, gmap=gmap, denoised=denoised)
    (place / FILE).write_bytes(data.getvalue())
    recorded = Recorded(FILE, hashlib.sha256(data.getvalue()).hexdigest(), tolerance)
    raw = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    raw["test_vector"] = dataclasses.asdict(recorded)
    (place / "manifest.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    return recorded


def read_test_vector(model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was recorded of a model.

    Returns
    -------
    image
        `(frame, e1, ro)` complex64, in SNR units.
    gmap
        `(frame, e1, ro)` float32.
    denoised
        `(frame, e1, ro)` complex64, the model's answer.

    Raises
    ------
    ModelError
        The manifest has no test vector, or the file is missing, does not match its hash, or holds something else.
    """
    name, recorded = model.manifest.name, model.manifest.test_vector
    if recorded is None:
        raise ModelError(f"model {name}: its manifest has no test_vector; expected one to compare with")
    try:
        place = file_beside(model.path.parent, recorded.file, name)
        data = np.load(io.BytesIO(read_checked(place, recorded.sha256, name)), allow_pickle=False)
        arrays = {key: data[key] for key in ARRAYS}
    except ModelError:
        raise
    except Exception as exc:  # noqa: BLE001 - numpy, zipfile and the decompressors have their own for hostile bytes
        raise ModelError(f"model {name}: {recorded.file} cannot be read as a test vector: {exc}") from None
    if len({a.shape for a in arrays.values()}) != 1 or any(arrays[k].dtype != kind for k, kind in ARRAYS.items()):
        found = ", ".join(f"{key} {a.dtype} {a.shape}" for key, a in arrays.items())
        raise ModelError(f"model {name}: {recorded.file} holds {found}; expected complex64, float32, complex64 alike")
    return arrays["image"], arrays["gmap"], arrays["denoised"]


def difference(model: Model, timeout_s: float = TIMEOUT_S) -> np.ndarray:
    """Of today's answer to the recorded one, `(frame, e1, ro)` float32, in SNR units.

    Raises
    ------
    ModelError, ModelTimeout
        As `read_test_vector` and `Model.denoise`.
    """
    image, gmap, expected = read_test_vector(model)
    with np.errstate(all="ignore"):  # the file may hold anything
        found: np.ndarray = np.abs(model.denoise(image, gmap, timeout_s) - expected)
    return found


def deviation(model: Model, timeout_s: float = TIMEOUT_S) -> float:
    """The largest `difference`, to be held against the manifest's tolerance. Raises as that does."""
    return float(difference(model, timeout_s).max())


def _scene(n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc of SNR 20 with a stripe pattern, the same in all frames, under a smooth phase and noise of SD g."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(-1, 1, EDGE), np.linspace(-1, 1, EDGE), indexing="ij")
    magnitude = (x**2 + y**2 < 0.6) * (20 + 5 * np.sign(np.sin(12 * x)))
    shape = (n_frames, EDGE, EDGE)
    gmap = np.broadcast_to(1 + 0.3 * np.exp(-4 * (x**2 + y**2)), shape)
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    image = magnitude * np.exp(1j * (x + 0.5 * y)) + gmap * noise
    return image.astype(np.complex64), gmap.astype(np.float32)
