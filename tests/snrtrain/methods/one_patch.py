"""Patches drawn one at a time, choice after choice, as one would write it down: what whole batches are held against."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from snrstream.denoising.contracts import mirrored
from snrtrain.archive.archive import Entry
from snrtrain.methods.choices import PatchRange
from snrtrain.methods.noise_process import NoiseRange, draw_kspace_filter, resolution_filter, unit_noise
from snrtrain.methods.patches import Patch, draw_integer


def draw_patch(entries: Sequence[Entry], patch: PatchRange, noise: NoiseRange, generator: torch.Generator) -> Patch:
    """One patch `(frame, e1, ro)` of a random entry."""
    size, entry = patch.size, entries[draw_integer(len(entries), generator)]
    n_frames, height, width = entry.clean.shape
    first = draw_integer(max(1, n_frames - patch.n_frames + 1), generator)
    frames = mirrored(range(first, first + patch.n_frames), n_frames)
    top, left = (draw_integer(edge - size + 1, generator) for edge in (height, width))
    place = np.ix_(frames, range(top, top + size), range(left, left + size))
    turn = draw_integer(8, generator)
    clean = turned(torch.from_numpy(entry.clean[place]), turn)
    if uniform(generator) < patch.p_turned:
        clean = clean * torch.polar(torch.ones(()), 2 * math.pi * torch.rand((), generator=generator))
    if entry.noise is not None and uniform(generator) < patch.p_own:
        return Patch(clean + turned(torch.from_numpy(entry.noise[place]), turn), clean, torch.ones(clean.shape))
    gmap = torch.ones(size, size)
    if uniform(generator) >= patch.p_uniform_g:
        gmap = draw_gmap(entries[draw_integer(len(entries), generator)].gmaps, size, generator)
    kspace_filter = draw_kspace_filter((size, size), noise, generator)
    if min(entry.resolution) < 1:
        e1, ro = (resolution_filter(size, share) for share in entry.resolution)
        kspace_filter = e1[:, None] * ro
        kspace_filter = kspace_filter.T if turn & 4 else kspace_filter
    if not entry.own_noise:
        low, high = (math.log(bound) for bound in patch.amplitude)
        clean = clean * (math.exp(low + (high - low) * uniform(generator)) / entry.snr)
    sigma = noise.sigma_max * uniform(generator)
    noisy = []
    for frame in clean:
        added = sigma * unit_noise((size, size), kspace_filter, generator)
        if not entry.own_noise:
            added = added + unit_noise((size, size), kspace_filter, generator)
        noisy.append((frame + added * gmap) / math.sqrt(sigma**2 + 1))
    return Patch(torch.stack(noisy), clean / math.sqrt(sigma**2 + 1), gmap.expand(clean.shape))


def draw_gmap(gmaps: np.ndarray, size: int, generator: torch.Generator) -> Tensor:
    """A random part of one of an entry's g-maps, magnified up to twice, turned at random; `(size, size)`."""
    number = draw_integer(len(gmaps), generator)
    edge = min(size // 2 + draw_integer(size // 2 + 1, generator), *gmaps.shape[1:])
    top, left = (draw_integer(have - edge + 1, generator) for have in gmaps.shape[1:])
    part = torch.from_numpy(np.array(gmaps[number, top : top + edge, left : left + edge]))
    part = turned(part, draw_integer(8, generator))
    return F.interpolate(part[None, None], size=(size, size), mode="bilinear", align_corners=True)[0, 0]


def turned(image: Tensor, turn: int) -> Tensor:
    """One of the eight flips and transposes of a square, in its last two axes."""
    image = image.flip(-1) if turn & 1 else image
    image = image.flip(-2) if turn & 2 else image
    return image.mT if turn & 4 else image


def uniform(generator: torch.Generator) -> float:
    """0 to 1."""
    return float(torch.rand((), generator=generator))
