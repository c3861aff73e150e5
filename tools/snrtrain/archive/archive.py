"""The archive: a folder of clean scans with their g-maps, and of sN2N pairs, which `tools/prepare.py` makes.

    ARCHIVE/{train,validation,test}/<subject>/<name>/entry.json + *.npy

Arrays are mapped from disk and read where they are used, so an archive may be larger than memory. entry.json is
written last: a folder without one is unfinished, and ignored.
"""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from snrstream.errors import ConfigurationError

SPLITS = ("train", "validation", "test")
AXES = ("none", "slice", "time")
DONE = "entry.json"
OF_SOME_PAIRS: dict[str, type] = {"reference": np.float32, "whole": np.complex64, "noise": np.complex64}

Item = TypeVar("Item")


@dataclass(frozen=True)
class Entry:
    """A scan of one subject; arrays are mapped from disk.

    source: file or generator it came from, with its licence. axis: what frames are: "none" (there is one), "slice",
    "time". clean: `(frame, e1, ro)` complex64, image / g in SNR units. own_noise: whether its noise, SD 1 per part, is
    in it, as in real scans; simulated ones carry none. noise: `(frame, e1, ro)` complex64, of simulated scans, the
    noise of their own reconstruction, SD 1 per part. gmaps: `(map, e1, ro)` float32, the scan's own first.
    accelerations: (R1, R2) of each. snr: of bright tissue in `clean`. resolution: share of k-space that was measured
    along e1 and ro.
    """

    subject: str
    source: str
    axis: str
    clean: np.ndarray
    own_noise: bool
    noise: np.ndarray | None
    gmaps: np.ndarray
    accelerations: tuple[tuple[int, int], ...]
    snr: float
    resolution: tuple[float, float]


@dataclass(frozen=True)
class Pair:
    """A volume for sN2N; magnitudes `(slice, e1, ro)` float32, mapped from disk.

    first, second: of disjoint halves of k-space, their noise independent. plain: of all of its lines.
    reference: fully sampled and free of noise, where that is known. whole, noise: `(slice, e1, ro)` complex64, what
    `plain` is the magnitude of, and an image of drawn noise that was reconstructed alike, where there is one: to judge
    by noisy labels (see `snrtrain.methods.noisy_labels`).
    """

    subject: str
    source: str
    first: np.ndarray
    second: np.ndarray
    plain: np.ndarray
    reference: np.ndarray | None
    whole: np.ndarray | None = None
    noise: np.ndarray | None = None


class Archive:
    """One split of an archive. All files are checked when it is opened, and mapped again when an item is asked for.

    Raises ConfigurationError where the folder is missing, the split empty, or a file cannot be read.
    """

    entries: Sequence[Entry]
    pairs: Sequence[Pair]

    def __init__(self, folder: Path, split: str) -> None:
        if split not in SPLITS:
            raise ConfigurationError(f"split is {split!r}; expected one of {', '.join(SPLITS)}")
        if not folder.is_dir():
            raise ConfigurationError(f"archive {folder} does not exist; expected a folder that prepare.py has made")
        entries: list[Path] = []
        pairs: list[Path] = []
        for done in sorted((folder / split).glob(f"*/*/{DONE}")):
            place = done.parent
            if _facts(place)["kind"] == "pair":
                _read_pair(place)
                pairs.append(place)
            else:
                _read_entry(place)
                entries.append(place)
        if not entries and not pairs:
            raise ConfigurationError(
                f"archive {folder} is empty: no finished entry in {split}/; expected some that prepare.py has made"
            )
        self.entries, self.pairs = _Lazy(entries, _read_entry), _Lazy(pairs, _read_pair)


def write_entry(place: Path, entry: Entry) -> None:
    """Write to the folder `place`, which is made; what an interrupted run left there is replaced."""
    facts = {
        "kind": "entry", "subject": entry.subject, "source": entry.source, "axis": entry.axis,
        "own_noise": entry.own_noise, "accelerations": entry.accelerations, "snr": entry.snr,
        "resolution": entry.resolution,
    }  # fmt: skip
    arrays = {"clean": (entry.clean, np.complex64), "gmaps": (entry.gmaps, np.float32)}
    if entry.noise is not None:
        arrays["noise"] = (entry.noise, np.complex64)
    _write(place, facts, arrays)


def write_pair(place: Path, pair: Pair) -> None:
    """Write to the folder `place`, as `write_entry` does."""
    facts = {"kind": "pair", "subject": pair.subject, "source": pair.source}
    arrays: dict[str, tuple[np.ndarray, type]] = {
        name: (getattr(pair, name), np.float32) for name in ("first", "second", "plain")
    }
    for name, dtype in OF_SOME_PAIRS.items():
        if getattr(pair, name) is not None:
            arrays[name] = (getattr(pair, name), dtype)
    _write(place, facts, arrays)


def parts_of(source: str) -> tuple[str, str, str]:
    """File or generator, licence and attribution of an entry's `FILE (LICENCE)` or `FILE (LICENCE, ATTRIBUTION)`.

    Empty where there is none. Both may hold parentheses that are closed, the file's name any.
    """
    open_ones = 0
    for place in range(len(source) - 1, -1, -1) if source.endswith(")") else ():
        open_ones += {")": 1, "(": -1}.get(source[place], 0)
        if open_ones == 0:
            licence, _, attribution = source[place + 1 : -1].partition(", ")
            return source[:place].rstrip(), licence, attribution
    return source, "", ""


