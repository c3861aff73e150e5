"""Gadget: sort acquisitions into the data of one image each."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ismrmrd
import numpy as np
import torch
from ismrmrd import xsd

from .errors import ScanError
from .items import Bucket, Calibration, ScanWarning
from .mrd.header import Encoding, cartesian_encoding
from .recon.combine import Grid
from .recon.fft import remove_oversampling

log = logging.getLogger(__name__)

NOT_IMAGE_FLAGS = (
    ismrmrd.ACQ_IS_NAVIGATION_DATA,
    ismrmrd.ACQ_IS_PHASECORR_DATA,
    ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
    ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
    ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
    ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA,
    ismrmrd.ACQ_IS_PHASE_STABILIZATION_REFERENCE,
    ismrmrd.ACQ_IS_PHASE_STABILIZATION,
)
MOST_OPEN_IMAGES = 4096
MOST_LISTED = 20
MOST_KSPACE_BYTES = 4 << 30
LAST_FLAGS = (ismrmrd.ACQ_LAST_IN_SLICE, ismrmrd.ACQ_LAST_IN_REPETITION, ismrmrd.ACQ_LAST_IN_MEASUREMENT)


@dataclass(frozen=True)
class Parameters:
    """`accumulate` has none: the header and the flags of the acquisitions say it all."""


def process(items: Iterable[Any], header: xsd.ismrmrdHeader, parameters: Parameters) -> Iterator[Any]:
    """Acquisitions to `Bucket`s, one for each slice, contrast, phase, repetition and set.

    A bucket leaves with the acquisition that is flagged as the last of its slice, repetition or
    measurement, or at the end of the stream. Items that are not acquisitions pass.
    """
    encoding = cartesian_encoding(header)
    _require_supported(encoding)
    warnings: tuple[str, ...] = _partial_fourier(encoding)
    started: dict[tuple[int, ...], _Lines] = {}
    calibrations: dict[int, Calibration] = {}  # the latest of each slice, for images that bring none
    n_images = 0
    for item in items:
        if isinstance(item, ScanWarning):
            warnings += (item.text,)
        elif not isinstance(item, ismrmrd.Acquisition):
            yield item
        elif item.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
            raise ScanError(
                "a noise measurement reached accumulate, the data is not whitened; expected noise_adjust before"
            )
        elif not any(item.is_flag_set(flag) for flag in NOT_IMAGE_FLAGS):
            idx = item.idx
            key = (idx.slice, idx.contrast, idx.phase, idx.repetition, idx.set)
            started.setdefault(key, _Lines(encoding)).add(item)
            if len(started) > MOST_OPEN_IMAGES:
                raise ScanError(f"more than {MOST_OPEN_IMAGES} images are incomplete; expected flags that end them")
            if any(item.is_flag_set(flag) for flag in LAST_FLAGS):
                n_images += 1
                yield started.pop(key).bucket(warnings, calibrations)
    for lines in started.values():
        n_images += 1
        yield lines.bucket(warnings, calibrations)
    if n_images == 0:
        raise ScanError("scan holds no image acquisitions; expected at least the lines of one image")


def _require_supported(encoding: Encoding) -> None:
    """Say plainly what this version cannot reconstruct, rather than make a wrong image of it."""
    nx, ny, nz = encoding.encoded_matrix
    rx, ry, rz = encoding.recon_matrix
    if nz != 1 or encoding.acceleration[1] != 1:
        raise ScanError(
            f"encoded matrix {nx} x {ny} x {nz} at R2={encoding.acceleration[1]}; expected a 2D scan (z = 1)"
        )
    if ry != ny or rz != nz or rx > nx:
        raise ScanError(f"recon matrix {rx} x {ry} x {rz} differs from the encoded {nx} x {ny} x {nz} beyond readout")
    ratio = encoding.encoded_fov_mm[0] / encoding.recon_fov_mm[0]
    if abs(ratio - nx / rx) > 0.01 * ratio:
        raise ScanError(
            f"readout field of view shrinks by {ratio:.3f}, its matrix by {nx / rx:.3f}; expected plain oversampling"
        )


def _partial_fourier(encoding: Encoding) -> tuple[str, ...]:
    """A warning where the limits leave out lines on one side of the centre only."""
    before, after = encoding.e1_centre - encoding.e1_limits[0], encoding.e1_limits[1] - encoding.e1_centre
    if abs(before - after) <= encoding.acceleration[0] + 1:
        return ()
    text = f"partial Fourier along e1, {before} lines before the centre and {after} after it: zero-filled"
    log.warning(text)
    return (text,)


class _Lines:
    """The lines of one image as they come in."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.image: dict[int, ismrmrd.Acquisition] = {}
        self.calibration: dict[int, ismrmrd.Acquisition] = {}

    def add(self, acquisition: ismrmrd.Acquisition) -> None:
        nx, ny, _ = self.encoding.encoded_matrix
        name = f"acquisition {acquisition.scan_counter}, line {acquisition.idx.kspace_encode_step_1}"
        n_channels, n_samples = acquisition.data.shape
        if n_samples != nx or acquisition.center_sample != nx // 2:
            raise ScanError(
                f"{name} has {n_samples} samples around sample {acquisition.center_sample}; "
                f"expected {nx} around {nx // 2}"
            )
        n_bytes = 8 * n_channels * nx * ny
        if n_bytes > MOST_KSPACE_BYTES:
            raise ScanError(f"k-space of {n_channels} x {ny} x {nx} takes {n_bytes >> 20} MiB; expected at most 4096")
        others = (
            ("kspace_encode_step_2", acquisition.idx.kspace_encode_step_2),
            *((field, getattr(acquisition, field)) for field in ("encoding_space_ref", "discard_pre", "discard_post")),
        )
        for field, value in others:
            if value != 0:
                raise ScanError(f"{name} has {field} {value}; expected 0")
        if acquisition.is_flag_set(ismrmrd.ACQ_IS_REVERSE):
            raise ScanError(f"{name} was read in reverse; expected forward readouts")
        if not np.isfinite(acquisition.data.view(np.float32)).all():
            raise ScanError(f"{name} holds NaN or infinite samples; expected finite ones")
        line = acquisition.idx.kspace_encode_step_1 - self.encoding.e1_centre + ny // 2
        if not 0 <= line < ny:
            raise ScanError(f"{name} lies outside k-space of {ny} lines with its centre at {self.encoding.e1_centre}")
        only_calibration = acquisition.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
        also_calibration = acquisition.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
        targets = [self.calibration] if only_calibration else [self.image]
        if also_calibration and not only_calibration:
            targets.append(self.calibration)
        for lines in targets:
            if line in lines:
                raise ScanError(f"{name} was acquired twice for the same image; expected each line once")
            other = next(iter(lines.values()), acquisition)
            if len(other.data) != n_channels:
                raise ScanError(f"{name} has {n_channels} channels; the scan began with {len(other.data)}")
            lines[line] = acquisition

    def bucket(self, warnings: tuple[str, ...], calibrations: dict[int, Calibration]) -> Bucket:
        """The data in place. A calibration of its own is left in `calibrations` for later images of the slice."""
        nx, ny, _ = self.encoding.encoded_matrix
        rx = self.encoding.recon_matrix[0]
        if not self.image:
            raise ScanError(f"an image has {len(self.calibration)} calibration lines and no image lines")
        self._keep_grid(self.encoding.acceleration[0])
        numbers = sorted(self.image)
        grid = self._grid(numbers)
        stored = [(number - grid.first[1]) // grid.step[1] for number in numbers]
        kspace = _readouts([self.image[n] for n in numbers], rx).unsqueeze(1)
        sampled = torch.zeros(grid.stored, dtype=torch.bool)
        sampled[0, stored] = True
        if len(stored) < sampled.shape[1]:
            kspace = kspace.new_zeros(len(kspace), *sampled.shape, rx).index_copy_(2, torch.tensor(stored), kspace)
        missing = self._missing(numbers)
        if missing:
            listed = ", ".join(map(str, missing[:MOST_LISTED])) + (" ..." if len(missing) > MOST_LISTED else "")
            text = f"{len(missing)} of {len(missing) + len(numbers)} image lines never arrived: {listed}"
            log.warning(text)
            warnings += (text,)
        head = self.image[min(numbers, key=lambda n: abs(n - ny // 2))].getHead()
        if self.calibration:
            first, run = _longest_run(sorted(self.calibration))
            lines = _readouts([self.calibration[n] for n in run], rx)
            calibrations[head.idx.slice] = Calibration(lines.unsqueeze(1), first)
        fov = self.encoding.encoded_fov_mm
        return Bucket(
            kspace=kspace,
            sampled=sampled,
            grid=grid,
            calibration=calibrations.get(head.idx.slice),
            acceleration=self.encoding.acceleration,
            voxel_mm=(fov[0] / nx, fov[1] / ny, fov[2]),
            head=head,
            warnings=warnings,
        )

    def _grid(self, numbers: list[int]) -> Grid:
        """Every R-th line alone where R divides k-space, else all lines."""
        size, step = (1, self.encoding.encoded_matrix[1]), self.encoding.acceleration[0]
        return Grid(size) if size[1] % step else Grid(size, first=(0, numbers[0] % step), step=(1, step))

    def _keep_grid(self, step: int) -> None:
        """Leave every R-th line alone for the image: unaliasing counts on zeros between them.

        Calibration lines between them may be flagged as image lines too; anything else there is an error.
        """
        plain = [number for number in self.image if number not in self.calibration]
        grid = Counter(number % step for number in plain or self.image).most_common(1)[0][0]
        for number in [number for number in self.image if number % step != grid]:
            if number not in self.calibration:
                line = number - self.encoding.encoded_matrix[1] // 2 + self.encoding.e1_centre
                raise ScanError(
                    f"line {line} lies between the image lines at R={step}; expected every {step}th line only"
                )
            del self.image[number]

    def _missing(self, numbers: list[int]) -> list[int]:
        """Line numbers, as the scanner counts them, that the regular sampling within the limits lacks."""
        shift = self.encoding.encoded_matrix[1] // 2 - self.encoding.e1_centre
        step = self.encoding.acceleration[0]
        first, last = self.encoding.e1_limits
        expected = range(first + (numbers[0] - shift - first) % step, last + 1, step)
        return [n for n in expected if n + shift not in self.image]


def _readouts(acquisitions: list[ismrmrd.Acquisition], n_samples: int) -> torch.Tensor:
    """Readouts with oversampling removed, `(channel, line, n_samples)` complex64."""
    lines = np.stack([acquisition.data for acquisition in acquisitions], axis=1)
    return remove_oversampling(torch.from_numpy(lines), n_samples)


def _longest_run(numbers: list[int]) -> tuple[int, list[int]]:
    """First number, and all numbers, of the longest run of consecutive ones in a sorted list."""
    best: list[int] = []
    run: list[int] = []
    for number in numbers:
        run = [*run, number] if run and number == run[-1] + 1 else [number]
        if len(run) > len(best):
            best = run
    return (best[0] if best else 0), best
