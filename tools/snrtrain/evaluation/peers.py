"""Other people's denoisers of complex images, each given the noise's SD: images / g, in which it is 1 per part."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from snrstream.recon.fft import to_image, to_kspace

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (images (S, H, W) complex64, gmap (H, W) or (S, H, W)) -> (S, H, W)

SHIFTS = 4  # of the wavelets' cycle spinning, along each axis
PHASE_SD = 0.2  # of the largest k: of the low pass before demodulation; the best on the validation volume
PATCH_RADIUS = 2  # of MPPCA, in pixels


def bm4d(images: Tensor, gmap: Tensor) -> Tensor:
    """BM4D (Maggioni et al., IEEE TIP 22:119, 2013) on the real and on the imaginary volume.

    The third dimension is that of the stack: slices, or time.
    """
    white = images / gmap
    return torch.complex(_bm4d_volume(white.real), _bm4d_volume(white.imag)) * gmap


def bm4d_demodulated(images: Tensor, gmap: Tensor) -> Tensor:
    """BM4D on the real part once the low-pass phase is off: where it is all of the phase, half of the noise is gone."""
    phase = smooth_phase(images)
    return _bm4d_volume((images / gmap * phase.conj()).real) * phase * gmap


def smooth_phase(images: Tensor) -> Tensor:
    """The phase factor, of magnitude 1, of each image once its k-space is multiplied by exp(-k^2 / (2 s^2)).

    s: 0.2 of the largest k along each axis.
    """
    taper = [torch.exp(-torch.linspace(-1, 1, n).square() / (2 * PHASE_SD**2)) for n in images.shape[-2:]]
    smooth = to_image(to_kspace(images) * taper[0][:, None] * taper[1])
    return torch.polar(torch.ones(images.shape), smooth.angle())


def part_by_part(denoise: Callable[[np.ndarray], np.ndarray]) -> Denoiser:
    """Real and imaginary part of each image, divided by g, by what denoises an image with a noise SD of 1."""

    def denoiser(images: Tensor, gmap: Tensor) -> Tensor:
        white = images / gmap
        parts = [np.stack([denoise(image.numpy()) for image in part]) for part in (white.real, white.imag)]
        return torch.complex(*(torch.from_numpy(part).float() for part in parts)) * gmap

    return denoiser


def non_local_means(part: np.ndarray) -> np.ndarray:
    """Buades et al., CVPR 2005, with scikit-image's own advice for h."""
    from skimage.restoration import denoise_nl_means

    denoised: np.ndarray = denoise_nl_means(part, patch_size=5, patch_distance=6, h=0.8, sigma=1.0, fast_mode=True)
    return denoised


def wavelets(part: np.ndarray) -> np.ndarray:
    """BayesShrink (Chang et al., IEEE TIP 9:1532, 2000), averaged over shifts (Coifman and Donoho, 1995)."""
    from skimage.restoration import denoise_wavelet

    total = np.zeros(part.shape)
    for shift in np.ndindex(SHIFTS, SHIFTS):
        shifted = np.roll(part, shift, (0, 1))
        denoised = denoise_wavelet(shifted, sigma=1.0, wavelet="sym4", method="BayesShrink", mode="soft")
        total += np.roll(denoised, (-shift[0], -shift[1]), (0, 1))
    return total / SHIFTS**2


def mppca(images: Tensor, gmap: Tensor) -> Tensor:
    """Marchenko-Pastur PCA over patches of 5 x 5 pixels and all frames (Veraart et al., NeuroImage 142:394, 2016).

    By dipy, on the real and on the imaginary series, lifted above 0, where dipy cuts its answer off.
    """
    from dipy.denoise.localpca import mppca as dipy_mppca

    white = (images / gmap).permute(1, 2, 0)[:, :, None].numpy()  # dipy: x, y, z, frame
    parts = []
    for part in (white.real, white.imag):
        lift = 2 * float(np.abs(part).max())
        denoised = dipy_mppca(part + lift, patch_radius=[PATCH_RADIUS, PATCH_RADIUS, 0]) - lift
        parts.append(torch.from_numpy(denoised[:, :, 0]).float().permute(2, 0, 1))
    return torch.complex(*parts) * gmap


STATIC: dict[str, Denoiser] = {
    "BM4D": bm4d,
    "BM4D demodulated": bm4d_demodulated,
    "NLM": part_by_part(non_local_means),
    "wavelets": part_by_part(wavelets),
}
DYNAMIC: dict[str, Denoiser] = {"MPPCA": mppca, "BM4D x-y-t": bm4d}


def _bm4d_volume(volume: Tensor) -> Tensor:
    """`(S, H, W)` float32 with a noise SD of 1."""
    from bm4d import bm4d as denoise

    denoised = np.asarray(denoise(volume.permute(1, 2, 0).numpy(), 1.0)).reshape(*volume.shape[1:], len(volume))
    return torch.from_numpy(denoised).float().permute(2, 0, 1)
