"""Centred orthonormal Fourier transforms, right for odd and even sizes."""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_image(kspace: Tensor, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """K-space to image: `m(r) = N^-1/2 sum_k s(k) exp(+2 pi i k r / N)` along each of `dims`.

    Index `N // 2` holds k = 0 on the way in and r = 0 on the way out. Unitary: white noise of SD 1
    stays white noise of SD 1. Shape and dtype are kept.
    """
    shifted = torch.fft.ifftshift(kspace, dim=dims)
    return torch.fft.fftshift(torch.fft.ifftn(shifted, dim=dims, norm="ortho"), dim=dims)


def to_kspace(image: Tensor, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Image to k-space, the inverse (and adjoint) of `to_image`. Shape and dtype are kept."""
    shifted = torch.fft.ifftshift(image, dim=dims)
    return torch.fft.fftshift(torch.fft.fftn(shifted, dim=dims, norm="ortho"), dim=dims)


def centred_slice(size: int, within: int) -> slice:
    """The `size` indices of an axis of length `within` that keep its centre, `within // 2`, central."""
    start = within // 2 - size // 2
    return slice(start, start + size)


def remove_oversampling(kspace: Tensor, n_samples: int) -> Tensor:
    """K-space of the central `n_samples` pixels of the readout, `(..., ro)` to `(..., n_samples)`.

    Cropping an image keeps the SD of its noise, so SNR units hold. Made of plain transforms: the shifts of
    centred ones, each dearer than a transform, would cancel where both sizes are even, and leave a phase
    where not.
    """
    size = kspace.shape[-1]
    if n_samples == size:
        return kspace
    image = torch.fft.ifft(kspace, norm="ortho")
    image = torch.cat([image[..., : n_samples - n_samples // 2], image[..., size - n_samples // 2 :]], dim=-1)
    turn = (n_samples // 2) / n_samples - (size // 2) / size
    if turn:
        r = torch.fft.fftfreq(n_samples, 1 / n_samples, dtype=torch.float64, device=kspace.device)
        image = image * torch.polar(torch.ones_like(r), 2 * torch.pi * turn * r).to(image.dtype)
    return torch.fft.fft(image, norm="ortho")
