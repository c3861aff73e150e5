"""Which images a network sees together: its frames, collected from the stream in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Collection

from ..items import ReconImage
from .group import MOST_PLACES, Frame, Group, Key, key_of
from .scan_kind import Axis
from .stack import Mode, Stack

log = logging.getLogger(__name__)

ANY_STREAMED = 8  # frames of a stack in time, for a model that takes any number
ALL = 1 << 17  # more than there are slices
_WORDS = {"none": "images", "time": "images in time", "slice": "slices", "depth": "partitions"}


class Neighbours:
    """Images in, stacks out.

    Streaming lets an image of a series in time leave at once, with those before it, and one of a stack of slices as
    soon as its neighbours are there. Which slices there are is known once all that the header names have come, or from
    an earlier repetition. A repetition ends with the first image of a later one, or when one of its slices comes again.

    Images of a series that has fewer frames than the model takes have a warning. Those at the ends of a longer one have
    none: the model was trained with stacks that go on as their mirror image there.

    Parameters
    ----------
    axis
        As `axis_of`: `none` and `depth` take each image by itself, with all its partitions; `time` and `slice` take a
        `Group`, but partitions of a volume are its slices.
    n_frames
        Of a stack, 0 for any number.
    mode
        `streaming`, or `series`, which lets all leave at the end.
    n_slices
        As the header says, None where it does not.
    most_bytes
        Of images and g-maps: beyond it, a series goes on in streaming mode, and streaming with fewer neighbours, both
        with a warning.
    n_times
        How many images of a slice the header lets expect.
    """

    def __init__(
        self, axis: Axis, n_frames: int, mode: Mode, n_slices: int | None, most_bytes: int, n_times: int = 1
    ) -> None:
        self.axis, self._mode, self._n_slices, self._most_bytes = axis, mode, n_slices, most_bytes
        self._n_frames, self._n_times = n_frames, n_times
        self._by_slice = axis == "slice"
        if self._by_slice:
            n = n_frames or ALL
            self._n_before, self._n_after = n // 2, (n - 1) // 2
        else:
            self._n_before, self._n_after = (n_frames or ANY_STREAMED) - 1, 0
        self._groups: dict[Key, list[Group]] = {}
        self._held: dict[Frame, Group] = {}  # in order of arrival
        self._n_bytes = 0
        self._orders: dict[tuple[Key, int], tuple[int, ...]] = {}  # the slices around one, in earlier repetitions
        self._warnings: tuple[str, ...] = ()
        self._few_logged = False

    def add(self, frame: Frame) -> list[Stack]:
        """The stacks that the image completes."""
        image = frame.image
        if self.axis not in ("time", "slice") or (self._by_slice and len(image.image) > 1):
            n = 1 if self.axis == "none" else len(image.image)
            return [Stack((frame,), (0,), self.axis, warnings=self._too_few(n))]
        if self._n_slices is not None and frame.slice >= self._n_slices:
            self._n_slices = None  # the header does not know them all
        streaming = self._mode == "streaming"
        stacks = self._end_repetitions(frame) if streaming and self._by_slice else []
        group = self._group(image)
        group.insert(frame)
        self._held[frame] = group
        self._n_bytes += frame.n_bytes
        if streaming:
            stacks += self._streamed(group)
        return stacks + self._shrunk()

    @property
    def mode(self) -> Mode:
        """`streaming` from where a series exceeds the bound."""
        return self._mode

    @property
    def warnings(self) -> tuple[str, ...]:
        """What all images tell from here on."""
        return self._warnings

    def end(self) -> list[Stack]:
        """The stacks of all that still waits."""
        stacks = [stack for group in self._all() for stack in self._leave(group, group.waiting)]
        self._groups, self._held, self._n_bytes = {}, {}, 0
        return stacks

    def _streamed(self, group: Group) -> list[Stack]:
        """What leaves because of the newest image of a group."""
        if not self._by_slice:
            stacks = self._leave(group, group.waiting)
            self._trim(group)
            return stacks
        groups = list(self._groups[group.key])
        if self._n_slices is not None and sum(len(other.frames) for other in groups) >= self._n_slices:
            return [stack for other in groups for stack in self._end(other)]
        return self._leave(group, [frame for frame in group.waiting if self._has_neighbours(frame, group)])

    def _has_neighbours(self, frame: Frame, group: Group) -> bool:
        order = self._orders.get((group.key[:-1], frame.slice))
        if order is None:
            return False
        place = order.index(frame.slice)
        return group.slices.issuperset(order[max(0, place - self._n_before) : place + self._n_after + 1])

    def _end_repetitions(self, frame: Frame) -> list[Stack]:
        """The stacks of the repetitions that are over, as a new image tells."""
        repetition = frame.image.head.idx.repetition
        over = [
            group
            for group in self._all()
            if group.repetition < repetition or (group.fits(frame.image) and frame.slice in group.slices)
        ]
        return [stack for group in over for stack in self._end(group)]

    def _end(self, group: Group) -> list[Stack]:
        """A repetition is over: what waits leaves, and the order of its slices is kept."""
        stacks = self._leave(group, group.waiting)
        order = tuple(frame.slice for frame in group.frames)
        for slice_ in order:
            place = group.key[:-1], slice_
            self._orders[place] = max(order, self._orders.get(place, ()), key=len)
        for frame in list(group.frames):
            self._forget(frame)
        return stacks

    def _leave(self, group: Group, leaving: Collection[Frame]) -> list[Stack]:
        """The stack of these, with the neighbours that belong to it; of a series, with the whole group."""
        places = [place for place, frame in enumerate(group.frames) if frame in leaving]
        if not places:
            return []
        first, end = max(0, places[0] - self._n_before), places[-1] + self._n_after + 1
        if self._mode == "series":
            first, end = 0, len(group.frames)
        group.waiting = group.waiting.difference(leaving)
        frames = tuple(group.frames[first:end])
        warnings = self._warnings + self._too_few(self._n_of_series(group, leaving))
        return [Stack(frames, tuple(place - first for place in places), self.axis, self._mode, warnings)]

    def _n_of_series(self, group: Group, leaving: Collection[Frame]) -> int:
        """Frames that these have, or will have, among their neighbours."""
        n = len(group.frames)
        if self._mode == "series":
            return n
        if self._by_slice:
            return max(n, *(len(self._orders.get((group.key[:-1], frame.slice), ())) for frame in leaving))
        return max(n, self._n_times)

    def _too_few(self, n: int) -> tuple[str, ...]:
        """The warning for a series of `n` frames, if the model takes more; the first is logged."""
        if n >= self._n_frames:
            return ()
        what = _WORDS[self.axis]
        text = (
            f"the model is made for {self._n_frames} {what}, and there {'is' if n == 1 else 'are'} {n}: edges may be "
            "taken for noise"
        )
        if not self._few_logged:
            self._few_logged = True
            log.warning(text)
        return (text,)

    def _shrunk(self) -> list[Stack]:
        """Hold no more than the bound allows: what leaves for it."""
        stacks: list[Stack] = []
        bound = f"more than {self._most_bytes / 2**20:.4g} MiB of images would be held"
        if self._n_bytes > self._most_bytes and self._mode == "series":
            stacks += [stack for group in self._all() for stack in self._leave(group, group.waiting)]
            self._mode = "streaming"
            self._warn(f"{bound} until the series ends: denoised with the frames at hand from here on")
            latest = max(group.repetition for group in self._all())
            for group in self._all():
                if not self._by_slice:
                    self._trim(group)
                elif group.repetition < latest:
                    self._end(group)
        while self._n_bytes > self._most_bytes:
            self._warn(f"{bound} as neighbours: denoised with fewer from here on")
            oldest, group = next(iter(self._held.items()))
            if oldest in group.waiting:
                stacks += self._leave(group, group.waiting)
            self._forget(oldest)
        return stacks

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings += (text,)
            log.warning(text)

    def _trim(self, group: Group) -> None:
        """Remember of a group in time what its next stack needs."""
        for frame in group.frames[: max(0, len(group.frames) - self._n_before)]:
            self._forget(frame)

    def _forget(self, frame: Frame) -> None:
        group = self._held.pop(frame)
        group.frames.remove(frame)
        self._n_bytes -= frame.n_bytes
        if not group.frames:
            self._groups[group.key].remove(group)
            if not self._groups[group.key]:
                del self._groups[group.key]

    def _all(self) -> list[Group]:
        return [group for groups in self._groups.values() for group in groups]

    def _group(self, image: ReconImage) -> Group:
        """The one that the image belongs to; a new one where there is none."""
        groups = self._groups.setdefault(key_of(image, self._by_slice), [])
        slice_ = image.head.idx.slice
        for group in groups:
            if group.fits(image) and not (self._by_slice and slice_ in group.slices):
                return group
        groups.append(Group(image, self._by_slice))
        if self._mode == "streaming" and not self._by_slice and len(groups) > MOST_PLACES:
            for frame in list(groups[0].frames):  # all of which have left
                self._forget(frame)
        return groups[-1]
