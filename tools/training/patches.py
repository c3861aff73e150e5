"""Batches of noisy and clean patches, drawn from the archive on the fly.

Every patch gets a place, a turn, a noise level, a g-map and a filter of its own; the only random
source is the generator that is passed in.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.training.archive import Archive
from tools.training.noise_process import NoiseRange, add_noise, draw_sigma, draw_window, resolution_filter


@dataclass(frozen=True)
class PatchRange:
    """Bounds and shares of what `draw_batch` draws.

    amplitude: bright tissue in SNR units before the noise process divides it by sqrt(sigma^2 + 1),
    log-uniform. With sigma ~ U(0, 32), 50 to 500 give a final SNR of 2 to 60 in most patches.
    p_chain: share that keeps the noise of its own reconstruction (see `chain.Scan`), not drawn anew.
    p_uniform_g: share of the others with g = 1. p_turned: share with a random constant phase.
    """

    size: int = 64
    amplitude: tuple[float, float] = (50.0, 500.0)
    p_chain: float = 0.2
    p_uniform_g: float = 0.4
    p_turned: float = 0.15


@dataclass(frozen=True)
class Batch:
    """noisy, clean: `(N, 2, H, W)` float32, real and imaginary; gmap: `(N, 1, H, W)` float32."""

    noisy: Tensor
    clean: Tensor
    gmap: Tensor

    def network_input(self) -> Tensor:
        """`[N, 3, 1, H, W]`, the model contract."""
        return torch.cat([self.noisy, self.gmap], dim=1)[:, :, None]


def draw_batch(
    archive: Archive, n_patches: int, patch: PatchRange, noise: NoiseRange, generator: torch.Generator
) -> Batch:
    """`n_patches` independent patches."""
    drawn = [_draw_patch(archive, patch, noise, generator) for _ in range(n_patches)]
    noisy, clean, gmap = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    return Batch(to_channels(noisy), to_channels(clean), gmap[:, None])


def to_channels(image: Tensor) -> Tensor:
    """Complex `(N, H, W)` to real and imaginary `(N, 2, H, W)`."""
    return torch.view_as_real(image).movedim(-1, 1).contiguous()


def _draw_patch(
    archive: Archive, patch: PatchRange, noise: NoiseRange, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    entry = _integer(len(archive.clean), generator)
    edge = archive.clean.shape[-1]
    top, left = (_integer(edge - patch.size + 1, generator) for _ in range(2))
    turn = _integer(8, generator)
    place = (entry, slice(top, top + patch.size), slice(left, left + patch.size))
    clean = _turned(archive.clean[place], turn)
    if _uniform(generator) < patch.p_turned:
        clean = clean * _phasor(generator)
    if _uniform(generator) < patch.p_chain:
        own = _turned(archive.noise[place], turn)
        return clean + own, clean, torch.ones(clean.shape)
    low, high = (math.log(bound) for bound in patch.amplitude)
    amplitude = math.exp(low + (high - low) * _uniform(generator))
    gmap = torch.ones(clean.shape)
    if _uniform(generator) >= patch.p_uniform_g:
        gmap = _draw_gmap(archive.gmaps, patch.size, generator)
    window = draw_window(tuple(clean.shape), noise, generator)
    e1, ro = archive.resolution[entry].tolist()
    if min(e1, ro) < 1:  # a zero-filled scan: its noise is as smooth as its signal
        window = resolution_filter(patch.size, e1)[:, None] * resolution_filter(patch.size, ro)
        window = window.T if turn & 4 else window
    signal = clean * (amplitude / float(archive.snr[entry]))
    noisy, target = add_noise(signal, gmap, draw_sigma(noise, generator), window, generator)
    return noisy, target, gmap


def _draw_gmap(gmaps: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A random part of a random map, magnified up to twice, turned at random; `(size, size)`."""
    gmap = gmaps[_integer(len(gmaps), generator)]
    edge = size // 2 + _integer(size // 2 + 1, generator)
    top, left = (_integer(gmap.shape[0] - edge + 1, generator) for _ in range(2))
    part = _turned(gmap[top : top + edge, left : left + edge], _integer(8, generator))
    return F.interpolate(part[None, None], size=(size, size), mode="bilinear", align_corners=True)[0, 0]


def _turned(image: Tensor, turn: int) -> Tensor:
    """One of the eight flips and transposes of a square."""
    image = image.flip(-1) if turn & 1 else image
    image = image.flip(-2) if turn & 2 else image
    return image.mT if turn & 4 else image


def _phasor(generator: torch.Generator) -> Tensor:
    return torch.polar(torch.ones(()), 2 * math.pi * torch.rand((), generator=generator))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _integer(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=generator))
