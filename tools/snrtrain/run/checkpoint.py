"""Checkpoints: all that a run needs to go on as if nothing had happened, and all that an export needs."""

import contextlib
import functools
import os
import subprocess
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from snrstream.errors import ConfigurationError
from snrtrain.recipe import Recipe

HERE = Path(__file__).resolve().parent
KEYS = {"weights", "recipe", "step", "steps_before", "seed", "commit", "validation_psnr"}
TYPES = {"weights": dict, "recipe": dict, "step": int, "steps_before": int}


def read(path: Path) -> dict[str, Any]:
    """A checkpoint on the CPU. Raises ConfigurationError where it is missing or no checkpoint of train.py."""
    if not path.is_file():
        raise ConfigurationError(f"checkpoint {path} does not exist; expected one that train.py has written")
    try:
        with zipfile.ZipFile(path) as parts:
            sums_hold = parts.testzip() is None  # torch does not look
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True) if sums_hold else None
    except Exception:  # noqa: BLE001 - what a damaged file raises is anybody's guess
        checkpoint = None
    if (
        not isinstance(checkpoint, dict)
        or not checkpoint.keys() >= KEYS
        or not all(isinstance(checkpoint[key], kind) for key, kind in TYPES.items())
    ):
        raise ConfigurationError(f"{path} is no checkpoint of train.py, or damaged; expected one")
    return checkpoint


def write(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write beside, then rename: a reader never sees half a file, and a failure leaves the older one.

    Raises ConfigurationError where it cannot be written.
    """
    part = path.with_suffix(".part")
    try:
        torch.save(checkpoint, part)
        os.replace(part, path)
    except (OSError, RuntimeError):  # torch has the latter for a full disk
        with contextlib.suppress(OSError):
            part.unlink()
        raise ConfigurationError(
            f"checkpoint {path} cannot be written; expected room on its disk, and leave to write there"
        ) from None


def described(recipe: Recipe, step: int, steps_before: int, psnr: float | None) -> dict[str, Any]:
    """What a checkpoint says of itself, beside its weights."""
    return {
        "recipe": asdict(recipe), "step": step, "steps_before": steps_before, "seed": recipe.seed,
        "commit": commit(), "validation_psnr": psnr,
    }  # fmt: skip


@functools.cache
def commit() -> str:
    """The checked out commit, with `-dirty` where files differ from it, or `unknown` outside a repository."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def load_weights(
    network: torch.nn.Module, weights: dict[str, torch.Tensor], source: Path, shallower: bool = False
) -> None:
    """Raises ConfigurationError where they are those of another network.

    shallower: blocks may have had fewer cells, and convolutions where the network attends. What is missing stays
    untrained, which is the identity: so a network grows without losing what it has learned.
    """
    ours = network.state_dict()
    if shallower:  # an attending cell has the convolutions of one that does not, behind its attention
        weights = {_within_mixer(name, ours): weight for name, weight in weights.items()}
    kept = [name for name in ours if name in weights or not (shallower and ".cells." in name)]
    expected = {name: tuple(ours[name].shape) for name in kept}
    found = {name: tuple(getattr(weight, "shape", ())) for name, weight in weights.items()}
    if found != expected:
        cells = "no more cells" if shallower else "as many cells"
        raise ConfigurationError(
            f"checkpoint {source} holds another network than the recipe describes; "
            f"expected the same network and widths, and {cells}"
        )
    network.load_state_dict({**ours, **weights})


def _within_mixer(name: str, ours: dict[str, torch.Tensor]) -> str:
    """`...cells.0.first.weight` as `...cells.0.mixer.first.weight`, where the network has only that."""
    cell, _, parameter = name.rpartition(".cells.")
    number, _, rest = parameter.partition(".")
    inner = f"{cell}.cells.{number}.mixer.{rest}"
    return inner if name not in ours and inner in ours else name
