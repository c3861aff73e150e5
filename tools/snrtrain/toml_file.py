"""TOML files that a user wrote."""

import tomllib
from pathlib import Path
from typing import Any

from snrstream.errors import ConfigurationError


def read(path: Path, what: str, layout: str) -> dict[str, Any]:
    """The tables of a file. what: the file for people, path and all. layout: what is expected of its depth.

    Raises ConfigurationError, which names `what`, where it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{what} cannot be read: {error.strerror}; expected a TOML file") from None
    except RecursionError:
        raise ConfigurationError(f"{what} is nested too deep; expected {layout}") from None
    except ValueError as error:
        raise ConfigurationError(f"{what} is not TOML: {error}") from None
