"""The models that this process has loaded, each once for all scans."""

import threading
from pathlib import Path

from ..errors import ModelTimeout
from .backend_choice import Choice, open_model
from .manifest import load_manifest
from .manifest_fields import Manifest
from .model import Model
from .runs import TIMEOUT_S

Key = tuple[str, str]  # a model's name and the backend that was asked for

_loaded: dict[Key, Model] = {}
_loading: dict[Key, threading.Lock] = {}


def load_model(name: str, timeout_s: float = TIMEOUT_S, backend: Choice = "auto") -> Model:
    """A model, loaded once and shared.

    Its manifest and its file's hash are read at every call: a model whose folder has changed is loaded anew, and one
    that could not be loaded is tried again.

    Parameters
    ----------
    name
        Of a folder in `models/`.
    timeout_s
        For the loading, in seconds.
    backend
        See `open_model`.

    Raises
    ------
    ModelTimeout
        Loading takes longer, here or in another thread that began it.
    ModelError
        As `load_manifest` and `open_model`.
    """
    key = name, backend
    manifest, path = load_manifest(name)
    model = _at_hand(key, manifest, path)
    if model is not None:
        return model
    lock = _loading.setdefault(key, threading.Lock())
    if not lock.acquire(timeout=timeout_s):
        raise ModelTimeout(f"model {name}: another scan has been loading it for {timeout_s:g} s (timeout_s)")
    try:
        model = _at_hand(key, manifest, path)
        if model is None:
            model = _loaded[key] = open_model(manifest, path, timeout_s, backend)
        return model
    finally:
        lock.release()


def _at_hand(key: Key, manifest: Manifest, path: Path) -> Model | None:
    """The loaded model, unless its folder has changed."""
    model = _loaded.get(key)
    return model if model is not None and (model.manifest, model.path) == (manifest, path) else None
