"""Batches of patches of noisy and clean images, drawn from the archive on the fly, all patches of a batch at once.

`choices` says what each patch is to be, and here that is done to the pixels, where they lie: on a GPU or a CPU. The
only random source is the generator that is passed in. Nothing waits for a GPU's answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snrtrain.archive.archive import Entry
from snrtrain.archive.windows import FromFiles, Pixels, settled
from snrtrain.methods.choices import FILTERED, OWN, Choices, Chooser, PatchRange
from snrtrain.methods.noise_process import NoiseRange
from snrtrain.methods.turned import gathered, magnified

PLANNED = 32  # a GPU plans each number of transforms anew: so that there are few of them


@dataclass(frozen=True)
class Patch:
    """noisy, clean: `(..., frame, e1, ro)` complex64 in SNR units; gmap: the same shape, float32."""

    noisy: Tensor
    clean: Tensor
    gmap: Tensor


class Patches:
    """Patches of entries. Raises ConfigurationError where an image is smaller than a patch."""

    def __init__(self, entries: Sequence[Entry], patch: PatchRange, noise: NoiseRange) -> None:
        self._entries, self._patch = entries, patch
        self._chooser = Chooser(entries, patch, noise)
        self._pixels: Pixels = FromFiles(entries)
        self._table = self._chooser.table

    def settle(self, device: torch.device, free: int | None = None) -> bool:
        """Draw on `device` from now on, if the archive fits into its memory; whether it does. See `windows.settled`."""
        self._pixels = settled(self._entries, device, free)
        self._table = self._chooser.table.to(self._pixels.device)
        return not isinstance(self._pixels, FromFiles)

    def draw(self, n_patches: int, generator: torch.Generator, n_frames: int | None = None) -> Patch:
        """A batch `(n_patches, frame, e1, ro)`, on the device on which it is drawn.

        generator: of the processor; that of the device is seeded from it. n_frames: where not the range's.
        Raises ConfigurationError that names a file which holds values that are not finite.
        """
        chosen = self._chooser.draw(n_patches, n_frames or self._patch.n_frames, generator)
        seed = int(torch.randint(1 << 62, (), generator=generator))
        n_drawn = int(np.searchsorted(chosen.kind, OWN))  # the others keep the noise of their own reconstruction
        clean = self._images("clean", chosen, slice(n_patches))
        clean *= self._moved(chosen.factor.astype(np.complex64))[:, None, None, None]
        gmap = self._gmaps(chosen)[:, None]
        noisy = torch.empty_like(clean)
        level = self._moved(chosen.level[:n_drawn].astype(np.float32))[:, None, None, None] * gmap[:n_drawn]
        noise = torch.view_as_real(self._unit_noise(clean[:n_drawn].shape, chosen, seed))
        torch.addcmul(
            torch.view_as_real(clean[:n_drawn]), noise, level[..., None], out=torch.view_as_real(noisy[:n_drawn])
        )
        if n_drawn < n_patches:
            noisy[n_drawn:] = clean[n_drawn:] + self._images("noise", chosen, slice(n_drawn, n_patches))
        return Patch(noisy, clean, gmap.expand(clean.shape))

    def _images(self, name: str, chosen: Choices, which: slice) -> Tensor:
        """Parts of the entries' images, turned; `(n, frame, size, size)` complex64."""
        size, frames = self._patch.size, chosen.frames[which]
        n_frames = frames.shape[1]
        entry, top, left = (np.repeat(getattr(chosen, key)[which], n_frames) for key in ("entry", "top", "left"))
        windows = self._pixels.windows(name, entry, frames.reshape(-1), top, left, np.full(len(entry), size))
        places = (windows.base.reshape(frames.shape), windows.stride[::n_frames], chosen.turn[which])
        base, stride, turn = map(self._moved, places)
        return gathered(windows.values, base, stride, turn, size)

    def _gmaps(self, chosen: Choices) -> Tensor:
        """`(n, size, size)` float32."""
        drawn = np.flatnonzero(chosen.map_entry >= 0)
        keys = ("map_entry", "map_number", "map_top", "map_left", "map_edge")
        windows = self._pixels.windows("gmaps", *(getattr(chosen, key)[drawn] for key in keys))
        base, stride = np.full(len(chosen.map_entry), len(windows.values) - 1), np.zeros_like(chosen.map_edge)
        edge = np.ones_like(chosen.map_edge)  # one pixel, which is 1
        base[drawn], stride[drawn], edge[drawn] = windows.base, windows.stride, chosen.map_edge[drawn]
        at, step, edges, turn = map(self._moved, (base, stride, edge, chosen.map_turn))
        return magnified(windows.values, at, step, edges, turn, self._patch.size)

    def _unit_noise(self, shape: torch.Size, chosen: Choices, seed: int) -> Tensor:
        """Noise with SD 1 per part, filtered in k-space where that was chosen; complex64.

        Drawn in k-space where it is filtered: the transform is unitary, and white noise is white on either side.
        """
        device = self._pixels.device
        generator = torch.Generator(device).manual_seed(seed)
        noise = torch.view_as_complex(torch.randn(*shape, 2, device=device, generator=generator))
        n_filtered = int(np.searchsorted(chosen.kind, FILTERED, side="right"))
        if device.type != "cpu":
            n_filtered = min(-(-n_filtered // PLANNED) * PLANNED, len(noise))
        if n_filtered:
            e1, ro = self._table[self._moved(chosen.filters[:n_filtered])].prod(dim=2).unbind(dim=1)
            # White noise through a filter w keeps mean(w^2) of its variance (Parseval).
            e1, ro = (window / window.square().mean(dim=1, keepdim=True).sqrt() for window in (e1, ro))
            noise[:n_filtered] *= (e1[:, :, None] * ro[:, None, :])[:, None]
            noise[:n_filtered] = torch.fft.ifft2(noise[:n_filtered], norm="ortho")
        return noise

    def _moved(self, values: np.ndarray) -> Tensor:
        """On the device of the pixels, which is not waited for."""
        tensor, device = torch.from_numpy(values), self._pixels.device
        return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def to_channels(image: Tensor) -> Tensor:
    """Complex `(N, frame, e1, ro)` to real and imaginary `(N, 2, frame, e1, ro)`."""
    return torch.view_as_real(image).movedim(-1, 1).contiguous()


def from_channels(channels: Tensor) -> Tensor:
    """The inverse of `to_channels`."""
    return torch.complex(channels[:, 0], channels[:, 1])


def draw_integer(below: int, generator: torch.Generator) -> int:
    """0 ... below - 1."""
    return int(torch.randint(below, (), generator=generator))
