"""The calibrations of a scan's images, and the images that wait for one."""

import dataclasses
from collections import deque
from collections.abc import Iterator

from ..errors import ScanError
from ..items import Bucket, Calibration
from .keys import Key

MOST_WAITING_BYTES = 12 << 30


class Calibrations:
    """Knows the latest calibration of each slice, contrast, phase and set, and of each slice of an encoding."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], Calibration] = {}
        self._waiting: dict[tuple[int, ...], list[tuple[Key, Bucket]]] = {}  # by encoding and slice
        self._ready: deque[Bucket] = deque()  # of these, those that have a calibration now
        self._n_bytes = 0  # of both

    def of(self, key: Key) -> Calibration | None:
        """What an image is to go by; None where its slice has no calibration yet."""
        return self._known.get(key[:-1]) or self._known.get(key[:2])

    def learn(self, key: Key, calibration: Calibration) -> None:
        """Keep a calibration that came with the lines of an image; the images that waited for it are ready."""
        self._known[key[:-1]] = self._known[key[:2]] = calibration
        for other, bucket in self._waiting.pop(key[:2], ()):
            self._ready.append(dataclasses.replace(bucket, calibration=self.of(other)))

    def ready(self) -> Iterator[Bucket]:
        """The images that wait no longer, in order.

        Whoever takes one uses its calibration at once, which gives the calibration's lines away. So none leaves before
        the image that brought these lines has taken what it needs of them.
        """
        while self._ready:
            bucket = self._ready.popleft()
            self._n_bytes -= bucket.kspace.nbytes
            yield bucket

    def wait(self, key: Key, bucket: Bucket) -> None:
        """Hold an image back until its slice has a calibration.

        Raises
        ------
        ScanError
            Where more of them wait than memory can hold.
        """
        self._waiting.setdefault(key[:2], []).append((key, bucket))
        self._n_bytes += bucket.kspace.nbytes
        if self._n_bytes > MOST_WAITING_BYTES:
            raise ScanError(
                f"images without calibration lines hold more than {MOST_WAITING_BYTES >> 30} GiB of k-space while they "
                f"wait for some; slice {key[1]} has none; expected less"
            )

    def is_wanted(self, key: Key) -> bool:
        """Whether images of the slice wait for a calibration."""
        return key[:2] in self._waiting

    @property
    def wanted(self) -> list[tuple[Key, Bucket]]:
        """The first image that waits, of each encoding and slice."""
        return [waiting[0] for waiting in self._waiting.values()]

    def given_up(self) -> Iterator[Bucket]:
        """The images that still wait, as they are."""
        for waiting in self._waiting.values():
            yield from (bucket for _, bucket in waiting)
        self._waiting.clear()
