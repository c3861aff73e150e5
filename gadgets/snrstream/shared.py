"""Results that images of one slice share, as long as they come from the same source object."""

from collections.abc import Callable
from typing import Generic, TypeVar

import ismrmrd

Source = TypeVar("Source")
Result = TypeVar("Result")


class SharedBySlice(Generic[Source, Result]):
    """The latest result of each slice, contrast and set; those of one slice share results of the same source."""

    def __init__(self) -> None:
        self._slices: dict[int, dict[tuple[int, int], tuple[Source, Result]]] = {}

    def get(
        self,
        head: ismrmrd.AcquisitionHeader,
        source: Source,
        make: Callable[[], Result],
        fits: Callable[[Result], bool] = lambda result: True,
    ) -> Result:
        """The result for `source`, made where the slice has none from this very object that `fits`."""
        known = self._slices.setdefault(head.idx.slice, {})
        found = next((result for other, result in known.values() if other is source and fits(result)), None)
        result = make() if found is None else found
        known[head.idx.contrast, head.idx.set] = source, result
        return result
