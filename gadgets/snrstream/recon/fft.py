"""Centred orthonormal Fourier transforms, right for odd and even sizes."""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_image(kspace: Tensor, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """K-space to image: `m(r) = N^-1/2 sum_k s(k) exp(+2 pi i k r / N)` along each of `dims`.

    Unitary: white noise of SD 1 stays white noise of SD 1.

    Parameters
    ----------
    kspace : Tensor
        Complex, of any shape; index `N // 2` of each of `dims` holds k = 0.
    dims : sequence of int
        The axes to transform.

    Returns
    -------
    Tensor
        Of the same shape and dtype; index `N // 2` holds r = 0.
    """
    shifted = torch.fft.ifftshift(kspace, dim=dims)
    image: Tensor = torch.fft.fftshift(torch.fft.ifftn(shifted, dim=dims, norm="ortho"), dim=dims)
    return image


def to_kspace(image: Tensor, dims: Sequence[int] = (-2, -1)) -> Tensor:
    """Image to k-space, the inverse (and adjoint) of `to_image`.

    Parameters
    ----------
    image : Tensor
        Complex, of any shape; index `N // 2` of each of `dims` holds r = 0.
    dims : sequence of int
        The axes to transform.

    Returns
    -------
    Tensor
        Of the same shape and dtype; index `N // 2` holds k = 0.
    """
    shifted = torch.fft.ifftshift(image, dim=dims)
    kspace: Tensor = torch.fft.fftshift(torch.fft.fftn(shifted, dim=dims, norm="ortho"), dim=dims)
    return kspace


def centred_slice(size: int, within: int) -> slice:
    """The indices of an axis that keep its centre, `within // 2`, central.

    Parameters
    ----------
    size : int
        How many indices.
    within : int
        Length of the axis, no less than `size`.
    """
    start = within // 2 - size // 2
    return slice(start, start + size)


def gridded_readouts(readouts: Tensor, centre: int, n_encoded: int, n_pixels: int) -> Tensor:
    """K-space of the central pixels of readouts: oversampling removed, short and asymmetric ones filled with zeros.

    Oversampling goes by cropping the image, which keeps the SD of its noise, so SNR units hold. Made of plain
    transforms: the shifts of centred ones, each dearer than a transform, would mostly cancel, and leave a phase.

    Parameters
    ----------
    readouts : Tensor
        `(..., sample)` complex64.
    centre : int
        The sample that holds k = 0.
    n_encoded : int
        Samples of a full readout, no fewer than there are.
    n_pixels : int
        Central pixels that are kept of as many.

    Returns
    -------
    Tensor
        `(..., n_pixels)` complex64, k = 0 at n_pixels // 2. What was not acquired is zero.
    """
    size = readouts.shape[-1]
    if n_pixels == n_encoded == size and centre == size // 2:
        return readouts
    image = torch.fft.ifft(readouts, n=n_encoded, norm="ortho")
    if n_pixels < n_encoded:
        image = torch.cat([image[..., : n_pixels - n_pixels // 2], image[..., n_encoded - n_pixels // 2 :]], dim=-1)
    turn = (n_pixels // 2) / n_pixels - centre / n_encoded
    if turn:
        r = torch.fft.fftfreq(n_pixels, 1 / n_pixels, dtype=torch.float64, device=readouts.device)
        image = image * torch.polar(torch.ones_like(r), 2 * torch.pi * turn * r).to(image.dtype)
    kspace: Tensor = torch.fft.fft(image, norm="ortho")
    return kspace


def acquired_share(n_samples: int, centre: int, n_encoded: int, n_pixels: int) -> Tensor:
    """How much of each sample of `gridded_readouts` was acquired.

    Parameters
    ----------
    n_samples : int
        Acquired samples of a readout.
    centre : int
        The sample among them that holds k = 0.
    n_encoded : int
        Samples of a full readout.
    n_pixels : int
        Samples of the gridded one.

    Returns
    -------
    Tensor
        `(n_pixels,)` float32, 0 to 1.
    """
    if n_samples == n_encoded:
        return torch.ones(n_pixels)
    # Edges of the acquired interval, and of each sample's, in samples of the grid; k = 0 at n_pixels // 2.
    low, high = ((edge - centre) * n_pixels / n_encoded + n_pixels // 2 for edge in (-0.5, n_samples - 0.5))
    edges = torch.arange(n_pixels + 1) - 0.5
    return (edges[1:].clamp(max=high) - edges[:-1].clamp(min=low)).clamp(0, 1)
