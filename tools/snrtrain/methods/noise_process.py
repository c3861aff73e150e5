"""SNRAware's noise process: white noise, k-space filters, the g-map, one scale (arXiv 2503.18162).

For a signal S in SNR units (SD 1 per part once its own noise is in it) and sigma ~ U(0, 32):

    noisy = (S + n g) / sqrt(sigma^2 + 1)        clean = S / sqrt(sigma^2 + 1)

with n white noise of SD sigma, filtered in k-space. Two choices are ours, and tested:

1. Filters before the g-map, as in the authors' code (the paper says after). It is what a scanner does:
   k-space is filtered or zero-filled first, and coil combination multiplies in image space. So the
   noise in a pixel has the SD g, whatever the filters, which are rescaled to keep the SD at 1.
2. Simulated signals are noise-free, and the formula counts on S having unit noise of its own. That
   noise is drawn too, takes the same filters and g-map (so that the total SD is exactly g), and stays
   out of the target: with real scans nobody knows the noise-free S, here we do.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from snrstream.recon.fft import to_image, to_kspace
from snrtrain.recipe import Recipe

GAUSSIAN_SIGMAS = (0.8, 1.0, 1.5, 2.0, 2.25)
PARTIAL_FOURIER = (1.0, 0.85, 0.7, 0.65, 0.55)
RESOLUTION = (1.0, 0.85, 0.7, 0.65, 0.55)
TAPER = 0.1  # of the kept samples: the width of the Hanning edge


@dataclass(frozen=True)
class NoiseRange:
    """What `draw_filter` and `choices.Chooser` choose from.

    sigma_max: of sigma ~ U(0, sigma_max). p_white: share of samples without any filter, which is what
    the pipeline's own reconstruction gives. p_gaussian, p_partial_fourier, p_resolution: probability
    of each filter per direction, in the samples that are filtered.
    """

    sigma_max: float = 32.0
    p_white: float = 0.5
    p_gaussian: float = 0.5
    p_partial_fourier: float = 0.5
    p_resolution: float = 0.5

    @classmethod
    def of(cls, recipe: Recipe) -> "NoiseRange":
        """A recipe's."""
        return cls(*(getattr(recipe, field.name) for field in fields(cls)))


def gaussian_filter(size: int, sigma: float) -> Tensor:
    """`exp(-sigma^2 x^2 / 2)` on x in -1 ... 1, float32 `(size,)`."""
    x = torch.linspace(-1, 1, size)
    return torch.exp(-(sigma**2) * x.square() / 2)


def partial_fourier_filter(size: int, fraction: float) -> Tensor:
    """Keeps the first `fraction` of the samples, with a Hanning taper at the cut; float32 `(size,)`."""
    return _cut(size, 0, max(1, round(fraction * size)), taper_left=False)


def resolution_filter(size: int, fraction: float) -> Tensor:
    """Keeps the central `fraction` of the samples, tapered at both ends; float32 `(size,)`."""
    kept = max(1, round(fraction * size))
    return _cut(size, size // 2 - kept // 2, kept, taper_left=True)


def draw_filter(size: int, limits: NoiseRange, generator: torch.Generator) -> Tensor:
    """The product of randomly chosen filters for one direction, float32 `(size,)`, not rescaled."""
    weights = torch.ones(size)
    if _happens(limits.p_gaussian, generator):
        weights = weights * gaussian_filter(size, _choose(GAUSSIAN_SIGMAS, generator))
    if _happens(limits.p_partial_fourier, generator):
        cut = partial_fourier_filter(size, _choose(PARTIAL_FOURIER, generator))
        weights = weights * (cut.flip(0) if _happens(0.5, generator) else cut)
    if _happens(limits.p_resolution, generator):
        weights = weights * resolution_filter(size, _choose(RESOLUTION, generator))
    return weights


def draw_kspace_filter(shape: tuple[int, ...], limits: NoiseRange, generator: torch.Generator) -> Tensor | None:
    """One k-space filter `(e1, ro)`, drawn independently for each direction; None for white noise."""
    if _happens(limits.p_white, generator):
        return None
    e1, ro = (draw_filter(size, limits, generator) for size in shape)
    return e1[:, None] * ro[None, :]


def unit_noise(shape: tuple[int, ...], kspace_filter: Tensor | None, generator: torch.Generator) -> Tensor:
    """Complex64 noise `(e1, ro)` with SD 1 per part, filtered by `kspace_filter` `(e1, ro)` and rescaled."""
    noise = torch.complex(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator))
    if kspace_filter is None:
        return noise
    # White noise through a filter w keeps mean(w^2) of its variance (Parseval).
    return to_image(to_kspace(noise) * (kspace_filter / kspace_filter.square().mean().sqrt()))


def _cut(size: int, start: int, kept: int, taper_left: bool) -> Tensor:
    weights = torch.zeros(size)
    weights[start : start + kept] = 1.0
    if kept == size:
        return weights
    width = max(1, round(TAPER * kept))
    edge = torch.sin(torch.pi / 2 * (torch.arange(width) + 0.5) / width).square()
    weights[start + kept - width : start + kept] *= edge.flip(0)
    if taper_left:
        weights[start : start + width] *= edge
    return weights


def _choose(values: tuple[float, ...], generator: torch.Generator) -> float:
    return values[int(torch.randint(len(values), (), generator=generator))]


def _happens(probability: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < probability
