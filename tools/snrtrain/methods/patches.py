"""Patches of noisy and clean images, drawn from the archive on the fly.

Every patch gets a place, a turn, a noise level, a g-map and a filter of its own; the only random source is the
generator that is passed in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from snrstream.denoising.contracts import mirrored
from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Entry, sound
from snrtrain.methods.noise_process import NoiseRange, add_noise, draw_kspace_filter, draw_sigma, resolution_filter

Place = tuple[list[int], slice, slice]


@dataclass(frozen=True)
class PatchRange:
    """Bounds and shares of what `draw_patch` draws.

    size: edge in pixels. n_frames: neighbours in a patch, along an entry's axis of frames; a shorter one goes on as its
    mirror image, as at the scanner.
    amplitude: bright tissue in SNR units before the noise process divides it by sqrt(sigma^2 + 1), log-uniform, of
    simulated scans; real ones keep theirs, for their own noise is 1. With sigma ~ U(0, 32), 50 to 500 give a final
    SNR of 2 to 60 in most patches.
    p_own: share that keeps the noise of its own reconstruction, not drawn anew, where the entry has it.
    p_uniform_g: share of the others with g = 1. p_turned: share with a random constant phase.
    """

    size: int = 64
    n_frames: int = 1
    amplitude: tuple[float, float] = (50.0, 500.0)
    p_own: float = 0.2
    p_uniform_g: float = 0.4
    p_turned: float = 0.15


@dataclass(frozen=True)
class Patch:
    """noisy, clean: `(frame, e1, ro)` complex64 in SNR units; gmap: the same shape, float32."""

    noisy: Tensor
    clean: Tensor
    gmap: Tensor


def draw_patch(entries: Sequence[Entry], patch: PatchRange, noise: NoiseRange, generator: torch.Generator) -> Patch:
    """One patch of a random entry. Raises ConfigurationError where the entry is smaller than the patch."""
    entry = entries[draw_integer(len(entries), generator)]
    place, turn = _draw_place(entry, patch, generator), draw_integer(8, generator)
    clean = _turned(_part(entry.clean, place, entry.source), turn)
    if _uniform(generator) < patch.p_turned:
        clean = clean * _phasor(generator)
    if entry.noise is not None and _uniform(generator) < patch.p_own:
        return Patch(clean + _turned(_part(entry.noise, place, entry.source), turn), clean, torch.ones(clean.shape))
    gmap = torch.ones(clean.shape[1:])
    if _uniform(generator) >= patch.p_uniform_g:
        gmap = _draw_gmap(entries[draw_integer(len(entries), generator)], patch.size, generator)
    kspace_filter = draw_kspace_filter((patch.size, patch.size), noise, generator)
    if min(entry.resolution) < 1:  # a zero-filled scan: its noise is as smooth as its signal
        e1, ro = (resolution_filter(patch.size, share) for share in entry.resolution)
        kspace_filter = e1[:, None] * ro
        kspace_filter = kspace_filter.T if turn & 4 else kspace_filter
    signal = clean
    if not entry.own_noise:
        low, high = (math.log(bound) for bound in patch.amplitude)
        signal = clean * (math.exp(low + (high - low) * _uniform(generator)) / entry.snr)
    sigma = draw_sigma(noise, generator)
    frames = [add_noise(frame, gmap, sigma, kspace_filter, entry.own_noise, generator) for frame in signal]
    noisy, target = (torch.stack(parts) for parts in zip(*frames, strict=True))
    return Patch(noisy, target, gmap.expand(clean.shape))


def to_channels(image: Tensor) -> Tensor:
    """Complex `(N, frame, e1, ro)` to real and imaginary `(N, 2, frame, e1, ro)`."""
    return torch.view_as_real(image).movedim(-1, 1).contiguous()


def from_channels(channels: Tensor) -> Tensor:
    """The inverse of `to_channels`."""
    return torch.complex(channels[:, 0], channels[:, 1])


def _draw_place(entry: Entry, patch: PatchRange, generator: torch.Generator) -> Place:
    n_frames, *edges = entry.clean.shape
    if min(edges) < patch.size:
        raise ConfigurationError(
            f"an image of {entry.source} has {edges[0]} x {edges[1]} pixels; "
            f"expected {patch.size} x {patch.size} or more, the recipe's patch"
        )
    first = draw_integer(max(1, n_frames - patch.n_frames + 1), generator)
    top, left = (draw_integer(edge - patch.size + 1, generator) for edge in edges)
    frames = mirrored(range(first, first + patch.n_frames), n_frames)
    return frames, slice(top, top + patch.size), slice(left, left + patch.size)


def _part(image: np.ndarray, place: Place, source: str) -> Tensor:
    """A part of a mapped array."""
    frames, e1, ro = place
    return sound(torch.from_numpy(np.stack([image[frame, e1, ro] for frame in frames])), image, source)


def _draw_gmap(entry: Entry, size: int, generator: torch.Generator) -> Tensor:
    """A random part of one of an entry's g-maps, magnified up to twice, turned at random; `(size, size)`."""
    gmaps = entry.gmaps
    number = draw_integer(len(gmaps), generator)
    edge = min(size // 2 + draw_integer(size // 2 + 1, generator), *gmaps.shape[1:])
    top, left = (draw_integer(have - edge + 1, generator) for have in gmaps.shape[1:])
    part = torch.from_numpy(np.array(gmaps[number, top : top + edge, left : left + edge]))
    part = _turned(sound(part, gmaps, entry.source), draw_integer(8, generator))
    return F.interpolate(part[None, None], size=(size, size), mode="bilinear", align_corners=True)[0, 0]


def _turned(image: Tensor, turn: int) -> Tensor:
    """One of the eight flips and transposes of a square, in its last two axes."""
    image = image.flip(-1) if turn & 1 else image
    image = image.flip(-2) if turn & 2 else image
    return image.mT if turn & 4 else image


def _phasor(generator: torch.Generator) -> Tensor:
    return torch.polar(torch.ones(()), 2 * math.pi * torch.rand((), generator=generator))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def draw_integer(below: int, generator: torch.Generator) -> int:
    """0 ... below - 1."""
    return int(torch.randint(below, (), generator=generator))
