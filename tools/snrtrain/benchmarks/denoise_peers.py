"""The denoising model on one noisy frame of a known object, beside other people's denoisers of the same frame."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snrtrain.evaluation.peers import STATIC, Denoiser
from snrtrain.methods.noise_process import unit_noise
from snrtrain.metrics import magnitude_psnr, object_mask, reference_level
from snrtrain.simulation.phantom import object_phase, shepp_logan

from .peers import has
from .timing import Row, Run, rested_ratio

SNR, LARGEST_G = 10.0, 2.0


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
    for package, name, n_further in (("bm4d", "BM4D", 0), ("skimage", "NLM", 2), ("skimage", "wavelets", 2)):
        if has(package):

            def run(denoiser: Denoiser = STATIC[name]) -> Tensor:
                return denoiser(frame.noisy[None], frame.gmap)[0]

            yield from row_pair(f"{size}: {name}", frame, run, bare, n_further)


def row_pair(name: str, frame: NoisyFrame, run: Callable[[], Tensor], bare: Run, n_further: int) -> Iterator[Row]:
    """n_further: runs after a first untimed one; where that is 0, the first one is timed."""
    answers: list[Tensor] = []
    times = rested_ratio(lambda: answers.append(run()), bare, n_further or 1, warm=min(1, n_further))
    yield Row(f"{name}: time", times)
    yield Row(f"{name}: PSNR in dB", frame.psnr(answers[-1]))
