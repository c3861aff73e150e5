"""Coil sensitivity maps by local principal components, for adaptive coil combination.

Sources: Walsh, Gmitro and Marcellin, "Adaptive reconstruction of phased array MR imagery",
MRM 43:682 (2000); Inati, Hansen and Kellman, "A solution to the phase problem in adaptive coil
combination", ISMRM 2013, 2672.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .fft import to_image

ROWS_AT_ONCE = 16  # bounds the memory of the gathered neighbourhoods


def calibration_images(acs: Tensor, start: int, n_e1: int) -> Tensor:
    """Low-resolution coil images of calibration lines, tapered by a Hann window against ringing.

    acs: `(channel, line, ro)` complex64, its first line at index `start` of `n_e1`.
    Returns `(channel, n_e1, ro)`.
    """
    n_channels, n_lines, n_ro = acs.shape
    taper = _hann(n_lines, acs.device)[:, None] * _hann(n_ro, acs.device)
    kspace = acs.new_zeros(n_channels, n_e1, n_ro)
    kspace[:, start : start + n_lines] = acs * taper
    return to_image(kspace)


def inati(images: Tensor, window: int = 7, n_iterations: int = 5) -> Tensor:
    """Maps from coil images: the leading right singular vector of each pixel's neighbourhood.

    images: `(channel, e1, ro)` complex64, prewhitened. window: edge of the square neighbourhood in
    pixels, odd. Returns `(channel, e1, ro)` complex64 with sum |csm|^2 = 1 in every pixel.

    For the matrix D (pixels of the neighbourhood x channels), power iteration goes through D v and
    D^H u, so that the covariance D^H D of Walsh is never formed; v combines the coils, and csm is its
    conjugate. The free phase of v is set so that the neighbourhood's combined pixels sum to a positive
    real number (Inati): the maps are smooth, and take the object's slowly varying phase into them.
    """
    n_channels, n_e1, n_ro = images.shape
    half = window // 2
    padded = F.pad(images, (half, half, half, half))
    maps = torch.empty_like(images)
    for start in range(0, n_e1, ROWS_AT_ONCE):
        n_rows = min(ROWS_AT_ONCE, n_e1 - start)
        block = padded[:, start : start + n_rows + 2 * half]
        windows = block.unfold(1, window, 1).unfold(2, window, 1)  # (channel, row, ro, wy, wx)
        data = windows.permute(1, 2, 3, 4, 0).reshape(n_rows * n_ro, window * window, n_channels)
        vector = _normalised(data.sum(dim=1).conj())
        for _ in range(n_iterations):
            projected = data @ vector[:, :, None]
            vector = _normalised((data.mH @ projected).squeeze(2))
        mean = (data @ vector[:, :, None]).sum(dim=(1, 2))
        phase = torch.where(mean.abs() > 0, mean / mean.abs(), torch.ones_like(mean))
        csm = vector.conj() * phase[:, None]
        maps[:, start : start + n_rows] = csm.T.reshape(n_channels, n_rows, n_ro)
    return maps


def _hann(size: int, device: torch.device) -> Tensor:
    """Symmetric Hann window without its zero end points, float32 `(size,)`."""
    return torch.sin(math.pi * (torch.arange(size, device=device) + 0.5) / size) ** 2


def _normalised(vector: Tensor) -> Tensor:
    """Unit vectors `(pixel, channel)`; a pixel without signal weighs all channels alike."""
    norm = torch.linalg.vector_norm(vector, dim=1, keepdim=True)
    even = torch.full_like(vector, vector.shape[1] ** -0.5)
    return torch.where(norm > 0, vector / norm, even)
