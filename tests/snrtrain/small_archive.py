"""A training archive in seconds: a smooth object, from which even a tiny network learns, scanned in simulation."""

from pathlib import Path

import numpy as np
import torch

from snrtrain.archive.archive import Entry, Pair, write_entry, write_pair
from snrtrain.methods.noise_process import unit_noise
from snrtrain.simulation import scanner
from snrtrain.simulation.coils import loop_sensitivities

SIZE = 64


def blob() -> np.ndarray:
    """A disc that is brighter on one side, with a soft edge; `(e1, ro)` float32 to about 1."""
    y, x = np.meshgrid(*2 * [np.linspace(-1, 1, SIZE, dtype=np.float32)], indexing="ij")
    return (1 + 0.3 * x) / 1.3 / (1 + np.exp((np.hypot(x, y) - 0.7) / 0.05))


def fully_sampled(
    image: torch.Tensor, rng: np.random.Generator, snr: float, crop: int | None, n_channels: int,
    p_zero_filled: float = 0.2, flat: bool = False,
) -> scanner.SimulatedScan:  # fmt: skip
    """Scan a complex object `(e1, ro)` at R=1, with coils of its own; else as `scanner.scan_frames`."""
    sensitivities = loop_sensitivities(n_channels, tuple(image.shape), rng)
    scan = scanner.scan_frames(image[None], sensitivities[:, None], rng, snr, crop, p_zero_filled, flat, step=1)
    return scanner.SimulatedScan(scan.clean[0], scan.noise[0], scan.snr, scan.resolution, scan.place)


def make(folder: Path, frames: int = 1, axis: str = "none") -> Path:
    """Two subjects to train on, one to validate on, with two scans each."""
    rng = np.random.default_rng(0)
    image = scanner.complex_object(blob(), rng)
    maps = scanner.gmaps(image, (2, 3), rng, 40.0, 8)
    gmaps = np.stack([np.ones((SIZE, SIZE), np.float32), *(g.numpy().astype(np.float32) for g in maps)])
    for split, subject in (("train", "one"), ("train", "two"), ("validation", "three")):
        for number in range(2):
            scans = [fully_sampled(image, rng, 20.0, None, 4, p_zero_filled=0.0) for _ in range(frames)]
            clean, noise = (np.stack([getattr(scan, key).numpy() for scan in scans]) for key in ("clean", "noise"))
            accelerations = ((1, 1), (2, 1), (3, 1))
            entry = Entry(subject, "phantom", axis, clean, False, noise, gmaps, accelerations, 20.0, (1.0, 1.0))
            write_entry(folder / split / subject / f"{number:04d}", entry)
    return folder


def make_pairs(folder: Path, reference: bool = True) -> Path:
    """Pairs of the phantom growing from slice to slice."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.stack([20 * torch.from_numpy(blob()) * (0.5 + 0.1 * slice_) for slice_ in range(5)])
    for split, subject in (("train", "one"), ("validation", "two")):
        halves, (drawn,) = (
            [torch.stack([image * part + 2 * unit_noise((SIZE, SIZE), None, generator) for image in truth]).numpy()
             for _ in range(n)]
            for n, part in ((2, 1), (1, 0))
        )  # fmt: skip
        whole = (halves[0] + halves[1]) / 2
        first, second = (np.abs(half) for half in halves)
        pair = Pair(
            subject, "phantom", first, second, np.abs(whole), truth.numpy() if reference else None, whole,
            drawn / np.sqrt(np.float32(2)),
        )  # fmt: skip
        write_pair(folder / split / subject / "0000", pair)
    return folder
