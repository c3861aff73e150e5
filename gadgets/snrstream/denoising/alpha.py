"""How much of the original a denoised image keeps: one alpha for all pixels, or one by the g-factor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .blending import blend

MOST_PAIRS = 100
LONGEST = 2000  # characters


@dataclass(frozen=True)
class Alpha:
    """Weight of the original, 0 (network alone) to 1 (original).

    Attributes
    ----------
    points
        Pairs (g, alpha) of rising g, linear in between and constant outside; a single one holds for all g.
    """

    points: tuple[tuple[float, float], ...]

    @classmethod
    def constant(cls, alpha: float) -> Alpha:
        """The same for all pixels."""
        return cls(((1.0, alpha),))

    @classmethod
    def by_g(cls, text: str) -> Alpha:
        """From a table such as `1:0.5 2:0.3 4:0.1`.

        Raises
        ------
        ValueError
            The text is no such table; what is wrong in it is named.
        """
        pairs = text.split()
        problem = _problem(pairs) if len(text) <= LONGEST else f"it has {len(text)} characters"
        if problem:
            raise ValueError(
                f"alpha_by_g is {text[:100]!r}: {problem}; expected up to {MOST_PAIRS} pairs g:alpha, such as "
                "'1:0.5 2:0.3', with g above 0 and rising, alpha from 0 to 1"
            )
        return cls(tuple((g, alpha) for g, alpha in map(_pair, pairs)))

    @property
    def keeps_original(self) -> bool:
        """Whether it is 1 everywhere, so that no network is needed."""
        return all(alpha == 1 for _, alpha in self.points)

    def __str__(self) -> str:
        if len(self.points) == 1:
            return f"{self.points[0][1]:g}"
        return " ".join(f"{g:g}:{alpha:g}" for g, alpha in self.points)

    def blend(self, original: np.ndarray, denoised: np.ndarray, gmap: np.ndarray) -> np.ndarray:
        """`alpha * original + (1 - alpha) * denoised`, bit for bit the original where alpha is 1.

        Parameters
        ----------
        original, denoised
            Complex64, of any equal shapes: complex data, before the magnitude.
        gmap
            Float32, of the same shape.

        References
        ----------
        Jung et al., "MR-self Noise2Noise", European Radiology (2022), eq. 1.
        """
        if len(self.points) == 1:
            return blend(original, denoised, self.points[0][1])
        table_g, table_alpha = zip(*self.points, strict=True)
        alpha = np.interp(gmap, table_g, table_alpha).astype(np.float32)
        mixed = alpha * original + (1 - alpha) * denoised
        return np.where(alpha == 1, original, mixed).astype(original.dtype)


def _pair(text: str) -> tuple[float, float]:
    g, alpha = text.split(":")
    return float(g), float(alpha)


def _problem(pairs: list[str]) -> str:
    """What is wrong with the pairs, or nothing."""
    if not 1 <= len(pairs) <= MOST_PAIRS:
        return f"it has {len(pairs)} pairs"
    before = 0.0
    for text in pairs:
        try:
            g, alpha = _pair(text)
        except ValueError:
            return f"{text[:40]!r} is no pair of numbers"
        if not (before < g < math.inf and 0 <= alpha <= 1):
            return f"{text[:40]!r} is out of range or order"
        before = g
    return ""
