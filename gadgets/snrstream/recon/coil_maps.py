"""Coil sensitivity maps by local principal components, for adaptive coil combination.

Sources: Walsh, Gmitro and Marcellin, "Adaptive reconstruction of phased array MR imagery",
MRM 43:682 (2000); Inati, Hansen and Kellman, "A solution to the phase problem in adaptive coil
combination", ISMRM 2013, 2672.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..system.threads import spread
from . import batched_coil_maps
from .fft import to_image

N_ITERATIONS = 2  # from the neighbourhood's mean: more change nothing where there is signal
ROWS_AT_ONCE = 8  # of the grid, for one thread


def calibration_images(acs: Tensor, start: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Low-resolution coil images of calibration lines, tapered by a Hann window against ringing.

    What lies further out on one side of k = 0 than on the other is left out. An axis that the lines span wholly is not
    tapered.

    Parameters
    ----------
    acs : Tensor
        `(channel, partition, line, ro)` complex64: images along the readout, k-space along the others.
    start : tuple of int
        Index (e2, e1) of its first line in k-space.
    size : tuple of int
        Lines (e2, e1) of k-space, with k = 0 at size // 2.

    Returns
    -------
    Tensor
        `(channel, e2, e1, ro)` complex64, in the unit of `acs`.
    """
    for axis in (0, 1):  # what lies alike on both sides of k = 0
        before, n_lines = size[axis] // 2 - start[axis], acs.shape[1 + axis]
        kept = min(before, n_lines - before), min(before + 1, n_lines - before)
        acs = acs.narrow(1 + axis, before - kept[0], sum(kept))
        start = (start[0] + before - kept[0], start[1]) if axis == 0 else (start[0], start[1] + before - kept[0])
    images = acs.permute(1, 2, 3, 0)  # the channels last, as the maps want them
    for axis, (first, n_lines, whole) in enumerate(zip(start, images.shape, size, strict=False)):
        if n_lines == whole:
            images = to_image(images, dims=(axis,))
        else:  # few lines: a product is quicker than the transform of all
            transform = _tapered_transform(first, n_lines, whole, acs.device).to(acs.dtype)
            flat = images.flatten(axis + 1).contiguous()
            images = (transform @ flat.flatten(1) if axis == 0 else transform @ flat).reshape(
                *images.shape[:axis], whole, *images.shape[axis + 1 :]
            )
    return images.permute(3, 0, 1, 2)


def _tapered_transform(first: int, n_lines: int, whole: int, device: torch.device) -> Tensor:
    """The centred transform of lines from `first` on under a Hann window, complex128 `(whole, n_lines)`."""
    r = torch.arange(whole, dtype=torch.float64, device=device) - whole // 2
    k = torch.arange(first, first + n_lines, dtype=torch.float64, device=device) - whole // 2
    taper = _hann(n_lines, device) / math.sqrt(whole)
    return torch.polar(taper.expand(whole, -1), 2 * math.pi / whole * torch.outer(r, k))


def inati(images: Tensor, window: int = 7, step: int = 1) -> Tensor:
    """Maps from coil images: the leading right singular vector of each pixel's neighbourhood.

    For the matrix D (pixels of the neighbourhood x channels), power iteration goes through D v and D^H u, so that the
    covariance D^H D of Walsh is never formed; v combines the coils, and csm is its conjugate. The free phase of v is
    set so that the neighbourhood's combined pixels sum to a positive real number: the maps are smooth, and take the
    object's slowly varying phase into them. Runs where the images are.

    Parameters
    ----------
    images : Tensor
        `(channel, e2, e1, ro)` complex64, prewhitened, in any unit; each partition stands alone.
    window : int
        Edge of the square neighbourhood in pixels, odd.
    step : int
        Distance in pixels of the grid on which the vectors are found; between them they are interpolated and normalised
        again.

    Returns
    -------
    Tensor
        csm: the shape of `images`, complex64, on their device, with sum |csm|^2 = 1 in every pixel.

    References
    ----------
    Walsh, Gmitro and Marcellin, MRM 43:682 (2000); Inati, Hansen and Kellman, ISMRM 2013, 2672.
    """
    shape = tuple(images.shape[1:])
    if images.device.type != "cpu":
        found = batched_coil_maps.leading_vectors(images, window, step, N_ITERATIONS)
        return batched_coil_maps.interpolated(found, step, shape)
    return _interpolated(_found(images, window, step), step, shape)


