"""Gadgets of the user's: modules of installed entry points and of a folder, checked before a scan can ask for them."""

import hashlib
import importlib.metadata
import importlib.util
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigurationError, ScanError, SnrstreamError
from ..gadgets.gadget import Gadget, Scan
from ..items import Item
from ..system.resources import is_plain_name
from .parameters import unreadable

ENTRY_POINTS = "snrstream.gadgets"
LONGEST_REASON = 300

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
        return _Guarded(self, scan, parameters)


class _Guarded(Gadget):
    def __init__(self, own: OwnGadget, scan: Scan, parameters: Any) -> None:
        self._own = own
        (self._gadget,) = self._items(lambda: (own.module.start(scan, parameters),))
        if not all(callable(getattr(self._gadget, name, None)) for name in ("take", "pause", "end", "failed", "close")):
            raise ConfigurationError(
                f"own gadget {own.name} of {own.origin}: start answers with {type(self._gadget).__name__}; "
                "expected a gadget, as of each() or a class of Gadget"
            )

    def take(self, item: Item) -> Iterator[Item]:
        return self._items(lambda: self._gadget.take(item))

    def pause(self) -> Iterator[Item]:
        return self._items(self._gadget.pause)

    def end(self) -> Iterator[Item]:
        return self._items(self._gadget.end)

    def failed(self) -> Iterator[Item]:
        return self._items(self._gadget.failed)

    def close(self) -> None:
        for _ in self._items(self._closed):
            pass

    def _closed(self) -> Iterable[Item]:
        self._gadget.close()
        return ()

    def _items(self, work: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        try:
            for item in work():
                if item is None:
                    raise TypeError("it answers with None; expected the item that takes the place of the one it took")
                yield item
        except (SnrstreamError, MemoryError):
            raise
        except Exception as exc:
            log.debug("own gadget %s failed:", self._own.name, exc_info=True)
            raise ScanError(f"own gadget {self._own.name} of {self._own.origin} failed: {_reason(exc)}") from None


def of_entry_points(known: Sequence[str]) -> list[OwnGadget]:
    """Own gadgets that installed distributions bring. Raises ConfigurationError for one that cannot be used.

    known: the names of snrstream's gadgets.
    """
    return [
        _checked(point.name, f"entry point {point.value}", point.load, known)
        for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    ]


def of_folder(folder: Path, known: Sequence[str]) -> list[OwnGadget]:
    """Own gadgets of a folder: its Python files, but for those whose name begins with an underscore.

    known: the names of snrstream's gadgets. Raises ConfigurationError for a folder that cannot be read, and a gadget
    that cannot be used.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".py" and not path.name.startswith("_"))
    except OSError as exc:
        raise ConfigurationError(f"folder of gadgets {folder} cannot be read: {exc.strerror or exc}") from None
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
    except (Exception, SystemExit) as exc:
        log.debug("%s cannot be imported:", what, exc_info=True)
        raise ConfigurationError(f"{what} cannot be imported: {_reason(exc)}") from None
    parameters: Any = getattr(module, "Parameters", None)
    if not (isinstance(parameters, type) and is_dataclass(parameters) and _is_frozen(parameters)):
        raise ConfigurationError(f"{what} has no frozen dataclass Parameters; expected one, with its properties")
    if not callable(getattr(module, "start", None)):
        raise ConfigurationError(f"{what} has no function start; expected start(scan, parameters)")
    after = getattr(module, "AFTER", None)
    if not isinstance(after, str) or after not in known:
        raise ConfigurationError(f"{what} has AFTER = {after!r:.100}; expected one of: {', '.join(known)}")
    try:
        reason = unreadable(parameters)
        if not reason:
            parameters()
    except Exception as exc:  # noqa: BLE001 - the module may do anything
        reason = _reason(exc)
    if reason:
        raise ConfigurationError(f"{what} has Parameters that cannot be used: {reason}")
    return OwnGadget(name, after, origin, module)


def _is_frozen(parameters: Any) -> bool:
    return bool(parameters.__dataclass_params__.frozen)


def _reason(exc: BaseException) -> str:
    """What went wrong, and where, in a line."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" (line {frames[-1].lineno} of {Path(frames[-1].filename).name})" if frames else ""
    return f"{type(exc).__name__}: {' '.join(str(exc).split())[:LONGEST_REASON]}{where}"
