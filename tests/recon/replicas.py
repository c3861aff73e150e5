"""Pseudo-replicas (Robson et al., MRM 60:895 (2008)): pure noise through a fixed linear reconstruction."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from snrstream.recon.acquired import Acquired
from snrstream.recon.combine import Grid
from snrstream.recon.fft import to_image
from snrstream.recon.grappa import calibrate
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan
from snrstream.recon.spectrum import Spectrum

from .simulation import Shape, central, lattice_mask, noisy_kspace, true_maps, white_noise

Step = Callable[[Tensor, Tensor, Spectrum], tuple[Tensor, Tensor, Spectrum]]
N_REPLICAS = 128
# 2 N_REPLICAS real numbers a pixel: the SD of the SD is 1 / sqrt(4 N_REPLICAS).
MOST_SPREAD = 1.1 / math.sqrt(4 * N_REPLICAS)


@dataclass(frozen=True)
class Reconstruction:
    """GRAPPA and coil combination of noise that fills the acquired part of k-space."""

    plan: Plan
    acquired: Tensor
    spectrum: Spectrum
    n_channels: int

    @classmethod
    def of(cls, r: tuple[int, int], n_channels: int, shape: Shape, lacking: tuple[int, int, int]) -> "Reconstruction":
        """lacking: how many lines or samples are cut at the low end of e2, e1 and ro; negative: at the high end."""
        lattice, acceleration = Lattice(r), math.prod(r)
        reached = [torch.ones(n) for n in shape]
        for there, n in zip(reached, lacking, strict=True):
            there[slice(0, n) if n > 0 else slice(len(there) + n, len(there))] = 0
        sampled = lattice_mask(lattice, *shape[:2]) * reached[0][:, None] * reached[1]
        acs, _ = central(noisy_kspace(n_channels, shape, snr=50), min(shape[0], 16), 24 if shape[0] == 1 else 16)
        kernel = calibrate(acs, lattice) if acceleration > 1 else None
        plan = Plan.with_maps(
            true_maps(n_channels, shape), Acquired(Grid(shape[:2]), lattice, sampled.float(), reached[2]), kernel
        )
        spectrum = Spectrum.of(reached[0][:, None] * reached[1], reached[2])
        return cls(plan, sampled[..., None] * reached[2], spectrum, n_channels)

    @property
    def gmap(self) -> Tensor:
        return self.plan.gmap

    def sd_over_g(self, step: Step) -> Tensor:
        """Measured SD over the g-map, for each pixel, after `step`."""
        generator = torch.Generator().manual_seed(1)
        power, gmap = torch.zeros(()), self.gmap
        for _ in range(N_REPLICAS):
            noise = white_noise(generator, self.n_channels, *self.acquired.shape) * self.acquired
            image, gmap, _ = step(self.plan.image(noise), self.gmap, self.spectrum)
            power = power + image.abs().square()
        return torch.sqrt(power / (2 * N_REPLICAS)) / gmap


def lag_1(step: Step, spectrum: Spectrum, n_images: int = 64) -> tuple[float, ...]:
    """Measured correlation of neighbours along e2, e1 and ro, the last pixel's being the first, after `step`.

    Of stationary noise that has the SD `spectrum` over k-space.
    """
    shape = (*spectrum.lines.shape, len(spectrum.samples))
    generator = torch.Generator().manual_seed(2)
    products, power = [0.0, 0.0, 0.0], 0.0
    for _ in range(n_images):
        kspace = white_noise(generator, *shape) * spectrum.lines[..., None] * spectrum.samples
        image = step(to_image(kspace, dims=(0, 1, 2)), torch.ones(shape), spectrum)[0]
        power += float(image.abs().square().sum())
        for axis in range(3):
            products[axis] += float((image * torch.roll(image, -1, axis).conj()).real.sum())
    return tuple(p / power if n > 1 else 0.0 for p, n in zip(products, image.shape, strict=True))