def referred(images: Tensor, reference: Tensor, window: int = 7, step: int = 1) -> Tensor:
    """Maps as by `inati`, with the phase of one channel, real or virtual, whose map is real and positive.

    The combined image keeps the phase that this channel sees, whatever the images are whose maps these are: maps of
    other images with the same reference leave the phase between them.

    Parameters
    ----------
    images : Tensor
        `(channel, e2, e1, ro)` complex64, prewhitened, in any unit; each partition stands alone.
    reference : Tensor
        `(channel,)` complex64: the weights w of the channel `w^H images`.
    window : int
        Edge of the square neighbourhood in pixels, odd.
    step : int
        Distance in pixels of the grid on which the vectors are found.

    Returns
    -------
    Tensor
        csm: the shape of `images`, complex64, on their device, with sum |csm|^2 = 1 in every pixel.

    References
    ----------
    Walsh, Gmitro and Marcellin, MRM 43:682 (2000), by a real channel; Buehrer et al., MRM 57:1131 (2007), for the
    virtual one that holds most of the signal.
    """
    csm = inati(images, window, step)
    seen = torch.tensordot(reference.conj().to(csm.device), csm, dims=1)
    return csm.mul_(torch.polar(torch.ones_like(seen.real), -seen.angle()))


def _found(images: Tensor, window: int, step: int) -> Tensor:
    """The vectors of every `step`-th pixel along each axis, of images on the CPU."""
    n_channels, *shape = images.shape
    half, last = window // 2, images.permute(1, 2, 3, 0)
    found = torch.empty(n_channels, *(math.ceil(n / step) for n in shape), dtype=images.dtype)

    def find(part: tuple[int, int]) -> None:
        partition, y = part
        out = found[:, partition, y : y + ROWS_AT_ONCE]
        first, stop = y * step - half, (y + out.shape[1] - 1) * step + half + 1
        rows = last[partition * step, max(first, 0) : stop].contiguous()
        above = max(-first, 0)
        padded = F.pad(torch.view_as_real(rows), (0, 0, 0, 0, half, half, above, stop - first - above - len(rows)))
        real, imag = (padded[..., n].contiguous().numpy() for n in (0, 1))
        _leading_vectors(real, imag, window, step, N_ITERATIONS, out.numpy())

    _, n_z, n_y, _ = found.shape
    spread(find, [(z, y) for z in range(n_z) for y in range(0, n_y, ROWS_AT_ONCE)])
    return found


