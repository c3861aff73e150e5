"""Where the tiles of a stack of frames lie, and how much each says about a pixel: their weights add up to 1."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .manifest_fields import Manifest, Size

PIXELS_AT_ONCE = 8 * 512 * 512  # of a run: a network's features take a hundred times the memory of its frames
FRAMES_AT_ONCE = 8  # of a run that denoises each by itself
MOST_FRAMES = 32  # of a tile, where the network takes any number
LARGEST_TILE, SMALLEST_TILE = 1024, 64  # along H and W, where it takes any size


@dataclass(frozen=True)
class Tile:
    """One tile of a stack.

    Attributes
    ----------
    start
        Its first frame, line and column.
    weights
        Of its pixels along each axis, None where they are 1 all over.
    """

    start: Size
    weights: tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True)
class Tiling:
    """How a stack is cut into tiles.

    Attributes
    ----------
    size
        `(T, H, W)` of each tile.
    groups
        Tiles that count as one piece of work: of `FRAMES_AT_ONCE` frames or, where the network mixes frames, of one
        tile's frames.
    at_once
        How many tiles fit into one run.
    """

    size: Size
    groups: list[list[Tile]]
    at_once: int

    @property
    def blended(self) -> bool:
        """Whether tiles overlap, and answers are to be added up."""
        return any(w is not None for group in self.groups for tile in group for w in tile.weights)


def plan_tiles(
    shape: Size, manifest: Manifest, largest: int = LARGEST_TILE, at_once: int = FRAMES_AT_ONCE, shifted: bool = False,
    by_frame: bool = False,
) -> Tiling:  # fmt: skip
    """The tiles of a stack.

    Parameters
    ----------
    shape
        Of the stack, `(frame, e1, ro)`.
    manifest
        The network's.
    largest
        Length of a tile along e1 and ro where the network takes any size; of a patch it has no say.
    at_once
        Most tiles in one run; fewer where they would exceed `PIXELS_AT_ONCE`.
    shifted
        Whether all but the outermost tiles lie half a stride further, for the comparison of two tilings.
    by_frame
        Whether each tile is of one frame, also where the network mixes them: for one that remembers.
    """
    axes = _geometry(shape, manifest, largest, by_frame)
    size = axes[0].length, axes[1].length, axes[2].length
    frames, lines, columns = (list(axis.tiles(shifted)) for axis in axes)
    rows = [
        [Tile((t, y, x), (wt, wy, wx)) for y, wy in lines for x, wx in columns] for t, wt in frames
    ]  # of tiles with the same frames
    n_rows = max(1, FRAMES_AT_ONCE // size[0])
    groups = [[tile for row in rows[n : n + n_rows] for tile in row] for n in range(0, len(rows), n_rows)]
    n_channels = manifest.n_frames if manifest.input == "magnitude_slices" else 1  # of the size of a tile
    return Tiling(size, groups, max(1, min(at_once, PIXELS_AT_ONCE // (math.prod(size) * n_channels))))


def mixes_frames(manifest: Manifest) -> bool:
    """Whether T of the network is more than one frame: `magnitude_slices` has them as channels."""
    return bool(manifest.frames) and manifest.input != "magnitude_slices"


@dataclass(frozen=True)
class _Axis:
    """n: pixels to be covered. length: of a tile. step: tiles start at its multiples. field: receptive field, or 0."""

    n: int
    length: int
    overlap: int
    step: int
    field: int

    def tiles(self, shifted: bool) -> Iterator[tuple[int, np.ndarray | None]]:
        """The start and the weights of each tile. The last one ends where the axis ends.

        A network's answer is wrong up to half its receptive field from a tile's end, where it misses what lies beyond.
        There the weight is 0; where the receptive field is not known, in the outer quarter of the overlap. In what is
        left of the overlap it rises as sin^2, and is then divided by the sum over all tiles.
        """
        last = max(0, self.n - self.length)
        stride = max(self.step, (self.length - self.overlap) // self.step * self.step)
        first = stride // 2 // self.step * self.step if shifted else 0
        starts = sorted({0, last, *range(first, last, stride)})
        if all(b - a >= self.length for a, b in pairwise(starts)):
            yield from ((start, None) for start in starts)
            return
        shares = [self._share(start > 0, start < last) for start in starts]
        total = np.zeros(last + self.length)
        for start, share in zip(starts, shares, strict=True):
            total[start : start + self.length] += share
        for start, share in zip(starts, shares, strict=True):
            yield start, (share / total[start : start + self.length]).astype(np.float32)

    def _share(self, before: bool, after: bool) -> np.ndarray:
        """What a tile says, before division by the sum. before, after: whether there are tiles on that side."""
        margin = self.field // 2 if 0 < self.field <= self.overlap else self.overlap // 4
        width = self.overlap - 2 * margin
        rise = np.zeros(self.overlap)
        rise[margin : margin + width] = np.sin(np.pi / 2 * (np.arange(width) + 0.5) / max(1, width)) ** 2
        rise[margin + width :] = 1
        share = np.ones(self.length)
        if before:
            share[: self.overlap] *= rise
        if after:
            share[self.length - self.overlap :] *= rise[::-1]
        return share


def _geometry(shape: Size, manifest: Manifest, largest: int, by_frame: bool) -> tuple[_Axis, _Axis, _Axis]:
    field = manifest.receptive_field
    if by_frame or not mixes_frames(manifest):
        frames = _Axis(shape[0], 1, 0, 1, 0)
    elif manifest.patch is not None and manifest.overlap is not None:
        frames = _Axis(shape[0], manifest.patch[0], manifest.overlap[0], 1, field[0])
    else:
        # Each cell that attends looks as far as the window on either side.
        seen = field[0] or (2 * len(manifest.past) * (manifest.window - 1) + 1 if manifest.past else 0)
        length = manifest.n_frames or min(shape[0], max(MOST_FRAMES, 2 * seen))
        frames = _Axis(shape[0], length, min(seen or length // 2, length - 1), 1, seen)
    while largest > SMALLEST_TILE and frames.length * math.prod(min(n, largest) for n in shape[1:]) > PIXELS_AT_ONCE:
        largest //= 2
    lines, columns = (_in_plane(shape[axis], axis, manifest, largest) for axis in (1, 2))
    return frames, lines, columns


def _in_plane(n: int, axis: int, manifest: Manifest, largest: int) -> _Axis:
    step, field = manifest.divisor, manifest.receptive_field[axis]
    n = -(-n // step) * step
    if manifest.patch is not None and manifest.overlap is not None:
        return _Axis(n, manifest.patch[axis], manifest.overlap[axis], step, field)
    length = min(n, max(step, largest // step * step))
    overlap = -(-(field or length // 4) // step) * step
    return _Axis(n, length, min(overlap, length // 2 // step * step), step, field)
