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
from ..sorting.calibrations import Calibrations
from ..sorting.channels import Channels
from ..sorting.keys import Key, makes_image
from ..sorting.leaving import Leaving
from ..sorting.parallel_lines import ParallelLines
from ..sorting.scan_image import ScanImage
from ..sorting.spaces import Spaces, of_the_only_encoding
from ..wire.acquisitions import LAST_FLAGS, NOISE_FLAG, NOT_IMAGE_FLAGS, head_of
from ..wire.multiband import require_single_band
from ..wire.trapezoid import is_epi
from .gadget import Gadget, Scan

log = logging.getLogger(__name__)


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


class _Images(Gadget):
    """The images that are under way, and the calibrations that later ones may use."""

    def __init__(self, scan: Scan, parameters: Parameters) -> None:
        self.scan = scan
        require_single_band(scan.header)
        self.trajectories = ParallelLines()
        self.device = find_device(parameters.device)
        self.spaces = Spaces(scan.header)
        self.leaving = Leaving(self.spaces.n_averages)
        self.calibrations = Calibrations()
        self.is_told_of_averages = False
        self.channels = Channels()
        self.n_images = 0
        self.n_left_out = 0

    def take(self, item: Item) -> Iterable[Item]:
        if not isinstance(item, ismrmrd.Acquisition):
            return (item,)
        head = head_of(item)
        if head.encoding_space_ref and self.spaces.has_one_encoding:
            item = self._of_the_only_encoding(item)
        if head.flags & NOISE_FLAG:
            raise ScanError(
                "a noise measurement reached accumulate, the data is not whitened; expected noise_adjust before"
            )
        return self._first(item) if self.spaces.undecided else self._add(item)

    def pause(self) -> Iterator[Bucket]:
        yield from self._leave()

    def failed(self) -> Iterator[Bucket]:
        try:
            yield from self._leave()
        except ScanError as exc:  # the scan has failed already, for a reason of its own
            log.error("images that had all their lines: %s", exc)

    def end(self) -> Iterator[Bucket]:
        yield from self._leave()
        for key in list(self.leaving.started):
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
        for space in self.spaces.known.values():
            if space.interleaved is not None:
                space.interleaved.end()
        if self.calibrations.wanted and self.spaces.references.fault:
            raise ScanError(f"images at R > 1 have no calibration lines: {self.spaces.references.fault}")
        yield from self.calibrations.given_up()

    def _of_the_only_encoding(self, acquisition: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
        line, text = of_the_only_encoding(acquisition)
        if not any("encoding_space_ref" in told for told in self.scan.warnings):
            self._warn(text)
        return line

    def _first(self, acquisition: ismrmrd.Acquisition) -> Iterator[Bucket]:
        """A line that came before the first image line: it waits for that."""
        for line in self.spaces.decided_by(acquisition):
            yield from self._add(line)

    def _add(self, acquisition: ismrmrd.Acquisition) -> Iterator[Bucket]:
        head = head_of(acquisition)
        idx, flags, average = head.idx, head.flags, head.idx.average
        key = head.encoding_space_ref, idx.slice, idx.contrast, idx.phase, idx.set, idx.repetition
        leaving = self.leaving
        if leaving.ended and key not in leaving.ended:
            yield from self._leave()
        if not flags & NOT_IMAGE_FLAGS:
            if head.trajectory_dimensions:
                self.trajectories.check(acquisition, head)
            if key[0] not in self.spaces.known and not makes_image(flags):
                self._refer(acquisition)
                return
            if average > leaving.last_average:
                self._more_averages(key, average)
            image = leaving.started.get(key)
            if image is None:
                image = yield from self._begun(key, acquisition)
            if image is not None:
                image.add(acquisition)
                self.channels.require(acquisition)
                image.n_acquired += 1
                leaving.n_lines += 1
                if key in leaving.whole:
                    leaving.calibrates_last = True
                elif not leaving.has_flags and key not in leaving.ended and image.is_whole(leaving.last_average + 1):
                    leaving.has_all(key, self._may_be_calibrated(key, image))
                if leaving.n_lines > leaving.most_lines or len(leaving.started) > leaving.most_images:
                    yield from self._finish(leaving.oldest())
        if flags & LAST_FLAGS and average >= leaving.last_average:
            leaving.flagged(key, flags)
            yield from self._leave()

    def _refer(self, acquisition: ismrmrd.Acquisition) -> None:
        text = self.spaces.refer(acquisition)
        if text:
            self._warn(text)

    def _more_averages(self, key: Key, average: int) -> None:
        """More than the header announces: the ends of earlier ones are none."""
        if not self.is_told_of_averages:
            self.is_told_of_averages = True
            n_told = self.leaving.last_average + 1
            self._warn(f"lines of average {average} came; the header announces {n_told}: all are averaged")
        self.leaving.more_averages(key, average)

    def _begun(self, key: Key, acquisition: ismrmrd.Acquisition) -> Generator[Bucket, None, ScanImage | None]:
        """The image that a line begins; None where it has left, so that the line comes too late."""
        if self.scan.sample_sd is None and is_epi(self.scan.header):
            raise ScanError("trajectory is 'epi' and its readouts came as acquired; expected the gadget epi before")
        is_image_line = makes_image(head_of(acquisition).flags)
        if self.leaving.has_left(key) and (is_image_line or not self.calibrations.is_wanted(key)):
            if self.n_left_out == 0:
                self._warn(
                    f"acquisition {acquisition.scan_counter} belongs to repetition {key[-1]} of slice {key[1]}, whose "
                    "image has left: it and others that come as late are left out"
                )
            self.n_left_out += 1
            return None
        if key[0] not in self.spaces.known:  # images of a second encoding
            for line in self.spaces.begin(head_of(acquisition)):
                yield from self._add(line)
            if key in self.leaving.started:
                return self.leaving.started[key]
        for other in sorted(self.leaving.whole):  # they will get no more lines
            yield from self._finish(other)
        for other in self.leaving.repeated_by(key):
            yield from self._finish(other)
        space = self.spaces.known[key[0]]
        image = ScanImage(space.encoding, space.placer, space.lattice)
        self.leaving.begin(key, image, acquisition.data.nbytes)
        return image

    def _may_be_calibrated(self, key: Key, image: ScanImage) -> bool:
        """Whether calibration lines of an image may still come."""
        if not self.spaces.known[key[0]].needs_calibration:
            return False
        has_some = image.has_calibration_lines
        is_calibrated = image.is_calibrated() if has_some else self.calibrations.of(key) is not None
        return not is_calibrated or self.leaving.calibrates_last

    def _leave(self) -> Iterator[Bucket]:
        for key in self.leaving.pop_ended():
            yield from self._finish(key)

    def _finish(self, key: Key) -> Iterator[Bucket]:
        image = self.leaving.pop(key)
        if image is None:
            return
        space = self.spaces.known[key[0]]
        text = image.settle()
        if text:
            space.encoding = image.encoding
            if text not in self.scan.warnings:
                self._warn(text)
        own = image.calibration(self.device, self.scan.snr_units)
        if own is not None:
            self.calibrations.learn(key, own)
        if not image.has_lines:
            yield from self.calibrations.ready()
            return
        if space.needs_calibration and self.calibrations.of(key) is None:
            yield from self._learn(key, image.size)
        self.leaving.left[key[:-1]] = key[-1]
        self.n_images += 1
        try:
            bucket = image.bucket(self.calibrations.of(key), self.scan.warnings, self.device, self.scan.snr_units)
        finally:
            yield from self.calibrations.ready()
        if self.scan.sample_sd is not None:
            bucket = dataclasses.replace(bucket, sample_sd=bucket.sample_sd * self.scan.sample_sd)
        space.lattice = bucket.lattice
        for text in self.channels.told_if_loud(bucket):
            self._warn(text)
            bucket = dataclasses.replace(bucket, warnings=(*bucket.warnings, text))
        if space.interleaved is not None:
            yield from space.interleaved.add(bucket)
        elif bucket.lattice.acceleration != (1, 1) and bucket.calibration is None:
            self.calibrations.wait(key, bucket)
        else:
            yield bucket

    def _learn(self, key: Key, size: tuple[int, int]) -> Iterator[Bucket]:
        """Look for calibration lines of the slice that came with other counters, or in another encoding.

        size: of k-space of the image that needs them.
        """
        others = [k for k, image in self.leaving.started.items() if k[:2] == key[:2] and not image.has_lines]
        for other in others:
            if self.leaving.started[other].is_calibrated():
                yield from self._finish(other)
        if self.calibrations.of(key) is None:
            encoding = self.spaces.known[key[0]].encoding
            found = self.spaces.references.calibration(key[1:-1], encoding, size, self.device, self.scan.snr_units)
            if found is not None:
                self.calibrations.learn(key, found)
                yield from self.calibrations.ready()

    def _warn(self, text: str) -> None:
        log.warning(text)
        self.scan.warn(text)
