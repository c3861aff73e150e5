"""The model under test, run as the scanner runs it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snrstream.denoising.answer import denoise
from snrstream.denoising.manifest import named_manifest, read_manifest
from snrstream.denoising.model import Model
from snrstream.errors import ConfigurationError, ModelError
from snrstream.system.resources import is_plain_name

from .peers import Denoiser

TIMEOUT_S = 3600.0  # a slow model is to be measured, not refused


DEFAULT = "snraware"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give a sub-command the option that names the model."""
    parser.add_argument("--model", default=DEFAULT, help="folder, or name in models/ (default %(default)s)")


def add_several(parser: argparse.ArgumentParser) -> None:
    """Give a sub-command the option that names models: see `open_several`."""
    parser.add_argument(
        "--model", action="append", metavar="NAME",
        help=f"folder, or name in models/ (default {DEFAULT}); again for each further one, such as its ablations",
    )  # fmt: skip


def open_several(places: Sequence[str] | None) -> dict[str, Model]:
    """Models by their names, in order; the default one where none is given. Raises ConfigurationError, ModelError."""
    models = [open_model(place) for place in places or [DEFAULT]]
    named = {model.manifest.name: model for model in models}
    if len(named) < len(models):
        names = ", ".join(model.manifest.name for model in models)
        raise ConfigurationError(f"models are named {names}; expected names that differ")
    return named


def open_model(place: str) -> Model:
    """The model in the folder `place`, or that of a name in `models/`, on the CPU, where its peers run too.

    Raises ModelError where there is none, or it cannot be trusted or loaded.
    """
    folder = Path(place)
    try:
        if is_plain_name(place) and not folder.is_dir():
            manifest, path = named_manifest(place)
        elif (folder / "manifest.json").is_file():
            manifest, path = read_manifest(folder)
        else:
            raise ModelError(f"{folder / 'manifest.json'} does not exist; expected a model's folder, or its name")
    except (OSError, RecursionError) as exc:
        raise ModelError(f"model folder {folder} cannot be read: {exc}") from None
    return Model(manifest, path, TIMEOUT_S, devices=("cpu",))


def denoiser(model: Model, axis: str) -> Denoiser:
    """The network at alpha 0. axis: what the stacks are that it will be given, `slice` or `time`.

    Where the network's frames are others, or none, it sees each image alone, as on the scanner.
    """
    together = axis in stacks_of(model.manifest.frames)

    def denoised(images: Tensor, gmap: Tensor) -> Tensor:
        image, g = images.numpy(), np.ascontiguousarray(gmap.expand(images.shape).numpy())
        stacks = [slice(None)] if together else [slice(n, n + 1) for n in range(len(image))]
        return torch.from_numpy(np.concatenate([denoise(model, image[s], g[s], TIMEOUT_S) for s in stacks]))

    return denoised


def stacks_of(frames: Sequence[str]) -> set[str]:
    """What a network with a manifest's `frames` sees together, `slice` (also the partitions of a volume) or `time`."""
    return {"slice" if name == "depth" else name for name in frames}


def title(model: Model) -> str:
    """One line that names a model in a table."""
    known = model.manifest
    return f"{known.name} {known.version} (sha256 {known.sha256[:12]}), default alpha {known.default_alpha:g}"
