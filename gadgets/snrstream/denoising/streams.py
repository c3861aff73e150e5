"""Series in time through a network that remembers: each image is run once, with what is kept of those before it."""

import logging
from dataclasses import dataclass

from .group import MOST_PLACES, Frame, Group, Key, key_of
from .stack import Memory, Stack, Time
from .state import State

log = logging.getLogger(__name__)

ANEW = "denoised without the images before it: "
MISSING = f"{ANEW}some are missing"
MOVED = f"{ANEW}it has another size or place"
LATE = f"{ANEW}it is late or repeated"
FAILED = f"{ANEW}the last one was not denoised"


@dataclass(eq=False)
class _Stream:
    """Images that follow each other. aside: of a late one, in case that the counters have begun again."""

    group: Group
    memory: Memory
    aside: Memory | None = None

    @property
    def memories(self) -> list[Memory]:
        return [self.memory] if self.aside is None else [self.memory, self.aside]


class Streams:
    """Images in, each at once as a stack of its own, with the memory of its stream.

    A stream is of one shape, place, slice, contrast, set, average and encoding; its images come in order of repetition
    and phase, without a gap. None is ever denoised with a memory that is not of the images right before it:

    - After a gap, and where size or place change, a stream begins anew.
    - An image that is late or repeated is denoised alone, and its stream goes on without it. Where the next ones follow
      it, the counters have begun again, and these are the stream.
    - After an image that could not be denoised, the next one begins anew.

    Each of these has a warning; the log has one for each reason.

    Parameters
    ----------
    phases
        The first and the last of a cycle, None where it is not known.
    most_bytes
        Of all memories. Beyond it one is dropped, and its stream begins anew: that which has waited longest, if it has
        missed its turn. Else the newest, so that in a scan of more slices than fit the others keep theirs.
    warnings
        For all images.
    """

    def __init__(self, phases: tuple[int, int] | None, most_bytes: int, warnings: tuple[str, ...] = ()) -> None:
        self._phases, self._most_bytes, self._warnings = phases, most_bytes, warnings
        self._streams: dict[Key, list[_Stream]] = {}
        self._kept: dict[Memory, None] = {}  # with states, that which has waited longest first
        self._n_kept = 0
        self._told: set[str] = set()

    def add(self, frame: Frame) -> list[Stack]:
        """The stack of the image."""
        memory, why = self._memory(frame)
        self._log(why)
        warnings = (*self._warnings, why) if why else self._warnings
        return [Stack((frame,), (0,), "time", "streaming", warnings, memory)]

    def end(self) -> list[Stack]:
        """Nothing waits."""
        return []

    def keep(self, memory: Memory, states: tuple[State, ...]) -> None:
        """What an image that was denoised leaves for the next one of its stream."""
        self._log(memory.lost)
        last_turn, memory.turn = memory.turn, self._n_kept
        self._n_kept += 1
        self._kept.pop(memory, None)
        memory.states, memory.lost = states, ""
        if memory.over:
            return
        self._kept[memory] = None
        n_bytes = sum(kept.n_bytes for kept in self._kept)
        while n_bytes > self._most_bytes:
            oldest = next(iter(self._kept))
            dropped = oldest if oldest.turn < last_turn else memory
            n_bytes -= dropped.n_bytes
            self._drop(dropped, f"{ANEW}more than {self._most_bytes / 2**20:.4g} MiB would be kept of them")

    def lose(self, memory: Memory) -> None:
        """An image could not be denoised."""
        self._drop(memory, FAILED)

    def _drop(self, memory: Memory, why: str) -> None:
        self._kept.pop(memory, None)
        memory.states, memory.lost = (), why

    def _memory(self, frame: Frame) -> tuple[Memory, str]:
        """That with which the image goes on, and why it is empty, for which there is no word if it is the first."""
        idx = frame.image.head.idx
        time = idx.repetition, idx.phase
        key = frame.image.head.encoding_space_ref, *key_of(frame.image, by_slice=False)[1:]
        streams = self._streams.setdefault(key, [])
        stream = next((stream for stream in streams if stream.group.fits(frame.image)), None)
        if stream is None:
            why = MOVED if any(other.memory.time < time for other in streams) else ""
            stream = _Stream(Group(frame.image, by_slice=False), Memory(time))
            streams.append(stream)
            if len(streams) > MOST_PLACES:
                self._end(*streams.pop(0).memories)
            return stream.memory, why
        if self._follows(stream.memory.time, time):
            stream.memory.time = time
            return stream.memory, ""
        going, aside = stream.memory, stream.aside
        if aside is not None and self._follows(aside.time, time):
            self._end(going)
            stream.memory, stream.aside, aside.time = aside, None, time
            return aside, ""
        if time > going.time:
            self._end(*stream.memories)
            stream.memory, stream.aside = Memory(time), None
            return stream.memory, MISSING
        self._end(*stream.memories[1:])
        stream.aside = Memory(time)
        return stream.aside, LATE

    def _follows(self, before: Time, now: Time) -> bool:
        if now[0] == before[0]:
            return now[1] == before[1] + 1
        first, last = self._phases or (before[1], before[1])
        return now[0] == before[0] + 1 and now[1] <= first and before[1] >= last

    def _end(self, *memories: Memory) -> None:
        """No image will follow. One that is being denoised keeps what it was given."""
        for memory in memories:
            memory.over = True
            self._kept.pop(memory, None)

    def _log(self, text: str) -> None:
        if text and text not in self._told:
            self._told.add(text)
            log.warning(text)
