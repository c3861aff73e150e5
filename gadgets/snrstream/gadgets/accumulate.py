"""Gadget: sort acquisitions into the data of one image each."""

import dataclasses
import logging
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import ismrmrd

from ..errors import ScanError
from ..items import Bucket, Item
from ..recon.device import find_device
from ..recon.lattice import Lattice
from ..recon.noise import HOT, louder_than_measured
from ..sorting.calibrations import Calibrations
from ..sorting.interleaved import Interleaved
from ..sorting.keys import Key, makes_image
from ..sorting.oversampling import has_oversampling
from ..sorting.parallel_lines import ParallelLines
from ..sorting.placement import Placer
from ..sorting.references import References, encoding_of
from ..sorting.scan_image import ScanImage
from ..wire.acquisitions import (
    LAST_FLAGS,
    LAST_IN_SLICE,
    NOISE_FLAG,
    NOT_IMAGE_FLAGS,
    acquisition_of,
    head_of,
)
from ..wire.header import Encoding, cartesian_encoding
from ..wire.multiband import require_single_band
from ..wire.trapezoid import is_epi
from .gadget import Gadget, Scan

log = logging.getLogger(__name__)

MOST_OPEN_IMAGES = 65536
MOST_WAITING_BYTES = 2 << 30
MOST_BYTES = 12 << 30  # of images under way, as of one


@dataclass(frozen=True)
class Parameters:
    """Where the images are made."""

    device: Annotated[
        str, "where the images are reconstructed: cpu, cuda, cuda:1 and so on; auto takes a GPU where there is one"
    ] = "auto"


def start(scan: Scan, parameters: Parameters) -> Gadget:
    """Sort acquisitions into a `Bucket` for each encoding, slice, contrast, phase, set and repetition.

    Averages are averaged. Readouts that come without their oversampling, as Gadgetron's RemoveROOversampling leaves
    them, are told by their length. Calibration lines of another encoding than the images' serve where they fit.

    A bucket leaves with the acquisition that is flagged as the last of its slice, repetition or measurement. In a scan
    that flags no ends of slices, one that is whole leaves ahead of the next acquisition of another image, at a pause,
    or at the end. Others leave when they are complete and the next repetition of them begins, or at the end. Lines that
    come later are left out, with a warning. At R > 1 a bucket waits for calibration lines of its slice.

    It carries the scan's warnings so far. Items that are not acquisitions pass. Raises ScanError for a header that is
    not of a Cartesian scan, or of one that excites several slices at once, for lines whose trajectory is not Cartesian,
    and for lines that make no image.
    """
    return _Images(scan, parameters)


