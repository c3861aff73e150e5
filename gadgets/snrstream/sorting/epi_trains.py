"""Lines of EPI on their way to plain ones: which navigators correct which lines, and what waits for them.

A train is the echoes after one excitation. Its phase-correction lines, here navigators, come before its lines or after
them, and lines go by the latest of their slice; calibration lines by their own, where there are some.
"""

import logging
import math
from collections.abc import Callable, Iterator

import ismrmrd
import numpy as np
import torch
from ismrmrd import xsd

from ..errors import ScanError
from ..recon.epi import LATE_STEP, OddEven, Readout
from ..recon.ghost import image_phase, navigator_phase
from ..wire.acquisitions import NAVIGATOR_FLAG, acquisition_of, head_of, mask_of
from ..wire.header import Encoding
from ..wire.trapezoid import number_of_navigators, readout_trapezoid
from .oversampling import pixels_without_oversampling

log = logging.getLogger(__name__)

REVERSED = mask_of(ismrmrd.ACQ_IS_REVERSE)
CALIBRATION = mask_of(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
LAST = mask_of(ismrmrd.ACQ_LAST_IN_SLICE, ismrmrd.ACQ_LAST_IN_REPETITION, ismrmrd.ACQ_LAST_IN_MEASUREMENT)
MOST_HELD_BYTES = 2 << 30
MOST_LATE = 8.0  # dwell times; beyond, the navigators hold no echo
MOST_PASSES = 4
MOST_READOUTS = 64
MOST_MATRICES = 8
MOST_SAMPLES = 4096  # the operators are dense

Key = tuple[int, ...]
Place = tuple[int, bool]  # slice, and whether of calibration


def key_of(head: ismrmrd.AcquisitionHeader) -> Key:
    """Tell the image that a line belongs to. Segments are no part of it: some scanners count directions by them."""
    idx = head.idx
    return idx.slice, idx.contrast, idx.phase, idx.set, idx.repetition


class Trains:
    """Makes of each readout of an EPI scan a plain forward one.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.
    encoding : Encoding
        What it tells of k-space.
    warn : callable
        Takes what people should know of the images that follow.
    """

    def __init__(self, header: xsd.ismrmrdHeader, encoding: Encoding, warn: Callable[[str], None]) -> None:
        self._header, self._encoding, self._warn = header, encoding, warn
        self.n_pixels = pixels_without_oversampling(encoding)
        self.sample_sd = torch.ones(self.n_pixels)  # the noise's, along the images' readouts, once one has come
        self._n_navigators = number_of_navigators(header)
        self._train: list[ismrmrd.Acquisition] = []  # navigators that came one behind the other
        self._latest: dict[Place, list[ismrmrd.Acquisition]] = {}  # the last train's
        self._phases: dict[Place, OddEven] = {}
        self._last_phase: OddEven | None = None  # of any slice
        self._are_behind = False  # whether navigators follow their lines
        self._held: dict[int, list[ismrmrd.Acquisition]] = {}  # by slice
        self._held_bytes = 0
        self._under_way: Key | None = None  # the image whose lines come
        self._calibration_is_epi: bool | None = None  # or lines of a gradient echo, which need no correction
        self._readouts: dict[tuple[object, ...], Readout] = {}
        self._matrices: dict[tuple[Readout, bool, OddEven], np.ndarray] = {}
        self._told: set[str] = set()

    def take(self, line: ismrmrd.Acquisition) -> Iterator[ismrmrd.Acquisition]:
        """Go on with an image line, a calibration line or a navigator.

        Raises
        ------
        ScanError
            Where it cannot be used, or too many wait.
        """
        head = head_of(line)
        if head.flags & NAVIGATOR_FLAG:
            if self._train and _place(head_of(self._train[0])) != _place(head):
                yield from self._end_of_train()
            self._train.append(line)
            if self._are_behind and len(self._train) == self._n_navigators:
                yield from self._end_of_train()
            return
        if self._train:
            yield from self._end_of_train()
        if not head.flags & CALIBRATION:
            yield from self._before(key_of(head))
        held = self._held.get(head.idx.slice, [])
        if held or not self._is_known(head):
            self._hold(line)
            yield from self._decided(head)
        else:
            yield self._plain(line)
        if not head.flags & CALIBRATION:
            self._under_way = None if head.flags & LAST else key_of(head)

    def end(self) -> Iterator[ismrmrd.Acquisition]:
        """Give what still waits."""
        if self._train:
            yield from self._end_of_train()
        for number in list(self._held):
            yield from self._without_navigators(number)

    def _before(self, key: Key) -> Iterator[ismrmrd.Acquisition]:
        """An image line comes: of an image that ended before, no navigators will."""
        for number in list(self._held):
            image = [head_of(line) for line in self._held[number] if not head_of(line).flags & CALIBRATION]
            if image and (image[-1].flags & LAST or (key[0] == number and key_of(image[-1]) != key)):
                yield from self._without_navigators(number)

    def _is_known(self, head: ismrmrd.AcquisitionHeader) -> bool:
        """Whether what corrects a line is there."""
        if not head.flags & CALIBRATION:
            return not self._are_behind and self._phase(head) is not None
        alternates = (head.idx.slice, True) in self._phases or key_of(head) == self._under_way
        if head.flags & REVERSED or (self._calibration_is_epi is None and alternates):
            self._calibration_is_epi = True
        if self._calibration_is_epi is None:
            return False
        return not self._calibration_is_epi or self._phase(head) is not None

    def _phase(self, head: ismrmrd.AcquisitionHeader) -> OddEven | None:
        number, calibration = _place(head)
        own = self._phases.get((number, calibration)) or self._phases.get((number, not calibration))
        if own is None and not calibration and self._last_phase is not None:
            self._tell_once(f"slice {number} has no phase-correction lines: those of another slice were used")
            return self._last_phase
        return own

    def _decided(self, head: ismrmrd.AcquisitionHeader) -> Iterator[ismrmrd.Acquisition]:
        """The second calibration line of a slice tells whether their directions alternate; so does an image line."""
        if self._calibration_is_epi is None:
            held = [head_of(line) for line in self._held[head.idx.slice]]
            n_calibration = sum(1 for other in held if other.flags & CALIBRATION)
            if n_calibration > 1 or (n_calibration and len(held) > n_calibration):
                self._calibration_is_epi = False
        if self._calibration_is_epi is False:
            held_lines = self._held[head.idx.slice]
            ready = [line for line in held_lines if head_of(line).flags & CALIBRATION]
            self._held[head.idx.slice] = [line for line in held_lines if not head_of(line).flags & CALIBRATION]
            self._held_bytes -= sum(line.data.nbytes for line in ready)
            yield from map(self._plain, ready)
        if all(self._is_known(head_of(line)) for line in self._held[head.idx.slice]):
            yield from self._release(head.idx.slice)

    def _hold(self, line: ismrmrd.Acquisition) -> None:
        self._held.setdefault(head_of(line).idx.slice, []).append(line)
        self._held_bytes += line.data.nbytes
        if self._held_bytes > MOST_HELD_BYTES:
            raise ScanError(
                f"more than {MOST_HELD_BYTES >> 20} MiB of EPI lines wait for their phase-correction lines; expected "
                "those before the lines or right behind them"
            )

    def _release(self, number: int) -> Iterator[ismrmrd.Acquisition]:
        ready = self._held.pop(number, [])
        self._held_bytes -= sum(line.data.nbytes for line in ready)
        yield from map(self._plain, ready)

    def _end_of_train(self) -> Iterator[ismrmrd.Acquisition]:
        """All navigators of a train are there: lines that wait for them go on."""
        train, self._train = self._train, []
        place = _place(head_of(train[0]))
        latest = self._latest.get(place, [])
        self._latest[place] = train
        phase = self._of_navigators(train) or self._of_navigators([*latest, *train])
        held = self._held.get(place[0], [])
        if any(_place(head_of(line)) == place for line in held):
            self._are_behind = True
        if phase is None:
            return
        self._keep(place, phase)
        yield from self._release(place[0])

    def _of_navigators(self, train: list[ismrmrd.Acquisition]) -> OddEven | None:
        if len({len(line.data) for line in train}) > 1:
            raise ScanError("phase-correction lines of one slice differ in channels; expected as many in each")
        heads = [head_of(line) for line in train]
        readouts, directions = [self._readout(head) for head in heads], [bool(head.flags & REVERSED) for head in heads]
        late, phase = self._last_phase.late if self._last_phase is not None else 0.0, None
        for _ in range(MOST_PASSES):
            pixels = [
                readout.operator(direction, late) @ _samples(line).T
                for readout, direction, line in zip(readouts, directions, train, strict=True)
            ]
            found = navigator_phase(pixels, directions)
            if found is None:
                return None
            phase = OddEven(*found, late)
            more = readouts[0].late_of(phase.slope)
            if abs(more) < LATE_STEP or abs(late + more) > MOST_LATE:
                break
            late += more
        return phase

    def _keep(self, place: Place, phase: OddEven) -> None:
        """Half of the phase goes to either direction: what leaps by 2 pi would turn the sign of an image."""
        if self._last_phase is not None:
            turns = round((self._last_phase.intercept - phase.intercept) / (2 * math.pi))
            phase = OddEven(phase.intercept + 2 * math.pi * turns, phase.slope, phase.late)
        self._phases[place] = self._last_phase = phase

    def _without_navigators(self, number: int) -> Iterator[ismrmrd.Acquisition]:
        """An image is complete and no navigators came: it tells itself, or its calibration lines do."""
        held = self._held[number]
        place = number, False
        if not any(self._phases.get((number, calibration)) for calibration in (False, True)):
            calibration = [line for line in held if head_of(line).flags & CALIBRATION]
            image = [line for line in held if not head_of(line).flags & CALIBRATION]
            first = key_of(head_of(image[0])) if image else None
            whole = [line for line in image if key_of(head_of(line)) == first]
            telling = calibration if _both(calibration) else whole if self._encoding.acceleration == (1, 1) else []
            if _both(telling):
                self._phases[place] = self._of_image(telling)
                self._tell_once(
                    "EPI without phase-correction lines: reversed lines were matched to forward ones by the data"
                )
            else:
                self._phases[place] = OddEven()
                if _both(held):
                    self._tell_once(
                        "EPI without phase-correction lines: forward and reversed lines could not be matched; expect "
                        "a ghost at half the field of view"
                    )
        yield from self._release(number)

    def _of_image(self, lines: list[ismrmrd.Acquisition]) -> OddEven:
        heads = [head_of(line) for line in lines]
        directions = np.array([bool(head.flags & REVERSED) for head in heads])
        pixels = [
            (self._readout(head).operator(bool(direction)) @ _samples(line).T).T
            for head, direction, line in zip(heads, directions, lines, strict=True)
        ]
        places = np.array([head.idx.kspace_encode_step_1 for head in heads])
        return OddEven(*image_phase(np.stack(pixels), places, directions, int(places.max()) + 1))

    def _plain(self, line: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
        """The readout on the pixels of the field of view, as k-space of a forward one."""
        head = head_of(line)
        phase = self._phase(head) or OddEven()
        if head.flags & CALIBRATION and not self._calibration_is_epi:
            phase = OddEven()
        readout, direction = self._readout(head), bool(head.flags & REVERSED)
        matrix = self._matrices.get((readout, direction, phase))
        if matrix is None:
            if len(self._matrices) == MOST_MATRICES:
                self._matrices.clear()
            matrix = self._matrices[readout, direction, phase] = readout.corrected(direction, phase)
        if not head.flags & CALIBRATION:
            self.sample_sd = readout.sample_sd
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused further on
            data = _samples(line) @ matrix.T
        plain = type(head).from_buffer_copy(head)
        plain.number_of_samples, plain.center_sample = self.n_pixels, self.n_pixels // 2
        plain.discard_pre = plain.discard_post = plain.trajectory_dimensions = 0
        plain.flags &= ~REVERSED
        return acquisition_of(plain, data, np.zeros((self.n_pixels, 0), np.float32))

    def _readout(self, head: ismrmrd.AcquisitionHeader) -> Readout:
        is_epi = not head.flags & CALIBRATION or self._calibration_is_epi is not False
        key = head.number_of_samples, head.discard_pre, head.discard_post, head.center_sample, is_epi
        if key not in self._readouts:
            if len(self._readouts) == MOST_READOUTS:
                raise ScanError(f"EPI scan has more than {MOST_READOUTS} kinds of readouts; expected few")
            self._readouts[key] = self._new_readout(head, is_epi)
        return self._readouts[key]

    def _new_readout(self, head: ismrmrd.AcquisitionHeader, is_epi: bool) -> Readout:
        before, after, n_total = head.discard_pre, head.discard_post, head.number_of_samples
        n_samples, n_x = n_total - before - after, self._encoding.encoded_matrix[0]
        if not 2 <= n_samples <= MOST_SAMPLES:
            raise ScanError(
                f"acquisition {head.scan_counter} has {n_total} samples, of which {before} before and {after} after "
                f"are to be discarded; expected 2 to {MOST_SAMPLES} of EPI to be left"
            )
        trapezoid = None
        if is_epi:
            trapezoid, fault = readout_trapezoid(self._header, n_total, head.sample_time_us)
            if fault:
                self._tell_once(f"{fault}: EPI readouts were taken as sampled evenly")
        centre = head.center_sample - before if 0 < head.center_sample < n_total else n_samples // 2
        n_encoded = n_x if n_samples <= n_x else n_total
        return Readout(n_samples, self.n_pixels, n_encoded, centre, (before, after), trapezoid)

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._warn(text)


def _place(head: ismrmrd.AcquisitionHeader) -> Place:
    return head.idx.slice, bool(head.flags & CALIBRATION)


def _samples(line: ismrmrd.Acquisition) -> np.ndarray:
    head = head_of(line)
    return line.data[:, head.discard_pre : line.data.shape[1] - head.discard_post]


def _both(lines: list[ismrmrd.Acquisition]) -> bool:
    return len({head_of(line).flags & REVERSED for line in lines}) == 2
