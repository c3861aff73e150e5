"""Images that are each other's neighbours in time or along a stack of slices, in order."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np

from ..items import ReconImage

TOLERANCE_MM = 0.1  # within which two slices have one geometry
LEVER_MM = 100.0  # a direction is where it points to at this distance
MOST_PLACES = 8  # of one slice, that a streamed series remembers: a patient who moves on does not come back

Key = tuple[object, ...]


@dataclass(eq=False)
class Frame:
    """An original on its way.

    Attributes
    ----------
    image
        The original.
    second
        What follows it, its denoised version or a stand-in, once that is made.
    """

    image: ReconImage
    second: ReconImage | None = None

    @property
    def n_bytes(self) -> int:
        """Of its image and g-map."""
        return self.image.image.nbytes + self.image.gmap.nbytes

    @property
    def slice(self) -> int:
        """Its counter."""
        return int(self.image.head.idx.slice)


class Group:
    """Frames of one shape and geometry that the counters call neighbours, in order.

    By time, these are images of one slice, in order of repetition and phase. By slice, they are images of one
    repetition, in order of position along the slice's normal, or of the counter where the header has no positions.
    key: the counters and the shape; the last of a group by slice is the repetition. waiting: those that have not left.
    """

    def __init__(self, image: ReconImage, by_slice: bool) -> None:
        self.key, self.repetition = key_of(image, by_slice), int(image.head.idx.repetition)
        self._by_slice, self._geometry = by_slice, _geometry(image, by_slice)
        self.frames: list[Frame] = []
        self.waiting: set[Frame] = set()

    @property
    def slices(self) -> set[int]:
        """The counters of its frames."""
        return {frame.slice for frame in self.frames}

    def fits(self, image: ReconImage) -> bool:
        """Whether the image is a neighbour of these."""
        if key_of(image, self._by_slice) != self.key:
            return False
        distance = np.abs(_geometry(image, self._by_slice) - self._geometry)
        return bool(distance.max() <= TOLERANCE_MM)

    def insert(self, frame: Frame) -> None:
        """In its place, to wait."""
        bisect.insort(self.frames, frame, key=_position if self._by_slice else _time)
        self.waiting.add(frame)


def key_of(image: ReconImage, by_slice: bool) -> Key:
    """What neighbours have in common, besides their geometry."""
    idx = image.head.idx
    same = image.image.shape, idx.contrast, idx.set, idx.average
    return (*same, idx.phase, idx.repetition) if by_slice else (*same, idx.slice)


def _geometry(image: ReconImage, by_slice: bool) -> np.ndarray:
    """Pixels, place and directions in mm; of slices all but their position along the normal."""
    head = image.head
    position = np.array(head.position, np.float64)
    if by_slice:
        normal = _normal(image)
        position -= (position @ normal) * normal
    directions = [LEVER_MM * np.array(d, np.float64) for d in (head.read_dir, head.phase_dir, head.slice_dir)]
    return np.concatenate([image.voxel_mm, position, head.patient_table_position, *directions])


def _time(frame: Frame) -> tuple[float, float]:
    idx = frame.image.head.idx
    return idx.repetition, idx.phase


def position_along_normal(image: ReconImage) -> float:
    """Of its slice, in mm; 0 where the header has no directions."""
    return float(np.array(image.head.position, np.float64) @ _normal(image))


def _position(frame: Frame) -> tuple[float, float]:
    return position_along_normal(frame.image), frame.slice


def _normal(image: ReconImage) -> np.ndarray:
    """Of the slice, of length 1; zero where the header has no directions."""
    normal = np.array(image.head.slice_dir, np.float64)
    length = math.sqrt(normal @ normal)
    return normal / length if length > 0 else normal
