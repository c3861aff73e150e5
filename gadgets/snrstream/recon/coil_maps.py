"""Coil sensitivity maps by local principal components, for adaptive coil combination.

Sources: Walsh, Gmitro and Marcellin, "Adaptive reconstruction of phased array MR imagery",
MRM 43:682 (2000); Inati, Hansen and Kellman, "A solution to the phase problem in adaptive coil
combination", ISMRM 2013, 2672.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .fft import to_image
from .unmixing import power

N_ITERATIONS = 4  # from the neighbourhood's mean, of which three are enough on the scans that were tried


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
    n_channels, n_partitions, n_lines, n_ro = acs.shape
    kspace = acs.new_zeros(n_channels, *size, n_ro)
    tapers = [
        _hann(n, acs.device) if n < whole else acs.new_ones(n).real
        for n, whole in zip((n_partitions, n_lines), size, strict=True)
    ]
    (z0, y0), window = start, tapers[0][:, None, None] * tapers[1][:, None]
    kspace[:, z0 : z0 + n_partitions, y0 : y0 + n_lines] = acs * window
    return to_image(kspace, dims=(1, 2) if size[0] > 1 else (2,))


def inati(images: Tensor, window: int = 7, step: int = 1) -> Tensor:
    """Maps from coil images: the leading right singular vector of each pixel's neighbourhood.

    For the matrix D (pixels of the neighbourhood x channels), power iteration goes through D v and D^H u, so that the
    covariance D^H D of Walsh is never formed; v combines the coils, and csm is its conjugate. The free phase of v is
    set so that the neighbourhood's combined pixels sum to a positive real number: the maps are smooth, and take the
    object's slowly varying phase into them. Runs on the CPU.

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
    return _interpolated(_found(images, window, step), step, tuple(images.shape[1:])).to(images.device)


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
    """The vectors of every `step`-th pixel along each axis, on the CPU."""
    n_channels, n_e2, n_e1, n_ro = images.shape
    half = window // 2
    found = []
    for partition in range(0, n_e2, step):
        padded = F.pad(images[:, partition].cpu(), (half, half, half, half)).permute(1, 2, 0)
        real, imag = padded.real.contiguous().numpy(), padded.imag.contiguous().numpy()
        shape = (math.ceil(n_e1 / step), math.ceil(n_ro / step), n_channels)
        parts = np.empty(shape, np.float32), np.empty(shape, np.float32)
        rows = math.ceil(shape[0] / torch.get_num_threads())
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # the kernel lets go of the interpreter
            tasks = [
                pool.submit(
                    _leading_vectors, real[y * step :], imag[y * step :], window, step, N_ITERATIONS,
                    *(part[y : y + rows] for part in parts),
                )
                for y in range(0, shape[0], rows)
            ]  # fmt: skip
        for task in tasks:
            task.result()
        found.append(torch.complex(*(torch.from_numpy(part).permute(2, 0, 1) for part in parts)))
    return torch.stack(found, dim=1)


_PIXELS = numba.float32[:, :, ::1]


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile when this module is imported, which a server does before its first scan, and keep it on disk.

    Where no folder can be written, as for another user of an installation, each process compiles anew.
    """
    signature = numba.void(_PIXELS, _PIXELS, numba.int64, numba.int64, numba.int64, _PIXELS, _PIXELS)
    fastmath = {"contract", "reassoc", "nsz"}
    try:
        kept: Callable[..., None] = numba.njit(signature, nogil=True, fastmath=fastmath, cache=True)(function)
    except RuntimeError:  # numba's word for it
        kept = numba.njit(signature, nogil=True, fastmath=fastmath)(function)
    return kept


@_compiled
# One loop, for numba compiles it by its signature, and parts would be written into it again.
def _leading_vectors(  # noqa: C901 - see above
    real: np.ndarray,
    imag: np.ndarray,
    window: int,
    step: int,
    n_iterations: int,
    out_real: np.ndarray,
    out_imag: np.ndarray,
) -> None:
    """The maps at every `step`-th pixel, from padded images `(y, x, channel)` into `(y, x, channel)`.

    Compiled: nine times faster than the best form in torch that was tried, whole-image products for each of
    the window's offsets.
    """
    n_y, n_x, n_channels = out_real.shape
    for y in range(n_y):
        v_re, v_im = np.empty(n_channels, np.float32), np.empty(n_channels, np.float32)
        sum_re, sum_im = np.zeros(n_channels, np.float32), np.zeros(n_channels, np.float32)
        for x in range(n_x):
            sum_re[:] = 0
            sum_im[:] = 0
            for j in range(window):
                for i in range(window):
                    d_re, d_im = real[y * step + j, x * step + i], imag[y * step + j, x * step + i]
                    for c in range(n_channels):
                        sum_re[c] += d_re[c]
                        sum_im[c] -= d_im[c]
            mean_re = mean_im = np.float32(0)
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
                mean_re = mean_im = np.float32(0)
                for j in range(window):
                    for i in range(window):
                        d_re, d_im = real[y * step + j, x * step + i], imag[y * step + j, x * step + i]
                        u_re = u_im = np.float32(0)
                        for c in range(n_channels):
                            u_re += d_re[c] * v_re[c] - d_im[c] * v_im[c]
                            u_im += d_re[c] * v_im[c] + d_im[c] * v_re[c]
                        mean_re += u_re
                        mean_im += u_im
                        if iteration < n_iterations:
                            for c in range(n_channels):
                                sum_re[c] += d_re[c] * u_re + d_im[c] * u_im
                                sum_im[c] += d_re[c] * u_im - d_im[c] * u_re
            size = math.sqrt(mean_re * mean_re + mean_im * mean_im)
            p_re = mean_re / size if size > 0 else np.float32(1)
            p_im = mean_im / size if size > 0 else np.float32(0)
            for c in range(n_channels):  # conj(v) times the phase of the combined mean
                out_real[y, x, c] = v_re[c] * p_re + v_im[c] * p_im
                out_imag[y, x, c] = v_re[c] * p_im - v_im[c] * p_re


def _interpolated(csm: Tensor, step: int, shape: tuple[int, ...]) -> Tensor:
    """Linear along each axis between the grid's points, constant beyond the last, of unit norm again."""
    if step == 1:
        return csm
    for axis, size in enumerate(shape, start=1):
        if size == 1:
            continue
        last = csm.shape[axis] - 1
        following = torch.cat([csm.narrow(axis, 1, last), csm.narrow(axis, last, 1)], axis)
        between = [torch.lerp(csm, following, torch.tensor(k / step, dtype=csm.dtype)) for k in range(step)]
        csm = torch.stack(between, axis + 1).flatten(axis, axis + 1).narrow(axis, 0, size)
    return csm / power(csm).sqrt().clamp(min=torch.finfo(torch.float32).tiny)


def _hann(size: int, device: torch.device) -> Tensor:
    """Symmetric Hann window without its zero end points, float32 `(size,)`."""
    return torch.sin(math.pi * (torch.arange(size, device=device) + 0.5) / size) ** 2
