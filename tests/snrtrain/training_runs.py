"""Runs of tools/train.py that tests make."""

from pathlib import Path

import torch

from snrtrain.commands import train

RECIPES = Path(__file__).resolve().parents[2] / "tools/recipes"
SMOKE, SN2N = RECIPES / "smoke.toml", RECIPES / "sn2n_unet25d.toml"
SMALL_SN2N = ["widths=8,8,8", "patch=32", "batch=2", "steps=60", "validate_every=30", "n_validation=3", "ema=0.9"]


def fit(archive: Path, run: Path, *arguments: str) -> None:
    train.main(["--archive", str(archive), "--folder", str(run), "--threads", "1", "--device", "cpu", *arguments])


def same(one: object, other: object) -> bool:
    """Whether two checkpoints hold the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