def file_in(source: str) -> str:
    """The file's name in an entry's `FILE (LICENCE)`."""
    return parts_of(source)[0]


def sound(part: Tensor, image: np.ndarray, source: str) -> Tensor:
    """A part of a mapped image, as it is. Raises ConfigurationError that names the file where it is not finite."""
    if not bool(torch.isfinite(part).all()):
        raise ConfigurationError(
            f"{file_of(image, source)} holds values that are not finite; expected numbers: delete its folder"
        )
    return part


def file_of(image: np.ndarray, source: str) -> str:
    """The file that an image is mapped from; of one that is not, its source."""
    return str(getattr(image, "filename", None) or source)


def check_size(image: np.ndarray, source: str, least: int) -> None:
    """Raises ConfigurationError that names the file of images which are too small; least: pixels an edge."""
    height, width = image.shape[1:]
    if min(height, width) < least:
        raise ConfigurationError(
            f"{file_of(image, source)} holds images of {height} x {width} pixels; expected {least} x {least} or more, "
            "for the network's levels"
        )


class _Lazy(Sequence[Item]):
    """Items that are read from their folders each time they are asked for."""

    def __init__(self, places: list[Path], read: Callable[[Path], Item]) -> None:
        self.places, self.read = places, read

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> "_Lazy[Item]": ...
    def __getitem__(self, index: int | slice) -> "Item | _Lazy[Item]":
        if isinstance(index, slice):
            return _Lazy(self.places[index], self.read)
        return self.read(self.places[index])


def _write(place: Path, facts: dict[str, Any], arrays: Mapping[str, tuple[np.ndarray, type]]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / DONE).unlink(missing_ok=True)
    for name, (array, dtype) in arrays.items():
        np.save(place / f"{name}.npy", np.ascontiguousarray(array, dtype))
    facts["arrays"] = {name: list(array.shape) for name, (array, _) in arrays.items()}
    part = place / "entry.part"
    part.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    os.replace(part, place / DONE)


def _read_entry(place: Path) -> Entry:
    facts = _facts(place)
    clean, gmaps = _mapped(place, facts, "clean", np.complex64), _mapped(place, facts, "gmaps", np.float32)
    noise = _mapped(place, facts, "noise", np.complex64) if "noise" in facts["arrays"] else None
    try:
        entry = Entry(
            str(facts["subject"]), str(facts["source"]), str(facts["axis"]), clean, bool(facts["own_noise"]), noise,
            gmaps, tuple((int(r1), int(r2)) for r1, r2 in facts["accelerations"]), float(facts["snr"]),
            (float(facts["resolution"][0]), float(facts["resolution"][1])),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigurationError(f"{place / DONE} lacks or garbles {error}; expected what prepare.py writes") from None
    if entry.axis not in AXES or len(gmaps) == 0 or len(entry.accelerations) != len(gmaps):
        raise ConfigurationError(
            f"{place / DONE} has axis {entry.axis!r} and {len(entry.accelerations)} accelerations for {len(gmaps)} "
            f"g-maps; expected one of {', '.join(AXES)} and as many of each"
        )
    if not (0 < entry.snr < math.inf and all(0 < share <= 1 for share in entry.resolution)):
        raise ConfigurationError(
            f"{place / DONE} has snr {entry.snr:g} and resolution {entry.resolution[0]:g}, {entry.resolution[1]:g}; "
            "expected a number above 0, and shares above 0 to 1"
        )
    if gmaps.shape[1:] != clean.shape[1:] or (noise is not None and noise.shape != clean.shape):
        raise ConfigurationError(f"{place}: clean, noise and g-maps differ in size; expected one (e1, ro)")
    return entry


def _read_pair(place: Path) -> Pair:
    facts = _facts(place)
    first, second, plain = (_mapped(place, facts, name, np.float32) for name in ("first", "second", "plain"))
    others = {
        name: _mapped(place, facts, name, dtype) if name in facts["arrays"] else None
        for name, dtype in OF_SOME_PAIRS.items()
    }
    if len({array.shape for array in (first, second, plain, *others.values()) if array is not None}) != 1:
        raise ConfigurationError(f"{place}: the images of the pair differ in size; expected one (slice, e1, ro)")
    return Pair(str(facts.get("subject")), str(facts.get("source")), first, second, plain, **others)


def _facts(place: Path) -> dict[str, Any]:
    try:
        facts = json.loads((place / DONE).read_text(encoding="utf-8"))
        if facts["kind"] in ("entry", "pair") and isinstance(facts["arrays"], dict):
            return dict(facts)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ConfigurationError(f"{place / DONE} cannot be read; expected what prepare.py writes: delete its folder")


def _mapped(place: Path, facts: dict[str, Any], name: str, dtype: type) -> np.ndarray:
    path = place / f"{name}.npy"
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - numpy's parser of headers has many of its own
        raise ConfigurationError(f"{path} cannot be read: {' '.join(str(error).split())}; delete its folder") from None
    if array.ndim != 3 or 0 in array.shape or array.dtype != dtype or list(array.shape) != facts["arrays"].get(name):
        raise ConfigurationError(
            f"{path} holds {array.dtype} {array.shape}; expected {np.dtype(dtype)} {facts['arrays'].get(name)}"
        )
    return array
