"""The archive: clean scans and g-maps, simulated once and kept in one file, from which patches are drawn.

Every entry has a seed of its own, so the archive does not depend on how many processes made it.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from tqdm import tqdm

from snrstream.errors import ConfigurationError
from tools.training import chain, objects, volumes

CROP = 128
GMAP_SIZE = 128
ACCELERATIONS = (2, 3, 4, 5, 6)
LARGEST_G = 8.0  # a 99th percentile beyond this is a failed calibration, not a scan to learn from

_sources: dict[str, list] = {}  # per process: volumes and pictures, loaded once


@dataclass(frozen=True)
class Archive:
    """clean, noise: `(entry, 128, 128)` complex64 (see `chain.Scan`); snr `(entry,)`; resolution
    `(entry, 2)`; gmaps `(map, 128, 128)` float32."""

    clean: Tensor
    noise: Tensor
    snr: Tensor
    resolution: Tensor
    gmaps: Tensor

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(vars(self), path)

    @classmethod
    def load(cls, path: Path) -> "Archive":
        """Raises ConfigurationError where the file is missing, or holds no scans."""
        if not path.is_file():
            raise ConfigurationError(f"archive {path} does not exist; expected a file that train.py has made")
        archive = cls(**torch.load(path, weights_only=True))
        if len(archive.clean) == 0 or len(archive.gmaps) == 0:
            raise ConfigurationError(f"archive {path} is empty; expected at least one scan and one g-map")
        return archive


def build(
    folder: Path, names: tuple[str, ...], n_scans: int, n_coil_sets: int, seed: int, n_workers: int,
    synthetic: bool = True,
) -> Archive:  # fmt: skip
    """Simulate `n_scans` scans and the g-maps of `n_coil_sets` coil sets.

    folder, names: the volumes. synthetic: whether pictures and phantoms make up part of it.
    Raises ConfigurationError where a volume is missing or for testing only, and where no g-map is usable.
    """
    if n_scans < 1 or n_coil_sets < 1:
        raise ConfigurationError(f"got n_scans {n_scans}, n_coil_sets {n_coil_sets}; expected 1 or more of each")
    for name in names:
        volumes.check_for_training(folder, name)  # here, where the user sees the error
    seeds = np.random.SeedSequence(seed).spawn(n_scans + n_coil_sets)
    with _workers(n_workers, (str(folder), names, synthetic)) as mapped:
        maps = list(tqdm(mapped(simulate_gmaps_entry, seeds[n_scans:]), total=n_coil_sets, desc="g-maps", disable=None))
        scans = list(tqdm(mapped(simulate_scan_entry, seeds[:n_scans]), total=n_scans, desc="scans", disable=None))
    good = [g for entry in maps for g in entry if np.quantile(g, 0.99) < LARGEST_G]
    if not good:
        raise ConfigurationError(f"none of {n_coil_sets} coil sets gave a g-map below {LARGEST_G:g}; expected some")
    clean, noise, snr, resolution = (np.stack(parts) for parts in zip(*scans, strict=True))
    return Archive(
        torch.from_numpy(clean), torch.from_numpy(noise), torch.from_numpy(snr),
        torch.from_numpy(resolution), torch.from_numpy(np.stack(good)),
    )  # fmt: skip


def draw_object(rng: Generator) -> Tensor:
    """A complex object `(e1, ro)` at a random matrix size, air included, at least 128 pixels an edge."""
    kind = rng.random() if _sources["pictures"] else 0.0
    if kind < 0.6:
        magnitude = objects.remap(volumes.draw_plane(_sources["volumes"], rng), rng)
    elif kind < 0.78:
        pictures = _sources["pictures"]
        magnitude = 1.3 * pictures[rng.integers(len(pictures))]
        magnitude = objects.in_air(magnitude, rng) if rng.random() < 0.7 else magnitude
    elif kind < 0.92:
        magnitude = objects.phantom(int(rng.integers(160, 321)), rng)
    else:
        magnitude = objects.texture(int(rng.integers(160, 321)), rng)
    image = chain.complex_object(np.ascontiguousarray(magnitude, dtype=np.float32), rng)
    longest = max(image.shape)
    shrink = min(1.0, rng.uniform(112, 330) / longest)
    image = chain.resample(image, tuple(max(2, round(n * shrink)) for n in image.shape))
    wider = rng.uniform(1.0, 1.25, size=2)
    return chain.pad_air(image, tuple(max(CROP, round(n * w)) for n, w in zip(image.shape, wider, strict=True)))


@contextmanager
def _workers(n_workers: int, sources: tuple[str, tuple[str, ...], bool]) -> Iterator[Callable[..., Iterable]]:
    """A `map` over `n_workers` processes; over this one where one is enough."""
    if n_workers == 1:
        _load_sources(*sources)
        yield map
        return
    with ProcessPoolExecutor(n_workers, get_context("spawn"), _load_sources, sources) as pool:
        yield pool.map


def _load_sources(folder: str, names: tuple[str, ...], synthetic: bool) -> None:
    torch.set_num_threads(1)
    _sources["volumes"] = volumes.load_for_training(Path(folder), names)
    _sources["pictures"] = objects.pictures() if synthetic else []


def simulate_scan_entry(seed: np.random.SeedSequence) -> tuple[np.ndarray, ...]:
    """clean, noise, snr and resolution of one entry, from the sources that this process has loaded."""
    rng = np.random.default_rng(seed)
    snr = float(np.exp(rng.uniform(np.log(3), np.log(80))))
    scan = chain.fully_sampled(draw_object(rng), rng, snr, CROP, int(rng.integers(6, 13)))
    return scan.clean.numpy(), scan.noise.numpy(), np.float32(snr), np.array(scan.resolution, np.float32)


def simulate_gmaps_entry(seed: np.random.SeedSequence) -> list[np.ndarray]:
    """The g-maps of one coil set at all of `ACCELERATIONS`."""
    rng = np.random.default_rng(seed)
    image = chain.resample(draw_object(rng), (GMAP_SIZE, GMAP_SIZE))
    snr = float(np.exp(rng.uniform(np.log(15), np.log(120))))
    maps = chain.gmaps(image, ACCELERATIONS, rng, snr, int(rng.integers(8, 33)))
    return [g.numpy().astype(np.float32) for g in maps]
