"""Archive entries of objects that are scanned in simulation: volumes, series, pictures, phantoms, textures.

Every entry has a seed of its own, so an archive does not depend on how many processes made it, nor on interruptions.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from scipy import ndimage
from torch import Tensor

from snrstream.errors import ConfigurationError
from snrstream.recon.plan import MAPS
from snrtrain.archive import series, volumes
from snrtrain.archive.archive import AXES, SPLITS, Entry
from snrtrain.archive.gmaps import ALONG_E1, IN_BOTH, worth_keeping
from snrtrain.metrics import object_mask
from snrtrain.simulation import dynamic, objects, scanner
from snrtrain.simulation.coils import loop_sensitivities, stack_sensitivities

CROP = 128
GMAP_SIZE = 128  # g-maps are smooth: found on this many pixels an edge, and interpolated
SLAB = (20, 48, 48)  # the same of a volume accelerated in two directions
SYNTHETIC = {"pictures": 0.18, "phantoms": 0.14, "textures": 0.08}  # shares of images and series; volumes have the rest

Maps = dict[tuple[int, int], np.ndarray]  # g-maps `(e1, ro)` by acceleration (R1, R2)


@dataclass(frozen=True)
class Source:
    """What an entry shows: a volume or a series, its air's noise floor removed for training, or what `objects` draws.

    licence: with the attribution, where there is one. name: of the file, without its ending; the subject's where empty.
    """

    subject: str
    kind: Literal["volume", "series", "pictures", "phantoms", "textures"]
    licence: str
    folder: Path | None = None
    floor: bool = True
    name: str = ""

    def volume(self) -> volumes.Volume:
        """The volume's data. Raises ConfigurationError where it cannot be read, ValueError for what is no volume."""
        if self.folder is None or self.kind != "volume":
            raise ValueError(f"{self} is no volume; expected one")
        return _loaded(self.folder, self.name or self.subject, self.floor)

    def series(self) -> series.Series:
        """The series of images. Raises as `volume`."""
        if self.folder is None or self.kind != "series":
            raise ValueError(f"{self} is no series; expected one")
        return _loaded_series(self.folder, self.name or self.subject, self.floor)

    def has_neighbours(self) -> bool:
        """Whether stacks of neighbouring slices can be taken. Raises ConfigurationError where it cannot be read."""
        return self.kind == "volume" and bool(volumes.stack_axes(self.volume()))

    def check(self) -> None:
        """Raises ConfigurationError where the file cannot be read, or has no plane large enough to learn from."""
        if self.kind == "series":
            found = self.series()
            for number in range(found.shape[2]):
                found.slice(number)
            return
        volume = self.volume()
        if not volume.slice_axes():
            raise ConfigurationError(
                f"volume {self.folder}/{self} has {volume.data.shape} voxels of {volume.voxel_mm} mm; expected a plane "
                f"of {volumes.SMALLEST_PLANE} pixels an edge, nearly square ones"
            )

    def __str__(self) -> str:
        ending = volumes.ENDING if self.kind in ("volume", "series") else ""
        return f"{self.name or self.subject}{ending} ({self.licence})"


@dataclass(frozen=True)
class Task:
    """One entry to be made, in the folder `place`."""

    place: Path
    source: Source
    axis: str
    seed: tuple[int, ...]


GENERATORS = (
    Source("pictures", "pictures", "public domain or CC0 or BSD, scikit-image"),
    Source("phantoms", "phantoms", "generated"),
    Source("textures", "textures", "generated"),
)


def plan(
    archive: Path, sources: Mapping[str, Sequence[Source]], counts: Mapping[str, Mapping[str, int]], seed: int,
    synthetic: bool = True,
) -> list[Task]:  # fmt: skip
    """The tasks of an archive: `counts[split][axis]` entries from the volumes `sources[split]`.

    synthetic: whether pictures, phantoms and textures make up part of the training images and series.
    """
    tasks = []
    for split, of_split in sources.items():
        for axis, count in counts[split].items():
            able = [source for source in of_split if count and (axis != "slice" or source.has_neighbours())]
            shares = SYNTHETIC if synthetic and split == "train" and axis != "slice" else {}
            for index in range(count if able else 0):
                number = (seed, SPLITS.index(split), AXES.index(axis), index)
                source = _draw_source(able, shares, np.random.default_rng((*number, 0)))
                tasks.append(Task(archive / split / source.subject / f"{axis}-{index:04}", source, axis, (*number, 1)))
    return tasks


