"""Images that are denoised together, and what they go on from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .group import Frame
from .scan_kind import Axis
from .state import State

Mode = Literal["streaming", "series"]
Time = tuple[int, int]  # repetition, phase


@dataclass(frozen=True)
class Stack:
    """Neighbours in order, to be denoised together, and the places of those among them that leave now.

    Attributes
    ----------
    frames
        The neighbours.
    leaving
        Places among them of those that leave.
    axis
        Along which they are neighbours; of a single image, its partitions are.
    mode
        How they were collected, empty for an image that needs no other.
    warnings
        For those that leave.
    memory
        Of the stream that a single image goes on with, None where there is no stream.
    """

    frames: tuple[Frame, ...]
    leaving: tuple[int, ...]
    axis: Axis
    mode: Mode | Literal[""] = ""
    warnings: tuple[str, ...] = ()
    memory: Memory | None = None


@dataclass(eq=False)
class Memory:
    """What the next image of a stream needs of those before it.

    Attributes
    ----------
    time
        Of the last image.
    states
        One for each partition; none where there is nothing to go on from.
    lost
        Why there is nothing though there were images, which the next one tells.
    turn
        The number of the last image in the order in which all streams were denoised.
    over
        Whether no image will follow.
    """

    time: Time
    states: tuple[State, ...] = ()
    lost: str = ""
    turn: int = -1
    over: bool = False

    @property
    def n_bytes(self) -> int:
        """Of its states."""
        return sum(state.nbytes for state in self.states)
