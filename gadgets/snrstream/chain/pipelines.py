"""Pipelines by name: stream configurations in the folder `pipelines`, or in a file that the user names."""

from pathlib import Path

from ..errors import ConfigurationError, UnknownPipeline
from ..system.resources import folder, is_plain_name
from .chain import Chain, parse_chain
from .registry import BUILT_IN, Registry


def named_chain(name: str, registry: Registry = BUILT_IN) -> Chain:
    """Read a configuration of the folder `pipelines`.

    Parameters
    ----------
    name : str
        Of the file, with or without `.xml`. It cannot lead elsewhere.
    registry : Registry
        The gadgets that it may name.

    Raises
    ------
    ConfigurationError
        Where there is none of this name, and on what `parse_chain` finds.
    """
    pipelines = folder("pipelines")
    if not is_plain_name(name):
        raise ConfigurationError(f"pipeline name {name!r:.200} is not a plain name; expected a file of pipelines/")
    path = pipelines / f"{name.removesuffix('.xml')}.xml"
    if not pipelines.is_dir():
        raise ConfigurationError(f"the pipelines folder {pipelines} does not exist; expected a folder of XML files")
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in pipelines.glob("*.xml"))) or "none"
        raise UnknownPipeline(f"unknown pipeline {name!r:.200}; known: {known}")
    return parse_chain(read_configuration(path), path.name, registry)


def chain_file(name: str) -> Path | None:
    """Find the file that `--pipeline NAME|FILE` means; None where it is a name to look up in `pipelines/`.

    Raises ConfigurationError where it looks like a file and there is none.
    """
    path = Path(name)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise ConfigurationError(f"pipeline file {name[:200]!r} cannot be read: {reason}") from None
    if not is_plain_name(name):
        raise ConfigurationError(f"pipeline file {name[:200]!r} does not exist; expected a name or an XML file")
    return None


def read_configuration(path: Path) -> bytes:
    """Read the text of a stream configuration. Raises ConfigurationError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"pipeline file {path} cannot be read: {exc.strerror or exc}") from None
