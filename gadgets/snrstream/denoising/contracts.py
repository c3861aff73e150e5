"""From complex images and g-maps to a network's input channels, and from its answer back to complex images."""

from typing import TypeVar

import numpy as np

from .manifest_fields import Manifest
from .tiling import Tile, Tiling

Number = TypeVar("Number", int, int | None)  # None where any will do


def input_shape(manifest: Manifest, n_batch: Number, size: tuple[Number, Number, Number]) -> tuple[Number, ...]:
    """Of the network's input for `n_batch` tiles of `size` (T, H, W)."""
    n_frames, height, width = size
    if manifest.input == "magnitude_slices":
        return n_batch, manifest.n_frames, height, width
    return n_batch, 3 if manifest.input == "complex_gmap" else 2, n_frames, height, width


def output_shape(manifest: Manifest, n_batch: Number, size: tuple[Number, Number, Number]) -> tuple[Number, ...]:
    """Of the network's answer."""
    n_frames, height, width = size
    if manifest.input == "magnitude_slices":
        return n_batch, 1, height, width
    return n_batch, 2 if manifest.input == "complex_gmap" else 1, n_frames, height, width


def past_shapes(
    manifest: Manifest, n_batch: Number, n_frames: Number, in_plane: tuple[Number, Number]
) -> list[tuple[Number, ...]]:
    """`(B, P, C, H / d, W / d)` of what the network keeps of P frames of `in_plane` (H, W), for each of its cells."""
    shapes: list[tuple[Number, ...]] = []
    for channels, step in manifest.past:
        height, width = (None if n is None else n // step for n in in_plane)
        shapes.append((n_batch, n_frames, channels, height, width))
    return shapes


def no_past(manifest: Manifest, x: np.ndarray) -> list[np.ndarray]:
    """What is kept of no frames, for the input `x`."""
    height, width = x.shape[-2:]
    return [np.zeros(shape, np.float32) for shape in past_shapes(manifest, len(x), 0, (height, width))]


def fixed_size(manifest: Manifest) -> tuple[int | None, int | None, int | None]:
    """`(T, H, W)` as far as the network takes one size only, None where it takes any."""
    if manifest.patch is not None:
        return manifest.patch
    return (1 if not manifest.frames else manifest.n_frames or None), None, None


def scale_of(image: np.ndarray, manifest: Manifest) -> float:
    """What the network's input is divided by, and its answer multiplied by."""
    if manifest.scale == "snr_units":
        return 1.0
    return float(np.abs(image).max(initial=0.0)) or 1.0


def fill_input(batch: np.ndarray, manifest: Manifest, image: np.ndarray, gmap: np.ndarray, tiling: Tiling, tile: Tile,
         scale: float) -> None:  # fmt: skip
    """Write the channels of one tile into `batch`, one item of the network's input.

    Beyond the lines and columns of the stack stand zeros, with g = 1; beyond its frames it is mirrored.

    Parameters
    ----------
    batch
        `input_shape` without the batch, float32.
    image, gmap
        The whole stack `(frame, e1, ro)`, complex64 and float32.
    scale
        What the input is divided by.
    """
    at, lines, columns = tile.start[0], *_in_plane(tile, tiling, image.shape)
    n_lines, n_columns = image[0, lines, columns].shape
    if manifest.input == "magnitude_slices":
        reach = manifest.n_frames // 2
        frames = mirrored(range(at - reach, at + reach + 1), len(image))
    else:
        frames = mirrored(range(at, at + tiling.size[0]), len(image))
    inside = (..., slice(n_lines), slice(n_columns))
    if (n_lines, n_columns) != tiling.size[1:]:
        batch[:] = 0
    channels = batch if manifest.input != "magnitude_slices" else batch[None]
    for n, frame in enumerate(frames):
        part = image[frame, lines, columns]
        if manifest.input == "complex_gmap":
            channels[0, n][inside], channels[1, n][inside] = part.real, part.imag
        else:
            np.abs(part, out=channels[0, n][inside])
        if manifest.input != "magnitude_slices":
            if (n_lines, n_columns) != tiling.size[1:]:
                channels[-1, n] = 1
            channels[-1, n][inside] = gmap[frame, lines, columns]
    if scale != 1:
        batch /= np.float32(scale)


def put_answer(out: np.ndarray, answer: np.ndarray, manifest: Manifest, image: np.ndarray, tiling: Tiling, tile: Tile,
          scale: float) -> None:  # fmt: skip
    """Put one item of the network's answer into `out` at its place: added with its weights where tiles are blended.

    A magnitude gets the phase of the image; below 0 it counts as 0, and where the image is 0 it has phase 0.

    Parameters
    ----------
    out, image
        The whole stack `(frame, e1, ro)`, complex64.
    answer
        `output_shape` without the batch, float32.
    scale
        What a magnitude is multiplied by.
    """
    frames = slice(tile.start[0], min(tile.start[0] + tiling.size[0], len(image)))
    inside = (frames, *_in_plane(tile, tiling, image.shape))
    target = out[inside]
    n_frames, n_lines, n_columns = target.shape
    channels = answer if manifest.input != "magnitude_slices" else answer[None]
    channels = channels[:, :n_frames, :n_lines, :n_columns]
    if manifest.input == "complex_gmap" and not tiling.blended:
        target.real, target.imag = channels
        return
    if manifest.input == "complex_gmap":
        denoised = np.empty(target.shape, np.complex64)
        denoised.real, denoised.imag = channels
    else:
        original = image[inside]
        magnitude = np.abs(original)
        phase = np.where(magnitude > 0, original / np.where(magnitude > 0, magnitude, 1), np.complex64(1))
        denoised = np.maximum(channels[0], 0) * np.float32(scale) * phase
    if not tiling.blended:
        target[:] = denoised
        return
    for axis, weights in enumerate(tile.weights):
        if weights is not None:
            denoised *= weights[: target.shape[axis]].reshape([-1 if n == axis else 1 for n in range(3)])
    target += denoised


def mirrored(frames: range, n: int) -> list[int]:
    """`frames` of a stack of `n` that goes on beyond its ends as its mirror image: -1 is 1, n is n - 2."""
    period = max(1, 2 * (n - 1))
    return [min(frame % period, period - frame % period) if n > 1 else 0 for frame in frames]


def _in_plane(tile: Tile, tiling: Tiling, shape: tuple[int, ...]) -> tuple[slice, slice]:
    (_, y, x), (_, height, width) = tile.start, tiling.size
    return slice(y, min(y + height, shape[1])), slice(x, min(x + width, shape[2]))
