"""Checkpoints: all that a run needs to go on as if nothing had happened, and all that an export needs."""

import functools
import os
import pickle
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from snrstream.errors import ConfigurationError
from tools.training.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"weights", "recipe", "step", "steps_before", "seed", "commit", "validation_psnr"}
UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError)


def read(path: Path) -> dict[str, Any]:
    """A checkpoint on the CPU. Raises ConfigurationError where it is missing or no checkpoint of train.py."""
    if not path.is_file():
        raise ConfigurationError(f"checkpoint {path} does not exist; expected one that train.py has written")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE:
        checkpoint = None
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= KEYS:
        raise ConfigurationError(f"{path} is no checkpoint of train.py, or damaged; expected one")
    return checkpoint


def write(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write beside, then rename: a reader never sees half a file."""
    torch.save(checkpoint, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def described(recipe: Recipe, step: int, steps_before: int, psnr: float | None) -> dict[str, Any]:
    """What a checkpoint says of itself, beside its weights."""
    return {
        "recipe": asdict(recipe), "step": step, "steps_before": steps_before, "seed": recipe.seed,
        "commit": commit(), "validation_psnr": psnr,
    }  # fmt: skip


@functools.cache
def commit() -> str:
    """The checked out commit, with `-dirty` where files differ from it, or `unknown` outside a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def load_weights(network: torch.nn.Module, weights: dict[str, torch.Tensor], source: Path) -> None:
    """Raises ConfigurationError where they are those of another network."""
    expected = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    if {name: tuple(weight.shape) for name, weight in weights.items()} != expected:
        raise ConfigurationError(f"checkpoint {source} holds another network than the recipe describes")
    network.load_state_dict(weights)