def make(task: Task) -> Entry:
    """Scan what the task says, with coils of its own, at R=1; g-maps of the accelerations that the coils allow."""
    rng = np.random.default_rng(task.seed)
    snr = float(np.exp(rng.uniform(np.log(3), np.log(80))))
    n_channels = int(rng.integers(8, 13 if task.axis == "slice" else 25))  # a stack takes time with each
    if task.axis == "slice":
        scan, maps = _scan_stack(task.source.volume(), rng, snr, n_channels)
    else:
        if task.axis == "time" and task.source.kind == "series":
            frames = draw_frames(task.source.series(), rng)
            image = frames[0]
        else:
            image = draw_object(task.source, rng)
            frames = dynamic.draw_series(image, rng) if task.axis == "time" else image[None]
        sensitivities = loop_sensitivities(n_channels, tuple(image.shape), rng)
        step = 1 if task.axis == "none" else MAPS.step
        scan = scanner.scan_frames(frames, sensitivities[:, None], rng, snr, CROP, step=step)
        maps = _gmaps_of_slice(sensitivities * image, scan.place, rng)
    kept = [(np.ones((CROP, CROP), np.float32), (1, 1))]
    inside = object_mask(scan.clean[len(scan.clean) // 2 if task.axis == "slice" else 0].abs()).numpy()
    found = [(worth_keeping(gmap, inside), r) for r, gmap in maps.items()]
    kept += [(gmap, r) for gmap, r in found if gmap is not None]
    return Entry(
        task.source.subject, str(task.source), task.axis, scan.clean.numpy(), False, scan.noise.numpy(),
        np.stack([gmap for gmap, _ in kept]), tuple(r for _, r in kept), scan.snr, scan.resolution,
    )  # fmt: skip


def draw_frames(source: series.Series, rng: Generator) -> Tensor:
    """Complex frames `(frame, e1, ro)` of a series, in one contrast, sized as by `draw_object`."""
    magnitude = objects.remap(series.draw_frames(source, rng), rng)
    return sized(scanner.complex_object(np.ascontiguousarray(magnitude, dtype=np.float32), rng), rng)[0]


def draw_object(source: Source, rng: Generator) -> Tensor:
    """A complex object `(e1, ro)` at a random matrix size, air included, at least 128 pixels an edge."""
    if source.kind == "volume":
        magnitude = objects.remap(volumes.draw_plane(source.volume(), rng), rng)
    elif source.kind == "series":
        magnitude = objects.remap(series.draw_image(source.series(), rng), rng)
    elif source.kind == "pictures":
        pictures = _pictures()
        magnitude = 1.3 * pictures[rng.integers(len(pictures))]
        magnitude = objects.in_air(magnitude, rng) if rng.random() < 0.7 else magnitude
    elif source.kind == "phantoms":
        magnitude = objects.phantom(int(rng.integers(160, 321)), rng)
    else:
        magnitude = objects.texture(int(rng.integers(160, 321)), rng)
    return sized(scanner.complex_object(np.ascontiguousarray(magnitude, dtype=np.float32), rng), rng)[0]


def enlarged(gmap: np.ndarray, shape: tuple[int, ...], place: tuple[slice, slice]) -> np.ndarray:
    """The part `place` of a g-map `(e1, ro)`, as of `shape`, from one of the same field of view on other pixels."""
    at = [
        (np.arange(part.start, part.stop) - n // 2) * (have / n) + have // 2
        for part, n, have in zip(place, shape, gmap.shape, strict=True)
    ]
    found = ndimage.map_coordinates(gmap, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
    return np.asarray(found, np.float32)


def _scan_stack(
    volume: volumes.Volume, rng: Generator, snr: float, n_channels: int
) -> tuple[scanner.SimulatedScan, Maps]:
    """Neighbouring slices of a volume; g-maps in the middle one, as of slices (ALONG_E1) and of a volume (IN_BOTH)."""
    stack = volumes.draw_stack(volume, rng)
    magnitude = np.ascontiguousarray(objects.remap(stack.slices, rng), dtype=np.float32)
    frames, content = sized(scanner.complex_object(magnitude, rng, stack.heights), rng)
    shape = tuple(frames.shape[1:])
    shrink = max(content) / max(shape)  # coils are around the field of view, air included
    heights = [shrink * z for z in stack.heights]
    coils = int(rng.integers(2**32))
    sensitivities = stack_sensitivities(n_channels, shape, heights, np.random.default_rng(coils), fewest_rings=2)
    scan = scanner.scan_frames(frames, sensitivities, rng, snr, CROP)
    middle = len(heights) // 2
    single = _gmaps_of_slice(sensitivities[:, middle] * frames[middle], scan.place, rng)

    n_all = volume.data.shape[stack.axis]
    positions = (np.arange(SLAB[0]) + 0.5) * n_all / SLAB[0]
    planes = [torch.from_numpy(volumes.plane(volume, stack.axis, int(p))) for p in positions]
    inside = tuple(max(2, round(n * part / whole)) for n, part, whole in zip(SLAB[1:], content, shape, strict=True))
    slab = scanner.pad_air(F.interpolate(torch.stack(planes)[None], size=inside, mode="area")[0], SLAB[1:])
    slab_heights = np.array([shrink * z for z in volumes.heights_of(volume, stack.axis, positions)])
    around = stack_sensitivities(
        n_channels, SLAB[1:], slab_heights.tolist(), np.random.default_rng(coils), fewest_rings=2
    )
    maps = _draw_gmaps(around * slab, IN_BOTH, rng)
    nearest = int(np.abs(slab_heights - heights[middle]).argmin())
    both = {r: enlarged(gmap[nearest].numpy(), shape, scan.place) for r, gmap in maps.items()}
    return scan, single | both


def _gmaps_of_slice(coils: Tensor, place: tuple[slice, slice], rng: Generator) -> Maps:
    """g-maps of `ALONG_E1` in the part `place` of coil images `(channel, e1, ro)`."""
    maps = _draw_gmaps(scanner.resample(coils, (GMAP_SIZE, GMAP_SIZE))[:, None], ALONG_E1, rng)
    return {r: enlarged(gmap[0].numpy(), tuple(coils.shape[1:]), place) for r, gmap in maps.items()}


def _draw_gmaps(
    coils: Tensor, accelerations: Sequence[tuple[int, int]], rng: Generator
) -> dict[tuple[int, int], Tensor]:
    snr = float(np.exp(rng.uniform(np.log(15), np.log(120))))
    return scanner.coil_gmaps(coils, accelerations, rng, snr)


def sized(image: Tensor, rng: Generator, largest: float = 330) -> tuple[Tensor, tuple[int, ...]]:
    """The complex images `(..., e1, ro)` at a random matrix size in air; and their size without it."""
    whole = image.shape[-2:]
    shrink = min(1.0, rng.uniform(112, largest) / max(whole))
    content = tuple(max(2, round(n * shrink)) for n in whole)
    wider = rng.uniform(1.0, 1.25, size=2)
    padded = tuple(max(CROP, round(n * w)) for n, w in zip(content, wider, strict=True))
    return scanner.pad_air(scanner.resample(image, content), padded), content


def _draw_source(able: Sequence[Source], shares: Mapping[str, float], rng: Generator) -> Source:
    number = rng.random()
    for generator in GENERATORS:
        number -= shares.get(generator.kind, 0.0)
        if number < 0:
            return generator
    return able[int(rng.integers(len(able)))]


@functools.lru_cache(maxsize=8)
def _loaded(folder: Path, name: str, floor: bool) -> volumes.Volume:
    return volumes.load(folder, name, floor)


@functools.lru_cache(maxsize=64)
def _loaded_series(folder: Path, name: str, floor: bool) -> series.Series:
    return series.load(folder, name, floor)


@functools.lru_cache(maxsize=1)
def _pictures() -> list[np.ndarray]:
    return objects.pictures()
