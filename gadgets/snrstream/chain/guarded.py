"""An own gadget at work: whatever goes wrong in it is an error that names it, and what it hands on is an item."""

import logging
import traceback
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigurationError, ScanError, SnrstreamError
from ..gadgets.gadget import Gadget
from ..items import Item, ReconImage

ITEMS = typing.get_args(Item)
METHODS = ("take", "pause", "end", "failed", "close")
LONGEST_REASON = 300
PACKAGE = str(Path(__file__).resolve().parents[1]) + "/"  # whose lines are not the user's fault

log = logging.getLogger(__name__)

_END = object()


class Guarded(Gadget):
    """Around a gadget of the user's, which may raise anything and answer with anything.

    Parameters
    ----------
    what : str
        The gadget and where it comes from, for errors.
    start : callable
        Gives the gadget.

    Raises
    ------
    ScanError
        Where `start` fails; so do the methods.
    ConfigurationError
        Where `start` gives something else than a gadget.
    """

    def __init__(self, what: str, start: Callable[[], Any]) -> None:
        self._what = what
        self._gadget: Any = self._guarded(start)
        lacks = self._guarded(
            lambda: [name for name in METHODS if not callable(getattr(self._gadget, name, None))],
        )
        if lacks:
            raise ConfigurationError(
                f"{what}: start answers with {type(self._gadget).__name__}; "
                "expected a gadget, as of each() or a class of Gadget"
            )

    def take(self, item: Item) -> Iterator[Item]:
        """What follows from an item."""
        return self._items(lambda: self._gadget.take(item))

    def pause(self) -> Iterator[Item]:
        """What it lets go of."""
        return self._items(self._gadget.pause)

    def end(self) -> Iterator[Item]:
        """What is left."""
        return self._items(self._gadget.end)

    def failed(self) -> Iterator[Item]:
        """What is finished."""
        return self._items(self._gadget.failed)

    def close(self) -> None:
        """Stop its work."""
        self._guarded(self._gadget.close)

    def _items(self, work: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        items = self._guarded(lambda: iter(work()))
        while (item := self._guarded(lambda: next(items, _END))) is not _END:
            wrong = _wrong(item)
            if wrong:
                raise ScanError(f"{self._what} failed: {wrong}")
            yield item

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (SnrstreamError, MemoryError, KeyboardInterrupt):
            raise
        except BaseException as exc:  # SystemExit, too: it would end a scan, or the process, as if all were well
            log.debug("%s failed:", self._what, exc_info=True)
            raise ScanError(f"{self._what} failed: {reason_of(exc)}") from None


def reason_of(exc: BaseException) -> str:
    """What went wrong, and where, in a line."""
    places = traceback.extract_tb(exc.__traceback__)
    frames = [place for place in places if not place.filename.startswith(("<", PACKAGE))]
    where = f" (line {frames[-1].lineno} of {Path(frames[-1].filename).name})" if frames else ""
    return f"{type(exc).__name__}: {' '.join(str(exc).split())[:LONGEST_REASON]}{where}"


def _wrong(item: Any) -> str:
    """What keeps an answer from being an item that the next gadget can work with; empty where nothing does."""
    if not isinstance(item, ITEMS):
        known = "None" if item is None else type(item).__name__
        return f"it answers with {known}; expected the item that takes the place of the one it took"
    return _wrong_image(item) if isinstance(item, ReconImage) else ""


def _wrong_image(item: ReconImage) -> str:
    image, gmap = item.image, item.gmap
    if not isinstance(image, np.ndarray) or image.ndim != 3 or not np.iscomplexobj(image) or not image.size:
        return f"its image is {_shown(image)}; expected complex64 (e2, e1, ro)"
    if not isinstance(gmap, np.ndarray) or gmap.shape != image.shape or gmap.dtype.kind != "f":
        return f"its gmap is {_shown(gmap)}; expected float32 {image.shape} as the image's"
    for name, values in (("image", image), ("gmap", gmap)):
        n_wrong = values.size - np.count_nonzero(np.isfinite(values))
        if n_wrong:
            return f"its {name} has {n_wrong} of {values.size} values that are not finite; expected none"
    if not isinstance(item.warnings, tuple) or not all(isinstance(text, str) for text in item.warnings):
        return f"its warnings are {item.warnings!r:.100}; expected a tuple of texts"
    if not isinstance(item.meta, dict) or not all(_is_attribute(*entry) for entry in item.meta.items()):
        return f"its meta is {item.meta!r:.100}; expected texts, or lists of them, by names"
    return ""


def _is_attribute(name: object, value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return all(isinstance(text, str) for text in (name, *texts))


def _shown(values: object) -> str:
    return f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
