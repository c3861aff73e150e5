"""A training run's settings: one flat file, overridable as `key=value`."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from snrstream.errors import ConfigurationError


@dataclass(frozen=True)
class Recipe:
    """All settings of `tools/train.py`; the recipe file explains each."""

    name: str
    seed: int
    archive_seed: int
    n_scans: int
    n_coil_sets: int
    n_validation_scans: int
    width_half: int
    width_quarter: int
    width_eighth: int
    blocks_half: int
    blocks_quarter: int
    blocks_eighth: int
    sigma_max: float
    p_white: float
    amplitude_min: float
    amplitude_max: float
    p_chain: float
    p_uniform_g: float
    patch: int
    batch: int
    steps: int
    learning_rate: float
    warmup: float
    weight_decay: float
    clip: float
    ema: float
    charbonnier_epsilon: float
    perpendicular_weight: float
    gradient_weight: float
    validate_every: int


def load(path: Path, overrides: list[str]) -> Recipe:
    """The recipe in a TOML file with `key=value` settings applied over it.

    Raises ConfigurationError for a missing or malformed file, an unknown or missing key, and a value
    of the wrong type.
    """
    if not path.is_file():
        raise ConfigurationError(f"recipe {path} does not exist; expected a TOML file")
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"recipe {path} is not TOML: {error}") from error
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigurationError(f"setting {override!r} is not of the form key=value")
        settings[key] = text
    known = {field.name: field.type for field in fields(Recipe)}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ConfigurationError(f"unknown setting {', '.join(unknown)}; known: {', '.join(known)}")
    missing = [name for name in known if name not in settings]
    if missing:
        raise ConfigurationError(f"recipe {path} lacks {', '.join(missing)}")
    return Recipe(**{name: _typed(name, settings[name], kind) for name, kind in known.items()})


def _typed(name: str, value: object, kind: type) -> object:
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"setting {name} is {value!r}; expected {kind.__name__}") from None
