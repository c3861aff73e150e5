"""Gadget: sort acquisitions into the data of one image each."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import ismrmrd

from ..errors import ScanError
from ..items import Bucket, Calibration, Item
from ..recon.device import find_device
from ..recon.lattice import Lattice
from ..sorting.interleaved import Interleaved
from ..sorting.oversampling import as_acquired, has_oversampling
from ..sorting.parallel_lines import ParallelLines
from ..sorting.placement import Placer
from ..sorting.scan_image import CALIBRATION, ScanImage
from ..wire.acquisitions import NOISE_FLAG, NOT_IMAGE_FLAGS, head_of, mask_of
from ..wire.header import cartesian_encoding
from ..wire.multiband import require_single_band
from ..wire.trapezoid import is_epi
from .gadget import Gadget, Scan

log = logging.getLogger(__name__)

MOST_OPEN_IMAGES = 4096
MOST_WAITING_BYTES = 2 << 30
MOST_BYTES = 12 << 30  # of images under way, as of one
LAST_IN_SLICE = mask_of(ismrmrd.ACQ_LAST_IN_SLICE)
LAST_FLAGS = mask_of(ismrmrd.ACQ_LAST_IN_SLICE, ismrmrd.ACQ_LAST_IN_REPETITION, ismrmrd.ACQ_LAST_IN_MEASUREMENT)

Key = tuple[int, int, int, int, int]  # slice, contrast, phase, set, repetition


@dataclass(frozen=True)
class Parameters:
    """Where the images are made."""

    device: Annotated[
        str, "where the images are reconstructed: cpu, cuda, cuda:1 and so on; auto takes a GPU where there is one"
    ] = "auto"


def start(scan: Scan, parameters: Parameters) -> Gadget:
    """Sort acquisitions into a `Bucket` for each slice, contrast, phase, set and repetition; averages are averaged.

    Readouts that come without their oversampling, as Gadgetron's RemoveROOversampling leaves them, are told by their
    length. A bucket leaves with the acquisition that is flagged as the last of its slice, repetition or
    measurement; where no flag comes, when it is complete and the next repetition of it begins, or at the
    end of the stream. It carries the scan's warnings so far. Items that are not acquisitions pass.
    Raises ScanError for a header that is not of a Cartesian scan, or of one that excites several slices at once, for
    lines whose trajectory is not Cartesian, and for lines that make no image.
    """
    return _Images(scan, parameters)


def key_of(head: ismrmrd.AcquisitionHeader) -> Key:
    """Tell the image that a line belongs to: its slice, contrast, phase, set and repetition."""
    idx = head.idx
    return idx.slice, idx.contrast, idx.phase, idx.set, idx.repetition


class _Images(Gadget):
    """The images that are under way, and the calibrations that later ones may use."""

    def __init__(self, scan: Scan, parameters: Parameters) -> None:
        self.scan = scan
        require_single_band(scan.header)
        self.encoding = encoding = cartesian_encoding(scan.header)
        self.trajectories = ParallelLines()
        self.device = find_device(parameters.device)
        self.undecided = has_oversampling(encoding)  # whether the readouts bring it along, before an image line tells
        self.waiting: list[ismrmrd.Acquisition] = []  # calibration lines until then
        self.waiting_bytes = 0
        self.placer = Placer(encoding)
        self.lattice: Lattice | None = None  # of the latest image: what one that was cut short goes by
        self.interleaved = Interleaved(encoding.acceleration) if encoding.interleaved else None
        self.started: dict[Key, ScanImage] = {}
        self.left: dict[tuple[int, ...], int] = {}  # the latest repetition that left, of each slice ... set
        self.calibrations: dict[tuple[int, ...], Calibration] = {}  # the latest, by slice ... set and by slice
        self.n_channels = 0
        self.n_images = 0

    def take(self, item: Item) -> Iterable[Item]:
        if not isinstance(item, ismrmrd.Acquisition):
            return (item,)
        if head_of(item).flags & NOISE_FLAG:
            raise ScanError(
                "a noise measurement reached accumulate, the data is not whitened; expected noise_adjust before"
            )
        return self._first(item) if self.undecided else self._add(item)

    def end(self) -> Iterator[Bucket]:
        yield from self._decided()
        for key in list(self.started):
            yield from self._finish(key)
        if self.n_images == 0:
            raise ScanError(
                "scan holds no image acquisitions; expected at least the lines of one image (a noise measurement alone "
                "is for the pipeline default_measurement_dependencies)"
            )
        if self.interleaved is not None:
            self.interleaved.end()

    def _first(self, acquisition: ismrmrd.Acquisition) -> Iterator[Bucket]:
        """A line that came before the readout's length is known: it waits for the first image line."""
        self.waiting.append(acquisition)
        self.waiting_bytes += acquisition.data.nbytes
        if self.waiting_bytes > MOST_WAITING_BYTES:
            raise ScanError(
                f"more than {MOST_WAITING_BYTES >> 20} MiB of calibration lines and navigators came ahead of the "
                "first image line; expected less"
            )
        if head_of(acquisition).flags & (CALIBRATION | NOT_IMAGE_FLAGS):
            return
        self.encoding = as_acquired(self.encoding, head_of(acquisition))
        yield from self._decided()

    def _decided(self) -> Iterator[Bucket]:
        self.undecided = False
        waiting, self.waiting = self.waiting, []
        for acquisition in waiting:
            yield from self._add(acquisition)

    def _add(self, acquisition: ismrmrd.Acquisition) -> Iterator[Bucket]:
        head = head_of(acquisition)
        key, flags = key_of(head), head.flags
        if not flags & NOT_IMAGE_FLAGS:
            if head.trajectory_dimensions:
                self.trajectories.check(acquisition, head)
            if key not in self.started:
                yield from self._before(key, acquisition)
                self.started[key] = ScanImage(self.encoding, self.placer, self.lattice)
            self.started[key].add(acquisition)
            self._require_channels(acquisition)
        if flags & LAST_FLAGS and head.idx.average + 1 >= self.encoding.n_averages:
            yield from self._finish(key)
            if not flags & LAST_IN_SLICE:
                for other in [k for k, image in self.started.items() if k[-1] <= key[-1] and image.complete()]:
                    yield from self._finish(other)

    def _before(self, key: Key, acquisition: ismrmrd.Acquisition) -> Iterator[Bucket]:
        """An image begins: an earlier repetition of it that is complete will get no more lines."""
        if self.scan.sample_sd is None and is_epi(self.scan.header):
            raise ScanError("trajectory is 'epi' and its readouts came as acquired; expected the gadget epi before")
        if self.left.get(key[:-1], -1) >= key[-1]:
            raise ScanError(
                f"acquisition {acquisition.scan_counter} belongs to repetition {key[-1]} of slice {key[0]}, whose "
                "image has left; expected nothing after the line that is flagged as its last"
            )
        for other in [k for k, image in self.started.items() if k[:-1] == key[:-1] and image.complete()]:
            yield from self._finish(other)
        if len(self.started) >= MOST_OPEN_IMAGES:
            raise ScanError(f"more than {MOST_OPEN_IMAGES} images are incomplete; expected flags that end them")
        n_bytes = sum(image.n_bytes for image in self.started.values())
        if n_bytes > MOST_BYTES:
            raise ScanError(
                f"{len(self.started)} incomplete images hold {n_bytes >> 20} MiB; expected at most {MOST_BYTES >> 20} "
                "MiB, and flags that end images"
            )

    def _finish(self, key: Key) -> Iterator[Bucket]:
        image = self.started.pop(key, None)
        if image is None:
            return
        calibration = image.calibration(self.device, self.scan.snr_units)
        if calibration is not None:
            self.calibrations[key[:-1]] = self.calibrations[key[:1]] = calibration
        if image.has_lines:
            calibration = self.calibrations.get(key[:-1]) or self.calibrations.get(key[:1])
            self.left[key[:-1]] = key[-1]
            self.n_images += 1
            bucket = image.bucket(calibration, self.scan.warnings, self.device, self.scan.snr_units)
            if self.scan.sample_sd is not None:
                bucket = dataclasses.replace(bucket, sample_sd=bucket.sample_sd * self.scan.sample_sd)
            self.lattice = bucket.lattice
            yield from (bucket,) if self.interleaved is None else self.interleaved.add(bucket)

    def _require_channels(self, acquisition: ismrmrd.Acquisition) -> None:
        n_channels = len(acquisition.data)
        self.n_channels = self.n_channels or n_channels
        if n_channels != self.n_channels:
            raise ScanError(
                f"acquisition {acquisition.scan_counter} has {n_channels} channels; the scan began with "
                f"{self.n_channels}"
            )
