"""Results that images of one slice share, as long as all that they depend on is the same."""

import logging
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import ismrmrd

from ..errors import ScanError
from ..system.threads import limit_this_thread

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Place = tuple[int, int, int]  # slice, contrast, set


class SharedBySlice(Generic[Key, Result]):
    """The latest result of each slice, contrast and set, for all images of the slice that have the same key."""

    def __init__(self) -> None:
        self._slices: dict[int, dict[tuple[int, int], tuple[Key, Result]]] = {}
        self._due: dict[Place, tuple[Key, Callable[[], Result]]] = {}
        self._coming: dict[Place, tuple[Key, Future[Result]]] = {}
        self._failed: dict[Place, Key] = {}  # not to be tried again
        self._worker: ThreadPoolExecutor | None = None

    def get(
        self,
        head: ismrmrd.AcquisitionHeader,
        key: Key,
        make: Callable[[], Result],
        serves: Callable[[Key], bool] | None = None,
    ) -> Result:
        """Find the result that the slice of an image has for a key, or make it.

        Parameters
        ----------
        head : AcquisitionHeader
            Of the image; its counters say which slice, contrast and set it is of.
        key : hashable
            All that the result depends on, in one value. The objects in it that are shared, such as a `Calibration`,
            are equal to themselves alone.
        make : callable
            Makes the result, where the slice has none for this key.
        serves : callable, optional
            Whether the result of an earlier key serves until this one's is made. That happens beside the stream, from
            the next `pause` on, or the next image's question. The earlier result goes on serving where it fails.

        Raises
        ------
        TypeError
            Where the key is None: images that share nothing must not ask.
        """
        if key is None:
            raise TypeError("key is None; expected all that the result depends on")
        known = self._slices.setdefault(head.idx.slice, {})
        place = head.idx.slice, head.idx.contrast, head.idx.set
        if place in self._coming and self._coming[place][1].done():
            self._arrived(place, known)
        result = next((result for other, result in known.values() if other == key), None)
        latest = known.get(place[1:])
        if result is None and serves is not None and latest is not None and serves(latest[0]):
            self.pause()
            if place not in self._coming and self._failed.get(place) != key:
                self._due[place] = key, make
            return latest[1]
        result = make() if result is None else result
        known[place[1:]] = key, result
        return result

    def pause(self) -> None:
        """Begin to make what is due, for no image is on its way."""
        while self._due:
            place, (key, make) = self._due.popitem()
            self._worker = self._worker or ThreadPoolExecutor(1, "renewing", limit_this_thread)
            self._coming[place] = key, self._worker.submit(make)

    def close(self) -> None:
        """Let go of what nobody waits for any more."""
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)

    def _arrived(self, place: Place, known: dict[tuple[int, int], tuple[Key, Result]]) -> None:
        key, made = self._coming.pop(place)
        try:
            known[place[1:]] = key, made.result()
        except ScanError as exc:
            self._failed[place] = key
            log.warning("slice %d goes on with its earlier calibration: %s", place[0], exc)
