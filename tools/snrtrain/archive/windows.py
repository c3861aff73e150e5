"""Where the pixels of many windows lie: in the memory of a device that holds all of an archive, or in its files.

Both give flat values and addresses in them, so that one way to draw patches serves both, and gives the same.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from snrtrain.archive.archive import Entry, sound

NAMES = {"clean": torch.complex64, "noise": torch.complex64, "gmaps": torch.float32}
MOST_OPEN = 4096  # entries; each maps up to three files, and a process may map 65,530
SHARE_OF_FREE = 0.6  # of a device's memory for the archive: the network and other runs want some
GIB = 1 << 30


@dataclass(frozen=True)
class Windows:
    """Pixel (y, x) of window n is `values[base[n] + y * stride[n] + x]`; the last of `values` is 1, in no window.

    values: flat, of an image's dtype, on a device. base, stride: int64 `(n,)`, in this process's memory.
    """

    values: Tensor
    base: np.ndarray
    stride: np.ndarray


class Pixels(Protocol):
    """The images of a sequence of entries."""

    device: torch.device

    def windows(
        self, name: str, entry: np.ndarray, image: np.ndarray, top: np.ndarray, left: np.ndarray, edge: np.ndarray
    ) -> Windows:
        """Square windows, one for each item of the arguments, all int64 `(n,)`.

        name: of an array of `Entry`. entry: number of the entry. image: number of the frame or g-map. top, left: first
        row and column. edge: rows and columns. Raises ConfigurationError that names a file which is not finite.
        """


class FromFiles:
    """Read from the archive's files when they are asked for: an archive may be larger than memory."""

    device = torch.device("cpu")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._open: dict[int, Entry] = {}

    def windows(
        self, name: str, entry: np.ndarray, image: np.ndarray, top: np.ndarray, left: np.ndarray, edge: np.ndarray
    ) -> Windows:
        """See `Pixels`."""
        n, width = len(entry), int(edge.max(initial=0))
        flat = np.ones(n * width * width + 1, np.complex64 if NAMES[name].is_complex else np.float32)
        parts = flat[:-1].reshape(n, width, width)
        table = np.stack([entry, image, top, left, edge], axis=1).tolist()
        for part, (number, index, y, x, size) in zip(parts, table, strict=True):
            part[:size, :size] = getattr(self._entry(number), name)[index, y : y + size, x : x + size]
        values = torch.from_numpy(flat)
        if not bool(torch.isfinite(values).all()):
            for part, (number, *_) in zip(parts, table, strict=True):
                found = self._entry(number)
                sound(torch.from_numpy(part), getattr(found, name), found.source)
        return Windows(values, width * width * np.arange(n), np.full(n, width))

    def _entry(self, number: int) -> Entry:
        found = self._open.get(number)
        if found is None:
            if len(self._open) >= MOST_OPEN:
                self._open.clear()
            found = self._open[number] = self._entries[number]
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without open files: copied into another process, they would be arrays."""
        return {"_entries": self._entries, "_open": {}}


class OnDevice:
    """All of them in the memory of `device`. Raises ConfigurationError that names a file which is not finite."""

    def __init__(self, entries: Sequence[Entry], device: torch.device) -> None:
        self.device = device
        self._values, self._first = {}, {}
        for name, dtype in NAMES.items():
            sizes = [_size(entry, name) for entry in entries]
            self._first[name] = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
            self._values[name] = torch.ones(sum(sizes) + 1, dtype=dtype, device=device)
        self._height, self._width = np.array([entry.clean.shape[1:] for entry in entries]).T
        for number, entry in enumerate(entries):
            for name, values in self._values.items():
                image = getattr(entry, name)
                if image is not None:
                    first = int(self._first[name][number])
                    part = values[first : first + image.size]
                    part.copy_(torch.from_numpy(np.array(image).reshape(-1)))
                    sound(part, image, entry.source)

    def windows(
        self, name: str, entry: np.ndarray, image: np.ndarray, top: np.ndarray, left: np.ndarray, edge: np.ndarray
    ) -> Windows:
        """See `Pixels`."""
        del edge
        stride = self._width[entry]
        base = self._first[name][entry] + (image * self._height[entry] + top) * stride + left
        return Windows(self._values[name], base, stride)


def settled(entries: Sequence[Entry], device: torch.device, free: int | None = None) -> Pixels:
    """In the memory of a GPU where they fit, else from files, which a line on stderr tells.

    On a CPU from files: the system keeps in memory what is read often, once for all processes. free: bytes of the
    device's memory; None asks it.
    """
    if device.type == "cpu" and free is None:
        return FromFiles(entries)
    left = torch.cuda.mem_get_info(device)[0] if free is None else free
    needed = sum(_size(entry, name) * dtype.itemsize for entry in entries for name, dtype in NAMES.items())
    if needed <= SHARE_OF_FREE * left:
        return OnDevice(entries, device)
    print(
        f"the archive takes {needed / GIB:.1f} GiB, and {device} has {left / GIB:.1f} free, of which it may take "
        f"{SHARE_OF_FREE:.0%}: the processor draws the batches, which --workers N speeds up",
        file=sys.stderr,
    )
    return FromFiles(entries)


def _size(entry: Entry, name: str) -> int:
    image = getattr(entry, name)
    return 0 if image is None else math.prod(image.shape)