class _Space:
    """An encoding that images refer to."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.placer = Placer(encoding)
        self.lattice: Lattice | None = None  # of the latest image: what one that was cut short goes by
        self.interleaved = Interleaved(encoding.acceleration) if encoding.interleaved else None


class _Images(Gadget):
    """The images that are under way, and the calibrations that later ones may use."""

    def __init__(self, scan: Scan, parameters: Parameters) -> None:
        self.scan = scan
        require_single_band(scan.header)
        self.trajectories = ParallelLines()
        self.has_one_encoding = len(scan.header.encoding) == 1
        self.device = find_device(parameters.device)
        encoding = cartesian_encoding(scan.header)
        # Whether an image line has to tell which encoding is that of the images, and if readouts are oversampled.
        self.undecided = has_oversampling(encoding) or len(scan.header.encoding) > 1
        self.waiting: list[ismrmrd.Acquisition] = []  # calibration lines until then
        self.waiting_bytes = 0
        self.spaces: dict[int, _Space] = {} if self.undecided else {0: _Space(encoding)}
        self.started: dict[Key, ScanImage] = {}
        self.ended: dict[Key, None] = {}  # of these, those that leave before another image's line
        self.whole: set[Key] = set()  # and those that have all their image lines, but may get calibration lines
        self.left: dict[tuple[int, ...], int] = {}  # the latest repetition that left, of each encoding, slice ... set
        self.calibrations = Calibrations()
        self.references = References(scan.header)
        self.has_flags = False  # whether ends of slices are flagged
        self.calibrates_last = False  # whether calibration lines follow those of the image
        self.last_average = encoding.n_averages - 1
        self.is_told_of_averages = False
        self.is_noise_checked = False
        self.n_channels = 0
        self.n_images = 0
        self.n_left_out = 0
        self.n_lines = 0  # of the images that are under way
        self.most_lines = 0

    def take(self, item: Item) -> Iterable[Item]:
        if not isinstance(item, ismrmrd.Acquisition):
            return (item,)
        head = head_of(item)
        if head.encoding_space_ref and self.has_one_encoding:
            item = self._of_the_only_encoding(item)
        if head.flags & NOISE_FLAG:
            raise ScanError(
                "a noise measurement reached accumulate, the data is not whitened; expected noise_adjust before"
            )
        return self._first(item) if self.undecided else self._add(item)

    def pause(self) -> Iterator[Bucket]:
        yield from self._leave()

    def failed(self) -> Iterator[Bucket]:
        try:
            yield from self._leave()
        except ScanError as exc:  # the scan has failed already, for a reason of its own
            log.error("images that had all their lines: %s", exc)

    def end(self) -> Iterator[Bucket]:
        yield from self._leave()
        for key in list(self.started):
            yield from self._finish(key)
        for key, bucket in self.calibrations.wanted:
            yield from self._learn(key, bucket.grid.size)
        if self.n_images == 0:
            raise ScanError(
                "scan holds no image acquisitions; expected at least the lines of one image (a noise measurement alone "
                "is for the pipeline default_measurement_dependencies)"
            )
        if self.n_left_out:
            log.warning("%d lines came after their images had left: they were left out", self.n_left_out)
        for space in self.spaces.values():
            if space.interleaved is not None:
                space.interleaved.end()
        if self.calibrations.wanted and self.references.fault:
            raise ScanError(f"images at R > 1 have no calibration lines: {self.references.fault}")
        yield from self.calibrations.given_up()

    def _of_the_only_encoding(self, acquisition: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
        """A line that refers to another one than the header has."""
        head = acquisition.getHead()
        text = (
            f"lines have encoding_space_ref {head.encoding_space_ref} where the header has one encoding; expected 0: "
            "that was taken"
        )
        if not any("encoding_space_ref" in told for told in self.scan.warnings):
            self._warn(text)
        head.encoding_space_ref = 0
        return acquisition_of(head, acquisition.data, acquisition.traj)

    def _first(self, acquisition: ismrmrd.Acquisition) -> Iterator[Bucket]:
        """A line that came before the first image line: it waits for that."""
        self.waiting.append(acquisition)
        self.waiting_bytes += acquisition.data.nbytes
        if self.waiting_bytes > MOST_WAITING_BYTES:
            raise ScanError(
                f"more than {MOST_WAITING_BYTES >> 20} MiB of calibration lines and navigators came ahead of the "
                "first image line; expected less"
            )
        head = head_of(acquisition)
        if not makes_image(head.flags):
            return
        self.undecided = False
        self.spaces[head.encoding_space_ref] = _Space(encoding_of(self.scan.header, head))
        waiting, self.waiting = self.waiting, []
        for line in waiting:
            yield from self._add(line)

    def _add(self, acquisition: ismrmrd.Acquisition) -> Iterator[Bucket]:
        head = head_of(acquisition)
        idx, flags, average = head.idx, head.flags, head.idx.average
        key = head.encoding_space_ref, idx.slice, idx.contrast, idx.phase, idx.set, idx.repetition
        if self.ended and key not in self.ended:
            yield from self._leave()
        if not flags & NOT_IMAGE_FLAGS:
            if head.trajectory_dimensions:
                self.trajectories.check(acquisition, head)
            if key[0] not in self.spaces and not makes_image(flags):
                self._refer(acquisition)
                return
            if average > self.last_average:
                self._more_averages(key, average)
            image = self.started.get(key)
            if image is None:
                image = yield from self._begun(key, acquisition)
            if image is not None:
                image.add(acquisition)
                self._require_channels(acquisition)
                image.n_acquired += 1
                self.n_lines += 1
                if key in self.whole:
                    self.calibrates_last = True
                elif not self.has_flags and key not in self.ended and image.is_whole(self.last_average + 1):
                    self._has_all(key, image)
                if self.n_lines > self.most_lines or len(self.started) > MOST_OPEN_IMAGES:
                    yield from self._make_room()
        if flags & LAST_FLAGS and average >= self.last_average:
            yield from self._end(key, flags)

    def _end(self, key: Key, flags: int) -> Iterator[Bucket]:
        """A line is flagged as the last of its slice, repetition or measurement."""
        self.has_flags |= bool(flags & LAST_IN_SLICE)
        self.ended[key] = None
        if not flags & LAST_IN_SLICE:
            others = [k for k, image in self.started.items() if k[-1] <= key[-1] and image.complete()]
            self.ended |= dict.fromkeys(others)
        yield from self._leave()

    def _refer(self, acquisition: ismrmrd.Acquisition) -> None:
        """A calibration line of an encoding that has no images, so far."""
        number, space = next(iter(self.spaces.items()))
        text = self.references.add(acquisition, number, space.encoding)
        if text:
            self._warn(text)

    def _more_averages(self, key: Key, average: int) -> None:
        """More than the header announces: the ends of earlier ones are none."""
        if not self.is_told_of_averages:
            self.is_told_of_averages = True
            self._warn(
                f"lines of average {average} came; the header announces {self.last_average + 1}: all are averaged"
            )
        self.last_average = average
        self.ended.pop(key, None)
        self.whole.discard(key)

    def _begun(self, key: Key, acquisition: ismrmrd.Acquisition) -> Generator[Bucket, None, ScanImage | None]:
        """The image that a line begins; None where it has left, so that the line comes too late."""
        if self.scan.sample_sd is None and is_epi(self.scan.header):
            raise ScanError("trajectory is 'epi' and its readouts came as acquired; expected the gadget epi before")
        is_image_line = makes_image(head_of(acquisition).flags)
        if self.left.get(key[:-1], -1) >= key[-1] and (is_image_line or not self.calibrations.is_wanted(key)):
            if self.n_left_out == 0:
                self._warn(
                    f"acquisition {acquisition.scan_counter} belongs to repetition {key[-1]} of slice {key[1]}, whose "
                    "image has left: it and others that come as late are left out"
                )
            self.n_left_out += 1
            return None
        if key[0] not in self.spaces:  # images of a second encoding
            self.spaces[key[0]] = _Space(encoding_of(self.scan.header, head_of(acquisition)))
            for line in self.references.pop(key[0]):
                yield from self._add(line)
            if key in self.started:
                return self.started[key]
        for other in sorted(self.whole):  # they will get no more lines
            yield from self._finish(other)
        if key[-1]:
            for other in [k for k, image in self.started.items() if k[:-1] == key[:-1] and image.complete()]:
                yield from self._finish(other)
        space = self.spaces[key[0]]
        image = self.started[key] = ScanImage(space.encoding, space.placer, space.lattice)
        self.most_lines = self.most_lines or MOST_BYTES // max(1, acquisition.data.nbytes)
        return image

    def _has_all(self, key: Key, image: ScanImage) -> None:
        """An image is whole: it leaves, unless its calibration lines may still come."""
        space = self.spaces[key[0]]
        needs_none = space.encoding.acceleration == (1, 1) or space.interleaved is not None
        if image.has_calibration_lines:
            is_calibrated = image.is_calibrated()
        else:
            is_calibrated = needs_none or self.calibrations.of(key) is not None
        if needs_none or (is_calibrated and not self.calibrates_last):
            self.ended[key] = None
        else:
            self.whole.add(key)

    def _make_room(self) -> Iterator[Bucket]:
        """The image that began first and has most of its lines leaves: those that lack are none that will come."""
        oldest = next((key for key, image in self.started.items() if image.has_most_lines), None)
        if oldest is not None:
            yield from self._finish(oldest)
        elif len(self.started) > MOST_OPEN_IMAGES:
            raise ScanError(f"more than {MOST_OPEN_IMAGES} images are incomplete; expected flags that end them")
        else:
            n_bytes = sum(image.n_bytes for image in self.started.values())
            raise ScanError(
                f"{len(self.started)} incomplete images hold {n_bytes >> 20} MiB; expected at most {MOST_BYTES >> 20} "
                "MiB, and flags that end images"
            )

    def _leave(self) -> Iterator[Bucket]:
        ended, self.ended = self.ended, {}
        for key in ended:
            yield from self._finish(key)

    def _finish(self, key: Key) -> Iterator[Bucket]:
        image = self.started.pop(key, None)
        self.whole.discard(key)
        if image is None:
            return
        self.n_lines -= image.n_acquired
        space = self.spaces[key[0]]
        text = image.settle()
        if text:
            space.encoding = image.encoding
            if text not in self.scan.warnings:
                self._warn(text)
        own = image.calibration(self.device, self.scan.snr_units)
        if own is not None:
            yield from self.calibrations.learn(key, own)
        if not image.has_lines:
            return
        needs_one = space.encoding.acceleration != (1, 1) and space.interleaved is None
        if needs_one and self.calibrations.of(key) is None:
            yield from self._learn(key, image.size)
        self.left[key[:-1]] = key[-1]
        self.n_images += 1
        bucket = image.bucket(self.calibrations.of(key), self.scan.warnings, self.device, self.scan.snr_units)
        if self.scan.sample_sd is not None:
            bucket = dataclasses.replace(bucket, sample_sd=bucket.sample_sd * self.scan.sample_sd)
        space.lattice = bucket.lattice
        if not self.is_noise_checked and bucket.snr_units:
            bucket = self._with_noise_checked(bucket)
        if space.interleaved is not None:
            yield from space.interleaved.add(bucket)
        elif bucket.lattice.acceleration != (1, 1) and bucket.calibration is None:
            self.calibrations.wait(key, bucket)
        else:
            yield bucket

    def _with_noise_checked(self, bucket: Bucket) -> Bucket:
        """The first image tells of channels whose noise is not what was measured."""
        self.is_noise_checked = True
        loud = louder_than_measured(bucket.kspace, bucket.line_sd, bucket.sample_sd)
        if not loud:
            return bucket
        text = (
            f"channels {loud} hold more than {HOT:g} times the noise that was measured of them, next to the others: "
            "expect errors in images and SNR"
        )
        self._warn(text)
        return dataclasses.replace(bucket, warnings=(*bucket.warnings, text))

    def _learn(self, key: Key, size: tuple[int, int]) -> Iterator[Bucket]:
        """Look for calibration lines of the slice that came with other counters, or in another encoding.

        size: of k-space of the image that needs them.
        """
        others = [k for k, image in self.started.items() if k[:2] == key[:2] and not image.has_lines]
        for other in others:
            if self.started[other].is_calibrated():
                yield from self._finish(other)
        if self.calibrations.of(key) is None:
            encoding = self.spaces[key[0]].encoding
            found = self.references.calibration(key[1:-1], encoding, size, self.device, self.scan.snr_units)
            if found is not None:
                yield from self.calibrations.learn(key, found)

    def _warn(self, text: str) -> None:
        log.warning(text)
        self.scan.warn(text)

    def _require_channels(self, acquisition: ismrmrd.Acquisition) -> None:
        n_channels = len(acquisition.data)
        self.n_channels = self.n_channels or n_channels
        if n_channels != self.n_channels:
            raise ScanError(
                f"acquisition {acquisition.scan_counter} has {n_channels} channels; the scan began with "
                f"{self.n_channels}"
            )
