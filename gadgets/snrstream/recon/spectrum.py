"""The noise's standard deviation over k-space, which tells how an image's noise is correlated."""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Spectrum:
    """SD of the noise at every sample of an image's k-space, relative: 1 everywhere is white noise.

    It is the product of two tensors, each of mean square 1, so that an image of unit noise keeps an SD of 1. Index `N
    // 2` holds k = 0. Zero where nothing was acquired, or a filter lets nothing pass.

    Parameters
    ----------
    lines : Tensor
        `(e2, e1)` float32, of the phase encodes.
    samples : Tensor
        `(ro,)` float32, of the readout.
    """

    lines: Tensor
    samples: Tensor

    @classmethod
    def of(cls, lines: Tensor, samples: Tensor) -> "Spectrum":
        """From any non-negative values, which are scaled to a mean square of 1.

        Parameters
        ----------
        lines : Tensor
            `(e2, e1)` real.
        samples : Tensor
            `(ro,)` real.
        """
        return cls(*(part.float() / part.float().square().mean().sqrt() for part in (lines, samples)))

    @classmethod
    def white(cls, shape: tuple[int, int, int]) -> "Spectrum":
        """Of white noise.

        Parameters
        ----------
        shape : tuple of int
            Of the image: (e2, e1, ro).
        """
        return cls(torch.ones(shape[:2]), torch.ones(shape[2]))

    @functools.cached_property
    def correlation(self) -> tuple[float, float, float]:
        """Correlation of the noise of two pixels one apart along e2, e1 and ro: 0 for white noise.

        By Wiener and Khinchin, the real part of the transform of the power spectrum at a shift of one pixel.
        """
        power = self.lines.square().double()
        along_e2, along_e1, along_ro = power.mean(dim=1), power.mean(dim=0), self.samples.square().double()
        return _lag_1(along_e2), _lag_1(along_e1), _lag_1(along_ro)


def _lag_1(power: Tensor) -> float:
    k = torch.arange(len(power), dtype=torch.float64) - len(power) // 2
    return float((power * torch.cos(2 * math.pi * k / len(power))).mean()) if len(power) > 1 else 0.0
