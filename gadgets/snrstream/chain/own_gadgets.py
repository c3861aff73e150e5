"""Gadgets of the user's: modules of installed entry points and of a folder, checked before a scan can ask for them."""

import hashlib
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigurationError
from ..gadgets.gadget import Gadget, Scan
from ..system.resources import is_plain_name
from .guarded import Guarded, reason_of
from .parameters import unreadable

ENTRY_POINTS = "snrstream.gadgets"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnGadget:
    """A gadget of the user's, which keeps the protocol of a gadget's module.

    Attributes
    ----------
    name : str
        By which a configuration names it.
    after : str
        The gadget of snrstream that it follows: its `AFTER`.
    origin : str
        The file or the entry point, for people.
    module : module
        As it was imported.
    """

    name: str
    after: str
    origin: str
    module: ModuleType

    @property
    def Parameters(self) -> type[Any]:
        """The class of its parameters."""
        found: type[Any] = self.module.Parameters
        return found

    def start(self, scan: Scan, parameters: Any) -> Gadget:
        """The gadget for a scan; whatever goes wrong in it is a ScanError that names it."""
        return Guarded(f"own gadget {self.name} of {self.origin}", lambda: self.module.start(scan, parameters))


def of_entry_points(known: Sequence[str]) -> list[OwnGadget]:
    """Own gadgets that installed distributions bring. Raises ConfigurationError for one that cannot be used.

    known: the names of snrstream's gadgets.
    """
    try:
        points = sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    except Exception as exc:  # noqa: BLE001 - all distributions are read, and each may be broken in a way of its own
        raise ConfigurationError(
            f"entry points of the installed packages cannot be read: {reason_of(exc)}; expected well-formed metadata"
        ) from None
    return [_checked(point.name, f"entry point {point.value}", point.load, known) for point in points]


def of_folder(folder: Path, known: Sequence[str]) -> list[OwnGadget]:
    """Own gadgets of a folder: its Python files, but for hidden ones, and those whose name begins with an underscore.

    known: the names of snrstream's gadgets. Raises ConfigurationError for a folder that cannot be read, and a gadget
    that cannot be used.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".py" and path.name[0] not in "._")
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise ConfigurationError(f"folder of gadgets {str(folder)[:200]} cannot be read: {reason}") from None
    return [_checked(path.stem, str(path), _importer(path), known) for path in paths]


def _importer(path: Path) -> Callable[[], ModuleType]:
    def load() -> ModuleType:
        # A name for each file, not for each gadget: folders may hold different ones of one name.
        number = hashlib.sha256(bytes(path.resolve())).hexdigest()[:8]
        spec = importlib.util.spec_from_file_location(f"snrstream.own_gadgets.{path.stem}_{number}", path)
        assert spec is not None and spec.loader is not None  # noqa: S101 - so it is for a name that ends with .py
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look for the types of their fields
        spec.loader.exec_module(module)
        return module

    return load


def _checked(name: str, origin: str, load: Callable[[], Any], known: Sequence[str]) -> OwnGadget:
    what = f"own gadget {name[:200]} of {origin}"
    if not is_plain_name(name):
        raise ConfigurationError(f"{what} has no plain name; expected letters, digits, '_', '.' and '-'")
    try:
        module = load()
        parameters, start, after = (getattr(module, part, None) for part in ("Parameters", "start", "AFTER"))
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as exc:  # SystemExit, too: the module may do anything
        log.debug("%s cannot be imported:", what, exc_info=True)
        raise ConfigurationError(f"{what} cannot be imported: {reason_of(exc)}") from None
    if not (isinstance(parameters, type) and is_dataclass(parameters) and _is_frozen(parameters)):
        raise ConfigurationError(f"{what} has no frozen dataclass Parameters; expected one, with its properties")
    if not callable(start):
        raise ConfigurationError(f"{what} has no function start; expected start(scan, parameters)")
    if not isinstance(after, str) or after not in known:
        raise ConfigurationError(f"{what} has AFTER = {after!r:.100}; expected one of: {', '.join(known)}")
    try:
        reason = unreadable(parameters)
        if not reason:
            parameters()
    except Exception as exc:  # noqa: BLE001 - the module may do anything
        reason = reason_of(exc)
    if reason:
        raise ConfigurationError(f"{what} has Parameters that cannot be used: {reason}")
    return OwnGadget(name, after, origin, module)


def _is_frozen(parameters: Any) -> bool:
    return bool(parameters.__dataclass_params__.frozen)
