"""Readouts of EPI, made plain: on the pixels of the field of view, forward, and free of what differs by direction."""

from collections.abc import Callable, Sequence

import ismrmrd
import numpy as np
from ismrmrd import xsd
from torch import Tensor

from ..errors import ScanError
from ..recon.echo import find_echo
from ..recon.epi import LATE_STEP, OddEven, Readout
from ..recon.ghost import image_phase, navigator_phase
from ..wire.acquisitions import REVERSED, acquisition_of, head_of
from ..wire.header import Encoding
from ..wire.trapezoid import readout_trapezoid
from .oversampling import pixels_without_oversampling

MOST_LATE = 8.0  # dwell times; beyond, the navigators hold no echo
MOST_PASSES = 4
LEFT_IF_TURNED = 0.25  # of the disagreement
LEAST_AGREEMENT = 0.3  # of navigators that hold an echo
MOST_READOUTS = 64
MOST_MATRICES = 8
MOST_SAMPLES = 2048  # and pixels: the operators are dense


class EpiReadouts:
    """The readouts of one scan.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.
    encoding : Encoding
        What it tells of k-space.
    tell : callable
        Takes what people should know, as often as it is so.

    Raises
    ------
    ScanError
        Where the field of view has more pixels than any.
    """

    def __init__(self, header: xsd.ismrmrdHeader, encoding: Encoding, tell: Callable[[str], None]) -> None:
        self._header, self._n_encoded, self._tell = header, encoding.encoded_matrix[0], tell
        self.n_pixels = pixels_without_oversampling(encoding)
        if self.n_pixels > MOST_SAMPLES:
            raise ScanError(f"EPI readouts have {self.n_pixels} pixels; expected at most {MOST_SAMPLES}")
        self._readouts: dict[tuple[object, ...], Readout] = {}
        self._matrices: dict[tuple[Readout, bool, OddEven], np.ndarray] = {}
        self._is_checked = False  # whether reversed lines are still to be turned

    def plain(self, line: ismrmrd.Acquisition, phase: OddEven, is_epi: bool) -> tuple[ismrmrd.Acquisition, Tensor]:
        """A line on the pixels of the field of view, as k-space of a forward readout.

        Parameters
        ----------
        line : ismrmrd.Acquisition
            As acquired.
        phase : OddEven
            What differs between the directions.
        is_epi : bool
            False for a gradient echo: no ramps.

        Returns
        -------
        line : ismrmrd.Acquisition
            A new one.
        sample_sd : Tensor
            `(n_pixels,)` float32: the noise's SD along it.

        Raises
        ------
        ScanError
            Where it has too few samples, or too many.
        """
        head = head_of(line)
        readout, is_reversed = self._of(head, is_epi), bool(head.flags & REVERSED)
        matrix = self._matrices.get((readout, is_reversed, phase))
        if matrix is None:
            if len(self._matrices) == MOST_MATRICES:
                self._matrices.clear()
            matrix = self._matrices[readout, is_reversed, phase] = readout.corrected(is_reversed, phase)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused further on
            data = _samples(line) @ matrix.T
        plain = type(head).from_buffer_copy(head)
        plain.number_of_samples, plain.center_sample = self.n_pixels, self.n_pixels // 2
        plain.discard_pre = plain.discard_post = plain.trajectory_dimensions = 0
        plain.flags &= ~REVERSED
        return acquisition_of(plain, data, np.zeros((self.n_pixels, 0), np.float32)), readout.sample_sd

    def of_navigators(self, train: Sequence[ismrmrd.Acquisition], late: float = 0.0) -> OddEven | None:
        """What differs between the directions, by phase-correction lines.

        Parameters
        ----------
        train : sequence of ismrmrd.Acquisition
            In the order of time.
        late : float
            By how many dwell times the gradient is likely to come late.

        Returns
        -------
        OddEven or None
            None where they do not tell.

        Raises
        ------
        ScanError
            Where they do not belong together.
        """
        if len({len(line.data) for line in train}) > 1:
            raise ScanError("phase-correction lines of one slice differ in channels; expected as many in each")
        heads = [head_of(line) for line in train]
        readouts, directions = [self._of(head, True) for head in heads], [bool(head.flags & REVERSED) for head in heads]
        phase = None
        for _ in range(MOST_PASSES):
            with np.errstate(over="ignore", invalid="ignore"):
                pixels = [
                    readout.operator(direction, late) @ _samples(line).T
                    for readout, direction, line in zip(readouts, directions, train, strict=True)
                ]
            found = navigator_phase(pixels, directions)
            if found is None:
                return None
            intercept, slope, agreement = found
            phase = OddEven(intercept, slope, late)
            more = readouts[0].late_of(phase.slope)
            if abs(more) < LATE_STEP or abs(late + more) > MOST_LATE:
                break
            late += more
        if agreement < LEAST_AGREEMENT and any(map(_has_echo, train)):
            self._tell(
                f"phase-correction lines of slice {heads[0].idx.slice} agree by {agreement:.2f} between the "
                f"directions; expected {LEAST_AGREEMENT} or more: left out"
            )
            return None
        if not self._is_checked:
            self._is_checked = True
            self._check_turned(train, readouts, directions, agreement)
        return phase

    def _check_turned(
        self, train: Sequence[ismrmrd.Acquisition], readouts: list[Readout], directions: list[bool], agreement: float
    ) -> None:
        """Some converters turn reversed lines themselves, and leave the flag."""
        pixels = [readout.operator(False) @ _samples(line).T for readout, line in zip(readouts, train, strict=True)]
        as_they_come = navigator_phase(pixels, directions)
        if as_they_come is not None and 1 - as_they_come[2] < LEFT_IF_TURNED * (1 - agreement):
            self._tell(
                f"phase-correction lines of both directions agree by {as_they_come[2]:.3f} as they come, and by "
                f"{agreement:.3f} once reversed ones are turned; expected the opposite: their samples may have been "
                "turned already, expect a ghost at half the field of view"
            )

    def of_image(self, lines: Sequence[ismrmrd.Acquisition]) -> OddEven:
        """What differs between the directions, by the lines of an image without acceleration.

        Parameters
        ----------
        lines : sequence of ismrmrd.Acquisition
            Of both directions. Those of the partition with the strongest line count.
        """
        strongest = max(lines, key=lambda line: float(np.vdot(line.data, line.data).real))
        kind = len(strongest.data), head_of(strongest).idx.kspace_encode_step_2
        lines = [line for line in lines if (len(line.data), head_of(line).idx.kspace_encode_step_2) == kind]
        heads = [head_of(line) for line in lines]
        directions = np.array([bool(head.flags & REVERSED) for head in heads])
        pixels = [
            (self._of(head, True).operator(bool(direction)) @ _samples(line).T).T
            for head, direction, line in zip(heads, directions, lines, strict=True)
        ]
        places = np.array([head.idx.kspace_encode_step_1 for head in heads])
        places -= places.min()  # which changes the phase of the image alone
        return OddEven(*image_phase(np.stack(pixels), places, directions, int(places.max()) + 1))

    def _of(self, head: ismrmrd.AcquisitionHeader, is_epi: bool) -> Readout:
        key = head.number_of_samples, head.discard_pre, head.discard_post, head.center_sample, is_epi
        if key not in self._readouts:
            if len(self._readouts) == MOST_READOUTS:
                raise ScanError(f"EPI scan has more than {MOST_READOUTS} kinds of readouts; expected few")
            self._readouts[key] = self._new(head, is_epi)
        return self._readouts[key]

    def _new(self, head: ismrmrd.AcquisitionHeader, is_epi: bool) -> Readout:
        before, after, n_total = head.discard_pre, head.discard_post, head.number_of_samples
        n_samples = n_total - before - after
        if not 2 <= n_samples <= MOST_SAMPLES:
            raise ScanError(
                f"acquisition {head.scan_counter} has {n_total} samples, of which {before} before and {after} after "
                f"are to be discarded; expected 2 to {MOST_SAMPLES} of EPI to be left"
            )
        trapezoid = None
        if is_epi:
            trapezoid, fault = readout_trapezoid(self._header, n_total, head.sample_time_us)
            if fault:
                self._tell(f"{fault}: EPI readouts were taken as sampled evenly")
        centre = head.center_sample - before
        if head.center_sample == 0 or not 0 <= centre < n_samples:
            centre = n_samples // 2
        n_encoded = self._n_encoded if n_samples <= self._n_encoded else n_total
        beyond = max(centre - n_encoded // 2, n_samples - centre - (n_encoded - n_encoded // 2))
        if trapezoid is None and n_samples < n_encoded and beyond > 1:  # one, where reversed lines count from the end
            raise ScanError(
                f"acquisition {head.scan_counter} has {n_samples} samples around sample {centre}; expected no more "
                f"than {n_encoded} around {n_encoded // 2}"
            )
        return Readout(n_samples, self.n_pixels, n_encoded, centre, (before, after), trapezoid)


def _has_echo(line: ismrmrd.Acquisition) -> bool:
    samples = _samples(line)
    with np.errstate(invalid="ignore", over="ignore"):
        energy = np.square(np.abs(samples)).sum(axis=0, dtype=np.float64)
    return bool(np.isfinite(energy).all()) and find_echo(np.arange(len(energy)), energy) is not None


def _samples(line: ismrmrd.Acquisition) -> np.ndarray:
    head = head_of(line)
    return line.data[:, head.discard_pre : line.data.shape[1] - head.discard_post]
