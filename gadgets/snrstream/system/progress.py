"""Progress bars: of a scan, acquisitions in and images out, and of a long step. Drawn on a terminal's stderr only."""

from collections.abc import Iterable, Iterator
from typing import Any

import ismrmrd
from tqdm import tqdm


class Progress:
    """A context manager; the counts `n_acquisitions` and `n_images` are kept whether or not it draws."""

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
    """The steps one by one, with a bar of its own on stderr where that is a terminal."""
    return tqdm(steps, desc=what, leave=False, disable=None)
