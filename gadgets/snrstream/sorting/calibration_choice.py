"""Which calibration an image goes by, where a scan brings several for one slice."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from torch import Tensor

from ..errors import ScanError
from ..items import Bucket, Calibration
from ..system.threads import limit_this_thread
from .calibration_mean import CalibrationMean

log = logging.getLogger(__name__)

MOST_WAITING = 8  # calibrations that are not put together yet

Place = tuple[int, int, int, Tensor | None]  # slice, contrast, set, and the compression of its channels: one object


class Choice(Protocol):
    """Which calibration the images of one scan go by.

    Attributes
    ----------
    is_late : bool
        Whether it is only known once the calibrations of all images have been added.
    """

    is_late: bool = False

    def add(self, bucket: Bucket) -> None:
        """Learn of an image's own calibration, if it has one. Each image is added before it is asked for."""

    def of(self, bucket: Bucket) -> Calibration | None:
        """The calibration that an image is to go by; None where there is none."""

    def pause(self) -> None:
        """Work beside the stream, for no image is on its way."""
        return None

    def close(self) -> None:
        """Let go of what nobody waits for any more."""
        return None


class _Each(Choice):
    """The image's own, or the latest before it."""

    def add(self, bucket: Bucket) -> None:
        pass

    def of(self, bucket: Bucket) -> Calibration | None:
        return bucket.calibration


class _First(Choice):
    """The first complete one of a slice and contrast serves its later images: their plan stays the same.

    Complete is one without a warning. Until it comes, images go by the first that there is.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], Calibration] = {}

    def add(self, bucket: Bucket) -> None:
        own, first = bucket.calibration, self.of(bucket)
        if own is not None and (first is None or (first.warnings and not own.warnings)):
            self._first[_place(bucket)[:2]] = own

    def of(self, bucket: Bucket) -> Calibration | None:
        return self._first.get(_place(bucket)[:2])


class _All(Choice):
    """The mean of all that the scan brings for a slice, contrast and set."""

    is_late = True

    def __init__(self) -> None:
        self._means: dict[Place, CalibrationMean] = {}
        self._used: dict[Place, Calibration] = {}
        self._latest: dict[tuple[Place, int], Calibration] = {}  # of each phase

    def add(self, bucket: Bucket) -> None:
        place, own = _place(bucket), bucket.calibration
        source = place, bucket.head.idx.phase
        if own is None or own is self._latest.get(source):
            return
        self._latest[source] = own
        mean = self._means.get(place)
        if mean is None or (mean.warnings and not own.warnings):  # a dark or incomplete one gives way
            self._means[place] = CalibrationMean(own)
            self._used.pop(place, None)
        else:
            self._join(place, own)

    def of(self, bucket: Bucket) -> Calibration | None:
        place = _place(bucket)
        if place in self._means and place not in self._used:
            self._used[place] = self._means[place].calibration()
        return self._used.get(place)

    def _join(self, place: Place, calibration: Calibration) -> None:
        _added(self._means[place], calibration, place)


class _Running(_All):
    """The mean of all so far of a slice, contrast and set, renewed whenever it holds twice as many as the one in use.

    Then its noise has fallen to 0.7 of what it was. The calibrations are put together and averaged by a thread beside
    the stream, which begins once the image that brought them has left: an image goes by the mean that is there. Where
    that thread falls far behind, some do not join.
    """

    is_late = False

    def __init__(self) -> None:
        super().__init__()
        self._worker = ThreadPoolExecutor(1, "averaging", limit_this_thread)
        self._due: list[tuple[Place, CalibrationMean, Calibration]] = []
        self._joining: list[Future[None]] = []

    def pause(self) -> None:
        for joining in self._joining:
            if joining.done():
                joining.result()  # or what went wrong
        self._joining = [joining for joining in self._joining if not joining.done()]
        for due in self._due[: MOST_WAITING - len(self._joining)]:
            self._joining.append(self._worker.submit(self._renew, *due))
        self._due = []

    def close(self) -> None:
        self._worker.shutdown(cancel_futures=True)

    def _join(self, place: Place, calibration: Calibration) -> None:
        self.pause()  # with those of the images before, where the source does not pause
        self._due.append((place, self._means[place], calibration))

    def _renew(self, place: Place, mean: CalibrationMean, calibration: Calibration) -> None:
        used = self._used.get(place)
        _added(mean, calibration, place)
        if used is not None and mean is self._means[place] and mean.n >= 2 * used.n_averaged:
            self._used[place] = mean.calibration()


CHOICES: dict[str, Callable[[], Choice]] = {"first": _First, "running": _Running, "each": _Each, "all": _All}


def _place(bucket: Bucket) -> Place:
    idx = bucket.head.idx
    return idx.slice, idx.contrast, idx.set, bucket.compression


def _added(mean: CalibrationMean, calibration: Calibration, place: Place) -> None:
    try:
        mean.add(calibration)
    except ScanError as exc:
        log.warning("calibration lines of slice %d do not join the others: %s", place[0], exc)
