"""Progress bars: of a scan, acquisitions in and images out, and of a long step. Drawn on a terminal's stderr only."""

from collections.abc import Iterable, Iterator
from typing import Any

import ismrmrd
from tqdm import tqdm


class Progress:
    """A scan's progress, as a context manager.

    Parameters
    ----------
    description : str
        What stands before the bar.
    total : int or None
        How many acquisitions are expected, where that is known.

    Attributes
    ----------
    n_acquisitions, n_images : int
        How many have gone in and come out; counted whether or not a bar is drawn.
    """

    def __init__(self, description: str, total: int | None = None) -> None:
        self._bar = tqdm(total=total, desc=description, unit=" acquisitions", disable=None)
        self.n_acquisitions = 0
        self.n_images = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.close()

    def counting(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items of a scan, whose acquisitions are counted as they are taken."""
        for item in items:
            if isinstance(item, ismrmrd.Acquisition):
                self.acquisition()
            yield item

    def acquisition(self) -> None:
        """One more acquisition went in."""
        self.n_acquisitions += 1
        self._bar.update()

    def image(self) -> None:
        """One more image came out."""
        self.n_images += 1
        self._bar.set_postfix(images=self.n_images)


def progress_bar(steps: Iterable[int], what: str) -> Iterable[int]:
    """Draw a bar of its own for a long step, on stderr where that is a terminal.

    Parameters
    ----------
    steps : iterable of int
        What is gone through.
    what : str
        What stands before the bar.

    Returns
    -------
    Iterable of int
        The steps one by one.
    """
    return tqdm(steps, desc=what, leave=False, disable=None)
