"""Results that images of one slice share, as long as all that they depend on is the same."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import ismrmrd

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class SharedBySlice(Generic[Key, Result]):
    """The latest result of each slice, contrast and set, for all images of the slice that have the same key."""

    def __init__(self) -> None:
        self._slices: dict[int, dict[tuple[int, int], tuple[Key, Result]]] = {}

    def get(self, head: ismrmrd.AcquisitionHeader, key: Key, make: Callable[[], Result]) -> Result:
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

        Raises
        ------
        TypeError
            Where the key is None: images that share nothing must not ask.
        """
        if key is None:
            raise TypeError("key is None; expected all that the result depends on")
        known = self._slices.setdefault(head.idx.slice, {})
        result = next((result for other, result in known.values() if other == key), None)
        result = make() if result is None else result
        known[head.idx.contrast, head.idx.set] = key, result
        return result
