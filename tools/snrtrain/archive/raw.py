"""Archive entries of raw scans, by the reconstruction that runs at the scanner."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snrstream.chain.chain import Chain
from snrstream.errors import ConfigurationError, ScanError
from snrstream.gadgets import accumulate, coil_combine, compress_channels, epi, grappa, noise_adjust, taper
from snrstream.items import Bucket, ReconImage
from snrstream.recon.plan import MAPS
from snrstream.recon.sampling import central_block, central_window
from snrstream.wire.header import cartesian_encoding, parse_header
from snrstream.wire.scan_file import ScanFile
from snrtrain.archive.archive import DONE, Entry
from snrtrain.archive.gmaps import ALONG_E1, IN_BOTH, possible_gmaps, worth_keeping
from snrtrain.archive.production import write, writing
from snrtrain.metrics import object_mask, tissue_level

MOST_OF_ENTRY = 16  # of one entry
MOST_ACS_LINES = 32  # taken from the centre of a scan without calibration lines
OF_VOLUMES = ((2, 1), (3, 1), (4, 1), *IN_BOTH)


@dataclass(frozen=True)
class FileTask:
    """What is to be made of one file, in the subject's folder `place`."""

    place: Path
    path: Path
    subject: str
    licence: str
    n_channels: int | None = None

    def is_done(self, what: str) -> bool:
        """Whether all `what` of the file is in place. Raises ConfigurationError where some is of another file."""
        mark = self._mark(what)
        if not mark.is_file():
            return False
        digest, *names = mark.read_text(encoding="utf-8").split("\n")
        there = [(self.place / name / DONE).is_file() for name in names]
        is_same = digest == self._digest()
        if any(there) and not is_same:
            raise ConfigurationError(
                f"{self.place} has {what} of another {self.path.name}, not of {self.path}; expected another name"
            )
        return is_same and all(there)

    def done(self, what: str, names: Sequence[str]) -> None:
        """Remember that all `what` of the file is in place, in the folders `names`."""
        with writing(self._mark(what)):
            self._mark(what).write_text("\n".join([self._digest(), *names]), encoding="utf-8")

    def _digest(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()

    def _mark(self, what: str) -> Path:
        return self.place / f"{self.path.stem}.{what}.done"


@dataclass(frozen=True)
class _Frame:
    """One image `(e1, ro)` in SNR units / g, what it came from, and its partition there."""

    clean: np.ndarray
    gmap: np.ndarray
    bucket: Bucket
    recon: ReconImage
    partition: int


def check(path: Path) -> str | None:
    """The patient's ID, where the header has one.

    Raises ConfigurationError, naming the file, where it is no raw scan that can be reconstructed.
    """
    try:
        with ScanFile(path) as scan:
            header = parse_header(scan.header_xml)
            cartesian_encoding(header)
            return header.subjectInformation.patientID if header.subjectInformation else None
    except ScanError as error:
        raise ConfigurationError(_named(path, error)) from None


def buckets(path: Path, n_channels: int | None = None) -> Iterator[Bucket]:
    """The whitened data of each image with its GRAPPA kernel. n_channels: compressed to so many, where given.

    Raises ConfigurationError, naming the file, on what the scanner's reconstruction refuses, and on a scan that is not
    in SNR units.
    """
    steps: list[tuple[str, Any]] = [
        ("noise_adjust", noise_adjust.Parameters(missing_dependency="error")),
        ("epi", epi.Parameters()),
        ("accumulate", accumulate.Parameters()),
    ]
    if n_channels is not None:
        steps.append(("compress_channels", compress_channels.Parameters(channels=n_channels)))
    steps.append(("grappa", grappa.Parameters()))
    try:
        with ScanFile(path) as scan:
            for item in Chain(tuple(steps)).run(scan.acquisitions(), parse_header(scan.header_xml)):
                if isinstance(item, Bucket):
                    yield item
    except ScanError as error:
        raise ConfigurationError(_named(path, error)) from None


def store(task: FileTask) -> None:
    """Write the entries of one file."""
    names = []
    for name, entry in entries(task.path, task.subject, task.licence, task.n_channels):
        write(task.place / name, entry)
        names.append(name)
    task.done("entries", names)


def entries(path: Path, subject: str, licence: str, n_channels: int | None = None) -> Iterator[tuple[str, Entry]]:
    """The entries of one file and their names.

    Frames are the repetitions and phases of a slice, else the slices of a repetition. Raises ConfigurationError as
    `buckets` does.
    """
    source = f"{path.name} ({licence})"
    frames = list(_frames(path, n_channels))
    for axis, group in _grouped(frames):
        middle = group[0] if axis == "time" else group[len(group) // 2]
        gmaps, accelerations = _gmaps(middle)
        clean = np.stack([frame.clean for frame in group])
        spectrum = middle.recon.spectrum
        resolution = float((spectrum.lines > 0).any(dim=0).float().mean()), float((spectrum.samples > 0).float().mean())
        idx = middle.recon.head.idx
        counters = (idx.contrast, idx.set, idx.phase, idx.repetition, idx.slice, middle.partition)
        name = "-".join([path.stem, axis, *(f"{counter:03}" for counter in counters)])
        yield name, Entry(
            subject, source, axis, clean, True, None, gmaps, accelerations,
            tissue_level(torch.from_numpy(np.abs(clean))), resolution,
        )  # fmt: skip


def _frames(path: Path, n_channels: int | None) -> Iterator[_Frame]:
    seen: list[Bucket] = []

    def tapped(items: Iterable[Bucket]) -> Iterator[Bucket]:
        for bucket in items:
            seen.append(bucket)
            yield bucket

    with ScanFile(path) as scan:
        header = parse_header(scan.header_xml)
    # Networks see images without their slowly varying phase.
    combine = Chain((("taper", taper.Parameters()), ("coil_combine", coil_combine.Parameters(maps="inati"))))
    try:
        for recon in combine.run(tapped(buckets(path, n_channels)), header):
            if not isinstance(recon, ReconImage):
                raise TypeError(f"coil_combine made a {type(recon).__name__} of a bucket; expected a ReconImage")
            bucket = seen.pop(0)
            for partition, (image, gmap) in enumerate(zip(recon.image, recon.gmap, strict=True)):
                clean = np.divide(image, gmap, out=np.zeros_like(image), where=gmap > 0)
                yield _Frame(clean, gmap, bucket, recon, partition)
    except ScanError as error:
        raise ConfigurationError(_named(path, error)) from None


def _grouped(frames: list[_Frame]) -> Iterator[tuple[str, list[_Frame]]]:
    """Frames that belong together, and along which axis; neighbours in space or time are neighbours."""
    series: dict[tuple[int, ...], list[_Frame]] = {}
    stacks: dict[tuple[int, ...], list[_Frame]] = {}
    for frame in frames:
        idx = frame.recon.head.idx
        key: tuple[int, ...] = (idx.slice, idx.contrast, idx.set, -1)
        if len(frame.recon.image) > 1:  # a volume stays one, also where it is repeated
            key = (idx.slice, idx.contrast, idx.set, frame.partition, idx.phase, idx.repetition)
        series.setdefault(key, []).append(frame)
    for group in series.values():
        idx = group[0].recon.head.idx
        if len(group) > 1:
            yield "time", sorted(group, key=lambda f: (f.recon.head.idx.repetition, f.recon.head.idx.phase))
        else:
            stacks.setdefault((idx.contrast, idx.phase, idx.set, idx.repetition), []).append(group[0])
    for group in stacks.values():
        group.sort(key=_height)
        for start in range(0, len(group), MOST_OF_ENTRY):
            block = group[start : start + MOST_OF_ENTRY]
            yield ("slice" if len(block) > 1 else "none"), block


def _height(frame: _Frame) -> tuple[float, int, int]:
    """Along the normal of the slice; slices may be acquired and numbered in any order."""
    head = frame.recon.head
    above = sum(x * n for x, n in zip(head.position, head.slice_dir, strict=True))
    return round(above, 3), head.idx.slice, frame.partition


def _gmaps(frame: _Frame) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """The frame's own g-map, then those of other accelerations that its calibration lines and channels allow."""
    bucket = frame.bucket
    (n_e2, n_e1), own = bucket.grid.size, bucket.lattice.acceleration
    acs, start = calibration(bucket)
    wanted = [r for r in (OF_VOLUMES if n_e2 > 1 else ALONG_E1) if r != own]
    kept = [(frame.gmap.astype(np.float32), own)]
    inside = object_mask(torch.from_numpy(np.abs(frame.clean))).numpy()
    for acceleration, gmap in possible_gmaps(acs, start, (n_e2, n_e1), wanted, MAPS.step).items():
        here = worth_keeping(gmap[frame.partition].cpu().numpy(), inside)
        if here is not None:
            kept.append((here, acceleration))
    return np.stack([gmap for gmap, _ in kept]), tuple(r for _, r in kept)


def calibration(bucket: Bucket) -> tuple[Tensor, tuple[int, int]]:
    """Calibration lines and the first of them (e2, e1); the central lines of a scan that needed none."""
    if bucket.calibration is not None:
        return bucket.calibration.kspace, bucket.calibration.start
    found = central_block(bucket.line_sd.numpy() > 0)
    z, y = (central_window(block, n, MOST_ACS_LINES) for block, n in zip(found, bucket.grid.size, strict=True))
    return bucket.kspace[:, z, y], (z.start, y.start)


def _named(path: Path, error: ScanError) -> str:
    return str(error) if str(path) in str(error) else f"{path}: {error}"
