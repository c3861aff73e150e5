"""What is chosen for each patch of a batch: its place, turn, phase, level, g-map and k-space filters.

All of it follows from one matrix of uniform numbers, in the processor's memory: so how many patches have which kind of
noise is known there, and a GPU never has to be asked.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Entry
from snrtrain.methods.noise_process import (
    GAUSSIAN_SIGMAS,
    PARTIAL_FOURIER,
    RESOLUTION,
    NoiseRange,
    gaussian_filter,
    partial_fourier_filter,
    resolution_filter,
)

FILTERED, WHITE, OWN = range(3)  # kinds of noise, in the order in which a batch has them
N_UNIFORM = 30  # numbers for each patch


@dataclass(frozen=True)
class PatchRange:
    """Bounds and shares of what `Chooser` draws.

    size: edge in pixels. n_frames: neighbours in a patch, along an entry's axis of frames; a shorter one goes on as its
    mirror image, as at the scanner.
    amplitude: bright tissue in SNR units before the noise process divides it by sqrt(sigma^2 + 1), log-uniform, of
    simulated scans; real ones keep theirs, for their own noise is 1. With sigma ~ U(0, 32), 50 to 500 give a final
    SNR of 2 to 60 in most patches.
    p_own: share that keeps the noise of its own reconstruction, not drawn anew, where the entry has it.
    p_uniform_g: share of the others with g = 1. p_turned: share with a random constant phase. whole: only of entries
    that have as many frames.
    """

    size: int = 64
    n_frames: int = 1
    amplitude: tuple[float, float] = (50.0, 500.0)
    p_own: float = 0.2
    p_uniform_g: float = 0.4
    p_turned: float = 0.15
    whole: bool = False


@dataclass(frozen=True)
class Choices:
    """Of n patches, those with filtered noise first, those with the noise of their own reconstruction last.

    kind: FILTERED, WHITE or OWN. entry: number of the entry; frames `(n, frame)` of it, the mirrored ones as what they
    mirror; top, left. turn, map_turn: flip along ro (1), flip along e1 (2), then transpose (4). factor: complex, of the
    clean image. level: SD of the noise where g is 1. map_entry: -1 for g = 1; map_number, map_top, map_left and
    map_edge: the part of the g-map that is magnified to the patch. filters `(n, 2, 3)`: rows of `Chooser.table` whose
    product is the filter along e1 and along ro.
    """

    kind: np.ndarray
    entry: np.ndarray
    frames: np.ndarray
    top: np.ndarray
    left: np.ndarray
    turn: np.ndarray
    factor: np.ndarray
    level: np.ndarray
    map_entry: np.ndarray
    map_number: np.ndarray
    map_top: np.ndarray
    map_left: np.ndarray
    map_edge: np.ndarray
    map_turn: np.ndarray
    filters: np.ndarray


class Chooser:
    """Draws `Choices` over the entries of an archive. Raises ConfigurationError where one is smaller than a patch."""

    def __init__(self, entries: Sequence[Entry], patch: PatchRange, noise: NoiseRange) -> None:
        self._patch, self._noise = patch, noise
        facts, windows = [], self._windows(patch.size)
        for entry in entries:
            n_frames, *edges = entry.clean.shape
            if min(edges) < patch.size:
                raise ConfigurationError(
                    f"an image of {entry.source} has {edges[0]} x {edges[1]} pixels; "
                    f"expected {patch.size} x {patch.size} or more, the recipe's patch"
                )
            rows = [0, 0]
            if min(entry.resolution) < 1:  # a zero-filled scan: its noise is as smooth as its signal
                rows = [len(windows), len(windows) + 1]
                windows += [resolution_filter(patch.size, share) for share in entry.resolution]
            facts.append((n_frames, *edges, len(entry.gmaps), entry.own_noise, entry.noise is not None, *rows))
        self._facts = np.array(facts, np.int64).T
        self._neighbours = np.array([neighbours(entry) for entry in entries])
        self._snr = np.array([entry.snr for entry in entries])
        self.table = torch.fft.ifftshift(torch.stack(windows), dim=-1)  # k = 0 first

    def draw(self, n_patches: int, n_frames: int, generator: torch.Generator) -> Choices:
        """generator: of the processor. n_frames: of each patch.

        Where the range's frames are whole, entries of fewer are left out: a mirrored frame beside the one that it
        mirrors would teach a network that neighbours are alike. Some entry must have as many then.
        """
        patch, noise, size = self._patch, self._noise, self._patch.size
        u = iter(torch.rand(N_UNIFORM, n_patches, generator=generator, dtype=torch.float64).numpy())
        among = np.flatnonzero(self._neighbours >= n_frames) if patch.whole else np.arange(len(self._snr))
        entry = among[_below(next(u), len(among))]
        n_there, height, width, _, own_noise, has_noise, *own_rows = self._facts[:, entry]
        first = _below(next(u), np.maximum(1, n_there - n_frames + 1))
        period = np.maximum(1, 2 * (n_there - 1))[:, None]
        at = (first[:, None] + np.arange(n_frames)) % period
        top, left, turn = _below(next(u), height - size + 1), _below(next(u), width - size + 1), _below(next(u), 8)
        phase = np.where(next(u) < patch.p_turned, 2 * math.pi * next(u), 0.0)
        own = (next(u) < patch.p_own) & (has_noise == 1)

        map_entry = np.where((next(u) < patch.p_uniform_g) | own, -1, _below(next(u), len(self._snr)))
        _, map_height, map_width, n_maps, *_ = self._facts[:, map_entry]
        edge = np.minimum(size // 2 + _below(next(u), size // 2 + 1), np.minimum(map_height, map_width))
        map_number = _below(next(u), n_maps)
        map_top, map_left = _below(next(u), map_height - edge + 1), _below(next(u), map_width - edge + 1)
        map_turn = _below(next(u), 8)

        low, high = map(math.log, patch.amplitude)
        amplitude = np.exp(low + (high - low) * next(u)) / self._snr[entry]
        sigma = noise.sigma_max * next(u)
        scale = (sigma**2 + 1) ** -0.5
        # Noise of the signal itself (SD 1, where it has none yet) and added noise are one Gaussian of their joint SD.
        level = np.where(own_noise == 1, sigma * scale, 1.0)
        factor = np.where(own, 1.0, scale * np.where(own_noise == 1, 1.0, amplitude)) * np.exp(1j * phase)

        white = next(u) < noise.p_white
        drawn = np.stack([self._rows(u) for _ in range(2)], axis=1)
        drawn[white] = 0
        smooth = np.stack(own_rows, axis=1)
        smooth = np.where((turn & 4)[:, None] > 0, smooth[:, ::-1], smooth)
        filled = smooth.any(axis=1)
        drawn[filled] = 0
        drawn[filled, :, 0] = smooth[filled]
        kind = np.where(own, OWN, np.where(drawn.any(axis=(1, 2)), FILTERED, WHITE))
        found = Choices(kind, entry, np.minimum(at, period - at), top, left, turn, factor, level, map_entry, map_number,
                        map_top, map_left, edge, map_turn, drawn)  # fmt: skip
        order = np.argsort(kind, kind="stable")
        return Choices(*(getattr(found, field.name)[order] for field in fields(Choices)))

    def _rows(self, u: Iterator[np.ndarray]) -> np.ndarray:
        """Of one direction: a Gaussian filter, partial Fourier on either side, a lower resolution; 0 for none."""
        noise, rows, first = self._noise, [], 1
        for share, values, sides in (
            (noise.p_gaussian, GAUSSIAN_SIGMAS, 1),
            (noise.p_partial_fourier, PARTIAL_FOURIER, 2),
            (noise.p_resolution, RESOLUTION, 1),
        ):
            happens, which = next(u) < share, _below(next(u), sides * len(values))
            rows.append(np.where(happens, first + which, 0))
            first += sides * len(values)
        return np.stack(rows, axis=1)

    @staticmethod
    def _windows(size: int) -> list[Tensor]:
        """Filters along one direction, k = 0 in the middle: none, then those that `_rows` counts."""
        partial = [partial_fourier_filter(size, share) for share in PARTIAL_FOURIER]
        return [
            torch.ones(size),
            *(gaussian_filter(size, sigma) for sigma in GAUSSIAN_SIGMAS),
            *partial, *(window.flip(0) for window in partial),
            *(resolution_filter(size, share) for share in RESOLUTION),
        ]  # fmt: skip


def neighbours(entry: Entry) -> int:
    """How many frames of an entry are neighbours; images whose axis is none are not."""
    return 1 if entry.axis == "none" else len(entry.clean)


def _below(uniform: np.ndarray, bound: int | np.ndarray) -> np.ndarray:
    """Integers 0 ... bound - 1."""
    return np.minimum((uniform * bound).astype(np.int64), bound - 1)
