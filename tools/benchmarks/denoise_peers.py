"""The denoising model on one noisy frame of a known object, beside other people's denoisers of the same frame."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tools.evaluate import bm4d_denoiser, reference_level
from tools.simulate import object_phase, shepp_logan
from tools.training.metrics import magnitude_psnr, object_mask
from tools.training.noise_process import unit_noise

from .peers import has
from .timing import Row, Run, rested_ratio

SNR, LARGEST_G = 10.0, 2.0
SHIFTS = 4  # of the wavelets' cycle spinning, along each axis

Denoiser = Callable[[Tensor, Tensor], Tensor]  # (images (S, H, W) complex64, gmap (H, W)) -> (S, H, W)


@dataclass(frozen=True)
class NoisyFrame:
    """clean, noisy: `(e1, ro)` complex64 in SNR units; gmap: the same shape, float32."""

    clean: Tensor
    noisy: Tensor
    gmap: Tensor

    def psnr(self, image: Tensor) -> float:
        """In dB, of the magnitude inside the object."""
        return magnitude_psnr(image, self.clean, object_mask(self.clean.abs()))


def noisy_frame(size: int) -> NoisyFrame:
    """A Shepp-Logan phantom with smooth phase, bright tissue at `SNR`, under a g-map of 1 to `LARGEST_G`."""
    magnitude = shepp_logan(size)
    phase = object_phase((size, size), np.random.default_rng(0), 0.5)
    clean = torch.polar(magnitude * (SNR / reference_level(magnitude)), phase)
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, size)], indexing="ij")
    gmap = 1 + (LARGEST_G - 1) * torch.exp(-2 * (x**2 + y**2))  # largest in the middle, as with parallel imaging
    noise = gmap * unit_noise((size, size), None, torch.Generator().manual_seed(0))
    return NoisyFrame(clean, clean + noise, gmap)


def rows(frame: NoisyFrame, ours: Callable[[], Tensor], bare: Run) -> Iterator[Row]:
    """Time over that of `bare`, and the PSNR. ours: denoises the frame at alpha 0."""
    size = f"{len(frame.gmap)} x {len(frame.gmap)}, SNR {SNR:g}"
    yield Row(f"{size}: noisy: PSNR in dB", frame.psnr(frame.noisy))
    yield from row_pair(f"{size}: the gadget at alpha 0", frame, ours, bare, 5)
    others: list[tuple[str, str, Denoiser, int]] = [
        ("bm4d", "BM4D", bm4d_denoiser, 0),
        ("skimage", "NLM", part_by_part(non_local_means), 2),
        ("skimage", "wavelets", part_by_part(wavelets), 2),
    ]
    for package, name, denoiser, n_further in others:
        if has(package):

            def run(denoiser: Denoiser = denoiser) -> Tensor:
                return denoiser(frame.noisy[None], frame.gmap)[0]

            yield from row_pair(f"{size}: {name}", frame, run, bare, n_further)


def row_pair(name: str, frame: NoisyFrame, run: Callable[[], Tensor], bare: Run, n_further: int) -> Iterator[Row]:
    """n_further: runs after a first untimed one; where that is 0, the first one is timed."""
    answers: list[Tensor] = []
    times = rested_ratio(lambda: answers.append(run()), bare, n_further or 1, warm=min(1, n_further))
    yield Row(f"{name}: time", times)
    yield Row(f"{name}: PSNR in dB", frame.psnr(answers[-1]))


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
