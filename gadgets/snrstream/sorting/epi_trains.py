"""Lines of EPI on their way to plain ones: which navigators correct which lines, and what waits for them.

A train is the echoes after one excitation. Its phase-correction lines, here navigators, come before its lines or after
them, and lines go by the latest of their slice; calibration lines by their own, where there are some.
"""

import math
from collections.abc import Callable, Iterator

import ismrmrd
import torch
from ismrmrd import xsd

from ..errors import ScanError
from ..recon.epi import OddEven
from ..wire.acquisitions import CALIBRATION, LAST_FLAGS, NAVIGATOR_FLAG, REVERSED, head_of
from ..wire.header import Encoding
from ..wire.trapezoid import number_of_navigators
from .epi_readouts import EpiReadouts

MOST_HELD_BYTES = 2 << 30
MOST_FORWARD = 16  # image lines before the first reversed one: as many shots, sorted by their lines

Counters = tuple[int, ...]  # of an image: slice, contrast, phase, set, repetition
Place = tuple[int, bool]  # slice, and whether of calibration


def counters_of(head: ismrmrd.AcquisitionHeader) -> Counters:
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
        self._encoding, self._warn = encoding, warn
        self._readouts = EpiReadouts(header, encoding, self._tell_once)
        self.sample_sd = torch.ones(self._readouts.n_pixels)  # the noise's, along the readouts of the latest image line
        self._n_navigators = number_of_navigators(header)
        self._train: list[ismrmrd.Acquisition] = []  # navigators that came one behind the other
        self._latest: dict[Place, list[ismrmrd.Acquisition]] = {}  # the last train's
        self._phases: dict[Place, OddEven] = {}
        self._last_phase: OddEven | None = None  # of any slice
        self._are_behind = False  # whether navigators follow their lines
        self._held: dict[int, list[ismrmrd.Acquisition]] = {}  # by slice
        self._held_bytes = 0
        self._under_way: Counters | None = None  # the image whose lines come
        self._calibration_is_epi: bool | None = None  # or lines of a gradient echo, which need no correction
        self._told: set[str] = set()
        self._n_forward = 0  # image lines before the first reversed line of any kind

    def take(self, line: ismrmrd.Acquisition) -> Iterator[ismrmrd.Acquisition]:
        """Go on with an image line, a calibration line or a navigator.

        Raises
        ------
        ScanError
            Where it cannot be used, or too many wait.
        """
        head = head_of(line)
        if self._n_forward < MOST_FORWARD:
            self._watch(head)
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
            yield from self._before(counters_of(head))
        held = self._held.get(head.idx.slice, [])
        if held or not self._is_known(head):
            self._hold(line)
            yield from self._decided(head)
        else:
            yield self._plain(line)
        if not head.flags & CALIBRATION:
            self._under_way = None if head.flags & LAST_FLAGS else counters_of(head)

    def end(self) -> Iterator[ismrmrd.Acquisition]:
        """Give what still waits."""
        if self._train:
            yield from self._end_of_train()
        for number in list(self._held):
            yield from self._without_navigators(number)

    def _watch(self, head: ismrmrd.AcquisitionHeader) -> None:
        """A converter may have lost the flags of reversed lines, or have turned their samples itself."""
        if head.flags & REVERSED:
            self._n_forward = MOST_FORWARD
        elif not head.flags & (NAVIGATOR_FLAG | CALIBRATION):
            self._n_forward += 1
            if self._n_forward == MOST_FORWARD:
                self._tell_once(
                    "EPI of which no line is flagged as reversed; expected every second one but for flyback: expect a "
                    "ghost at half the field of view"
                )

    def _before(self, counters: Counters) -> Iterator[ismrmrd.Acquisition]:
        """An image line comes: of an image that ended before, no navigators will."""
        for number in list(self._held):
            image = [head_of(line) for line in self._held[number] if not head_of(line).flags & CALIBRATION]
            if image and (
                image[-1].flags & LAST_FLAGS or (counters[0] == number and counters_of(image[-1]) != counters)
            ):
                yield from self._without_navigators(number)

    def _is_known(self, head: ismrmrd.AcquisitionHeader) -> bool:
        """Whether what corrects a line is there."""
        if not head.flags & CALIBRATION:
            return not self._are_behind and self._phase(head) is not None
        alternates = (head.idx.slice, True) in self._phases or counters_of(head) == self._under_way
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
        late = self._last_phase.late if self._last_phase is not None else 0.0
        phase = self._readouts.of_navigators(train, late) or self._readouts.of_navigators([*latest, *train], late)
        held = self._held.get(place[0], [])
        if any(_place(head_of(line)) == place for line in held):
            self._are_behind = True
        if phase is None:
            return
        self._keep(place, phase)
        yield from self._release(place[0])

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
            first = counters_of(head_of(image[0])) if image else None
            whole = [line for line in image if counters_of(head_of(line)) == first]
            telling = calibration if _both(calibration) else whole if self._encoding.acceleration == (1, 1) else []
            if _both(telling):
                self._phases[place] = self._readouts.of_image(telling)
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

    def _plain(self, line: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
        head = head_of(line)
        is_epi = not head.flags & CALIBRATION or bool(self._calibration_is_epi)
        phase = self._phase(head) if is_epi else None
        plain, sample_sd = self._readouts.plain(line, phase or OddEven(), is_epi)
        if not head.flags & CALIBRATION:
            self.sample_sd = sample_sd
        return plain

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._warn(text)


def _place(head: ismrmrd.AcquisitionHeader) -> Place:
    return head.idx.slice, bool(head.flags & CALIBRATION)


def _both(lines: list[ismrmrd.Acquisition]) -> bool:
    return len({head_of(line).flags & REVERSED for line in lines}) == 2
