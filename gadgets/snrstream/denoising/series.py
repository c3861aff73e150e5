"""A series through a network that remembers: each frame is run once, and sees what is kept of those before it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..errors import ModelError
from .backend import Backend, Stop
from .contracts import fill_input, input_shape, output_shape, past_shapes, put_answer
from .manifest_fields import Manifest
from .runs import limited
from .state import Past
from .tiling import Tile, Tiling


def run_series(
    backend: Backend, manifest: Manifest, tiling: Tiling, image: np.ndarray, gmap: np.ndarray, past: Past,
    timeout_s: float,
) -> tuple[np.ndarray, Past]:  # fmt: skip
    """The network's answer to frames that see none after them, complex64 of the same shape, and what is kept of them.

    Parameters
    ----------
    tiling
        By frame, see `plan_tiles`. So many frames are run at once as there may be tiles.
    image
        `(frame, e1, ro)` complex64, in SNR units.
    gmap
        `(frame, e1, ro)` float32.
    past
        Of the frames before, as `State` has it.
    timeout_s
        For each group of the tiling, in seconds.

    Raises
    ------
    ModelTimeout, Failure
        As `run_tiles`.
    ModelError
        What a run gives has the wrong shape, or is not finite where it is to be kept.
    """
    out = np.zeros(image.shape, np.complex64) if tiling.blended else np.empty(image.shape, np.complex64)
    failure = "failed on {} x {} x {}".format(*image.shape)
    for group in tiling.groups:
        stop = backend.stop()

        def work(group: list[Tile] = group, stop: Stop = stop, past: Past = past) -> Past:
            for chunk in _chunks(group, tiling):
                new = tuple(np.zeros((chunk.size[0], *part.shape[1:]), np.float32) for part in past)
                n_tiles = min(chunk.at_once, backend.most_at_once)
                (tiles,) = chunk.groups
                for first in range(0, len(tiles), n_tiles):
                    if stop.terminate:
                        return past
                    batch = dataclasses.replace(chunk, groups=[tiles[first : first + n_tiles]])
                    _run(backend, manifest, batch, image, gmap, past, new, out, stop)
                if not all(np.isfinite(part).all() for part in new):
                    raise ModelError(f"model {manifest.name} keeps NaN or infinite values of a frame")
                past = tuple(_latest(*both, manifest.window - 1) for both in zip(past, new, strict=True))
            return past

        def cancel(stop: Stop = stop) -> None:
            stop.terminate = True

        past = limited(manifest, timeout_s, failure, work, cancel)
    return out, past


def _chunks(group: list[Tile], tiling: Tiling) -> list[Tiling]:
    """A group of tiles of one frame each, as tiles of so many frames as one run takes; each chunk one group."""
    frames = sorted({tile.start[0] for tile in group})
    in_plane = [tile for tile in group if tile.start[0] == frames[0]]
    chunks = []
    for first in range(0, len(frames), tiling.at_once):
        n = min(tiling.at_once, len(frames) - first)
        tiles = [Tile((frames[first], *tile.start[1:]), tile.weights) for tile in in_plane]
        chunks.append(Tiling((n, *tiling.size[1:]), [tiles], max(1, tiling.at_once // n)))
    return chunks


def _run(
    backend: Backend, manifest: Manifest, tiling: Tiling, image: np.ndarray, gmap: np.ndarray, past: Past, new: Past,
    out: np.ndarray, stop: Stop,
) -> None:  # fmt: skip
    """The tiles of one run: the answer into `out`, what is kept of its frames into `new`."""
    (tiles,) = tiling.groups
    n_frames, *size = tiling.size
    x = np.empty(input_shape(manifest, len(tiles), tiling.size), np.float32)
    for item, tile in zip(x, tiles, strict=True):
        fill_input(item, manifest, image, gmap, tiling, tile, 1.0)
    steps = [step for _, step in manifest.past]
    earlier = [
        _stacked([part[:, :, *_of_cell(tile, tiling, step)] for tile in tiles])
        for part, step in zip(past, steps, strict=True)
    ]
    answer, present = backend.run_remembering(x, True, earlier, stop)
    expected = [output_shape(manifest, len(tiles), tiling.size),
                *past_shapes(manifest, len(tiles), n_frames, (size[0], size[1]))]  # fmt: skip
    shapes = [part.shape for part in (answer, *present)]
    if shapes != expected:
        raise ModelError(f"model {manifest.name} answered with shapes {shapes}; expected {expected}")
    for n, tile in enumerate(tiles):
        put_answer(out, answer[n], manifest, image, tiling, tile, 1.0)
        for whole, part, step in zip(new, present, steps, strict=True):
            _, lines, columns = tile.weights
            share = part[n]
            for axis, weights in ((-2, lines), (-1, columns)):
                if weights is not None:  # those in the middle of a cell's pixels still add up to 1
                    share = share * weights[step // 2 :: step].reshape(-1, *[1] * (-1 - axis))
            whole[:, :, *_of_cell(tile, tiling, step)] += share


def _of_cell(tile: Tile, tiling: Tiling, step: int) -> tuple[slice, slice]:
    """Where a tile lies in what a cell keeps."""
    (_, y, x), (_, height, width) = tile.start, tiling.size
    return slice(y // step, (y + height) // step), slice(x // step, (x + width) // step)


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """As `numpy.stack`, without a copy where one tile is the whole image."""
    return np.ascontiguousarray(parts[0][None]) if len(parts) == 1 else np.stack(parts)


def _latest(old: np.ndarray, new: np.ndarray, most: int) -> np.ndarray:
    """The last `most` frames of both, in memory of their own."""
    n_new = min(len(new), most)
    return np.concatenate((old[max(0, len(old) + n_new - most) :], new[len(new) - n_new :]))