def _compiled(*arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Compile when this module is imported, which a server does before its first scan, and keep it on disk.

    Where no folder can be written, as for another user of an installation, each process compiles anew.
    """
    compiler = partial(numba.njit, numba.void(*arguments), nogil=True, fastmath={"contract", "reassoc", "nsz"})

    def compiled(function: Callable[..., None]) -> Callable[..., None]:
        try:
            kept: Callable[..., None] = compiler(cache=True)(function)
        except RuntimeError:  # numba's word for it
            kept = compiler()(function)
        return kept

    return compiled


_PIXELS = numba.float32[:, :, ::1]


@_compiled(_PIXELS, _PIXELS, numba.int64, numba.int64, numba.int64, numba.complex64[:, :, :])
# One loop, for numba compiles it by its signature, and parts would be written into it again.
def _leading_vectors(  # noqa: C901 - see above
    real: np.ndarray, imag: np.ndarray, window: int, step: int, n_iterations: int, out: np.ndarray
) -> None:
    """The maps `(channel, y, x)` at every `step`-th pixel, from padded images `(y, x, channel)`.

    Compiled: nine times faster than the best form in torch that was tried, whole-image products for each of
    the window's offsets.
    """
    n_channels, n_y, n_x = out.shape
    v_re, v_im = np.empty(n_channels, np.float32), np.empty(n_channels, np.float32)
    sum_re, sum_im = np.empty(n_channels, np.float32), np.empty(n_channels, np.float32)
    mean_re, mean_im = np.empty(n_channels, np.float32), np.empty(n_channels, np.float32)
    for y in range(n_y):
        for x in range(n_x):
            mean_re[:] = 0
            mean_im[:] = 0
            for j in range(window):
                for i in range(window):
                    d_re, d_im = real[y * step + j, x * step + i], imag[y * step + j, x * step + i]
                    for c in range(n_channels):
                        mean_re[c] += d_re[c]
                        mean_im[c] += d_im[c]
            for c in range(n_channels):
                sum_re[c], sum_im[c] = mean_re[c], -mean_im[c]
            for iteration in range(n_iterations + 1):
                norm = 0.0  # double: the square of a faint signal is lost in single precision
                for c in range(n_channels):
                    norm += np.float64(sum_re[c]) ** 2 + np.float64(sum_im[c]) ** 2
                # A pixel without signal weighs all channels alike.
                scale = np.float32(1 / math.sqrt(norm) if norm > 0 else 0)
                even = np.float32(0 if norm > 0 else 1 / math.sqrt(n_channels))
                for c in range(n_channels):
                    v_re[c], v_im[c] = sum_re[c] * scale + even, sum_im[c] * scale
                    sum_re[c] = sum_im[c] = 0
                if iteration == n_iterations:
                    break
                for j in range(window):
                    for i in range(window):
                        d_re, d_im = real[y * step + j, x * step + i], imag[y * step + j, x * step + i]
                        u_re = u_im = np.float32(0)
                        for c in range(n_channels):
                            u_re += d_re[c] * v_re[c] - d_im[c] * v_im[c]
                            u_im += d_re[c] * v_im[c] + d_im[c] * v_re[c]
                        for c in range(n_channels):
                            sum_re[c] += d_re[c] * u_re + d_im[c] * u_im
                            sum_im[c] += d_re[c] * u_im - d_im[c] * u_re
            p_re = p_im = np.float32(0)  # the neighbourhood's combined mean
            for c in range(n_channels):
                p_re += mean_re[c] * v_re[c] - mean_im[c] * v_im[c]
                p_im += mean_re[c] * v_im[c] + mean_im[c] * v_re[c]
            size = math.sqrt(p_re * p_re + p_im * p_im)
            p_re = p_re / size if size > 0 else np.float32(1)
            p_im = p_im / size if size > 0 else np.float32(0)
            for c in range(n_channels):  # conj(v) times the phase of the combined mean
                out[c, y, x] = complex(v_re[c] * p_re + v_im[c] * p_im, v_re[c] * p_im - v_im[c] * p_re)


def _interpolated(csm: Tensor, step: int, shape: tuple[int, ...]) -> Tensor:
    """Linear along each axis between the grid's points, constant beyond the last, of unit norm again."""
    if step == 1:
        return csm
    whole = torch.empty(len(csm), *shape, dtype=csm.dtype)

    def fill(part: tuple[int, int]) -> None:
        z, y = part
        rows = slice(y, y + ROWS_AT_ONCE)
        seen = slice(y // step, (y + ROWS_AT_ONCE - 1) // step + 2)
        near = csm[:, z // step, seen]
        if z % step:
            near = torch.lerp(near, csm[:, min(z // step + 1, csm.shape[1] - 1), seen], z % step / step)
        _fill_rows(near.numpy(), step, y % step, whole[:, z, rows].numpy())

    spread(fill, [(z, y) for z in range(shape[0]) for y in range(0, shape[1], ROWS_AT_ONCE)])
    return whole


@_compiled(numba.complex64[:, :, :], numba.int64, numba.int64, numba.complex64[:, :, :])
def _fill_rows(csm: np.ndarray, step: int, first: int, out: np.ndarray) -> None:
    """Rows `(channel, y, x)` from `first` on, of maps at every `step`-th pixel from row 0 on `(channel, y, x)`."""
    _, last, n_grid = csm.shape
    n_channels, n_y, n_x = out.shape
    row = np.empty(n_grid + 1, np.complex64)
    scale = np.empty(n_x, np.float32)
    for y in range(n_y):
        above = (first + y) // step
        below, weight = min(above + 1, last - 1), np.float32((first + y) % step / step)
        scale[:] = 0
        for c in range(n_channels):
            for x in range(n_grid):
                row[x] = csm[c, above, x] + weight * (csm[c, below, x] - csm[c, above, x])
            row[n_grid] = row[n_grid - 1]
            for k in range(step):
                share = np.float32(k / step)
                for x in range((n_x - k + step - 1) // step):
                    value = row[x] + share * (row[x + 1] - row[x])
                    out[c, y, x * step + k] = value
                    scale[x * step + k] += value.real * value.real + value.imag * value.imag
        for x in range(n_x):
            scale[x] = 1 / math.sqrt(scale[x]) if scale[x] > 0 else 0
        for c in range(n_channels):
            for x in range(n_x):
                out[c, y, x] *= scale[x]


def _hann(size: int, device: torch.device) -> Tensor:
    """Symmetric Hann window without its zero end points, float64 `(size,)`."""
    position = torch.arange(size, dtype=torch.float64, device=device)
    return torch.sin(math.pi * (position + 0.5) / size) ** 2
