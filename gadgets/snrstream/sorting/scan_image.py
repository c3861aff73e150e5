"""One image of a scan while its lines come in, and the bucket that it becomes."""

import dataclasses
import logging
import math

import ismrmrd
import numpy as np
import torch

from ..errors import ScanError
from ..items import Bucket, Calibration
from ..recon.combine import Grid
from ..recon.fft import acquired_share
from ..recon.lattice import Lattice
from ..recon.sampling import find_lattice, is_block, missing_lines, on_lattice, require_steps, steps_of
from ..wire.acquisitions import BOTH, CALIBRATION, head_of
from ..wire.header import Encoding
from .calibration_block import copied_block, find_calibration_block
from .line_store import LineStore
from .oversampling import pixels_without_oversampling
from .placement import MOST_LINES, Placement, Placer

log = logging.getLogger(__name__)

MOST_LISTED = 20
LEAST_SHARE = 0.02  # of the lines that the header lets expect
LEAST_GAPS = 0.1  # lines that lack, of those that came, where the header's acceleration may be too low
MOST_ACCELERATION = 64
FAINTEST = 1e-12  # of whitened data and of data in units of its own; squares of less are lost to float32


class ScanImage:
    """Lines of one slice, contrast, phase, set and repetition, as pairs (e2, e1).

    They are numbers as the acquisitions have them until all are there; then indices, with k = 0 at size // 2.

    Parameters
    ----------
    encoding : Encoding
        What the header tells of k-space.
    placer : Placer
        Of the scan: where its lines lie in k-space.
    lattice : Lattice, optional
        Of earlier images; where its lines fit, so does this one's.

    Raises
    ------
    ScanError
        Where k-space would have more lines than any.
    """

    def __init__(self, encoding: Encoding, placer: Placer, lattice: Lattice | None = None) -> None:
        self.encoding, self._placer, self._known_lattice = encoding, placer, lattice
        nx, ny, nz = encoding.encoded_matrix
        if ny * nz > MOST_LINES:
            raise ScanError(f"encoded matrix has {ny} x {nz} lines; expected at most {MOST_LINES}")
        self.size, self.shift = (nz, ny), (0, 0)
        self._placement: Placement | None = None
        n_pixels = pixels_without_oversampling(encoding)
        self._image, self._calibration = (LineStore(nx, n_pixels, placer.echoes) for _ in range(2))
        self._both: set[tuple[int, int]] = set()  # image lines that are calibration lines too
        self._heads: dict[tuple[int, int], ismrmrd.AcquisitionHeader] = {}  # of image lines, as they are numbered
        self._calibration_heads: list[ismrmrd.AcquisitionHeader] = []
        self.n_acquired = 0  # lines, which whoever adds them counts
        self._n_unflagged = 0  # lines off the lattice that were taken for calibration lines
        self._due = 0  # readouts: it is whole with no fewer
        self._reckon()

    def _reckon(self) -> None:
        self._due = self._n_within_limits() // math.prod(self.encoding.acceleration)

    @property
    def has_lines(self) -> bool:
        """Whether it has image lines, and not calibration lines alone."""
        return len(self._image) > 0

    @property
    def n_bytes(self) -> int:
        """Of the lines that it holds."""
        return self._image.n_bytes + self._calibration.n_bytes

    def add(self, acquisition: ismrmrd.Acquisition) -> None:
        """Keep a line, of the image or for its calibration, as the flags have it.

        Raises
        ------
        ScanError
            What `LineStore.add` finds.
        """
        head = head_of(acquisition)
        line = head.idx.kspace_encode_step_2, head.idx.kspace_encode_step_1
        both, calibration = head.flags & BOTH, head.flags & CALIBRATION
        if both or calibration:
            self._calibration.add(line, acquisition)
            self._calibration_heads.append(head)
        if calibration and not both:  # both flags: an image line too, as Siemens has it
            return
        self._image.add(line, acquisition)
        if both:
            self._both.add(line)
        if line not in self._heads:
            self._heads[line] = head

    @property
    def has_most_lines(self) -> bool:
        """Whether some 70 % of the image lines are there."""
        n_lines = len(self._image) * math.prod(self.encoding.acceleration)
        return self.has_lines and n_lines >= self._n_within_limits()

    def complete(self) -> bool:
        """Whether every line that the header lets expect is there."""
        if not self.has_most_lines:
            return False
        try:
            lines, lattice, first = self._on_lattice()
        except ScanError:  # calibration lines are still to come, or `settle` cures it
            return False
        return len(self._missing(lines, lattice, first)) == 0

    def settle(self) -> str:
        """Go by the steps in which all lines came, where these are not of the acceleration that the header tells.

        Returns
        -------
        str
            A warning that says so; empty where there is no need, or no acceleration fits.
        """
        told = self.encoding
        if not self.has_lines or told.interleaved:
            return ""
        likely, is_guess = self._likely()
        for acceleration in likely:
            self.encoding = dataclasses.replace(told, acceleration=acceleration)
            try:
                lines, lattice, first = self._on_lattice()
            except ScanError:
                continue
            n_missing = len(self._missing(lines, lattice, first))
            if lattice.acceleration == (1, 1):  # most lines came, or there is no pattern
                if acceleration != (1, 1) or n_missing >= LEAST_GAPS * len(lines):
                    continue
            elif is_guess and (n_missing or on_lattice(self._image.lines, lattice, first).all()):
                continue
            found = self._told_acceleration()
            self._reckon()
            return f"the header tells {_named(told.acceleration)}, the lines are of {found}: that was taken"
        self.encoding = told
        return ""

    def _likely(self) -> tuple[list[tuple[int, int]], bool]:
        """Accelerations to try; none where the header's may be true. And whether they are no more than guesses."""
        told, image = self.encoding.acceleration, self._image.lines
        try:
            lines, lattice, first = self._on_lattice()
        except ScanError:
            only = np.array([tuple(line) not in self._both for line in image.tolist()])
            steps = steps_of(image[only] if only.any() else image)
            found = max(1, steps[0]), max(1, steps[1])
            return [] if found == told or math.prod(found) > MOST_ACCELERATION else [found], False
        if told != (1, 1) or len(self._calibration):
            return [], False
        if len(self._missing(lines, lattice, first)) < LEAST_GAPS * len(lines):
            return [], False
        # Lines that carry no flag may calibrate in the middle of others that are further apart.
        along_e2 = range(1, 5) if len(np.unique(image[:, 0])) > 1 else (1,)
        likely = [(r1, r2) for r2 in along_e2 for r1 in range(1, 9) if 1 < r1 * r2 <= 9]
        return sorted(likely, key=math.prod, reverse=True), True

    def is_whole(self, n_averages: int) -> bool:
        """Whether it has every line that the header lets expect, in all averages: nothing but repeats can follow.

        Asked with every line, and so no more than a count for most. Unlike `complete` it expects corners, which
        elliptical scanning leaves out: they may come last.

        Parameters
        ----------
        n_averages : int
            Of each line.
        """
        n_readouts = len(self._image)
        if n_readouts < self._due or not all(self.encoding.limits_known):
            return False
        try:
            lines, lattice, first = self._on_lattice()
        except ScanError:  # calibration lines, of which some are still to come
            self._due = n_readouts + 1 + n_readouts // 8
            return False
        missing = self._missing(lines, lattice, first, elliptical=False)
        n_lacking = (len(missing) + len(self._image.lines)) * n_averages - n_readouts
        self._due = n_readouts + max(1, n_lacking)
        return len(missing) == 0 and self._image.fewest_averages >= n_averages

    @property
    def has_calibration_lines(self) -> bool:
        """Whether lines came that are flagged for calibration."""
        return len(self._calibration) > 0

    def is_calibrated(self) -> bool:
        """Whether its calibration lines leave no gap; false where there are none."""
        own = self._calibration.lines
        lines = np.concatenate([own, self._image.lines])
        return len(own) > 0 and is_block(lines, own.min(axis=0), own.max(axis=0))

    def calibration(self, device: torch.device, snr_units: bool = True) -> Calibration | None:
        """`find_calibration_block` among its calibration lines; None where there are none, or no acceleration.

        Without acceleration an image is its own best calibration: no darker or coarser one shall stand in for it.

        Parameters
        ----------
        device : torch.device
            Where it is to lie.
        snr_units : bool
            Whether the data is prewhitened.

        Raises
        ------
        ScanError
            Where the calibration lines do not hold k = 0, or lines lie outside of k-space.
        """
        if self.encoding.acceleration == (1, 1):
            return None
        self._place()
        if len(self._calibration) == 0:
            return self._unflagged(device, snr_units)
        return find_calibration_block(self._calibration, self._image, self.size, self._extent, device, snr_units)

    def bucket(
        self, calibration: Calibration | None, warnings: tuple[str, ...], device: torch.device, snr_units: bool = True
    ) -> Bucket:
        """The image's data in place. Its lines are given away.

        Parameters
        ----------
        calibration : Calibration or None
            That the image is to be reconstructed by.
        warnings : tuple of str
            Those before its own.
        device : torch.device
            Where k-space is to lie.
        snr_units : bool
            Whether the data is prewhitened.

        Raises
        ------
        ScanError
            Where there are no lines, or too few, or they lie outside of k-space, or do not follow the header's
            acceleration, or hold next to no signal.
        """
        if not self.has_lines or self._image.readout is None:
            raise ScanError("an image has no lines of its own; expected some")
        placement = self._place()
        lines, lattice, first = self._on_lattice()
        missing = self._missing(lines, lattice, first)
        if len(lines) < LEAST_SHARE * (len(lines) + len(missing)):
            # A few lines of a large volume are no image of it, and would take its memory and time.
            raise ScanError(
                f"{len(lines)} of {len(lines) + len(missing)} image lines came; expected at least "
                f"{100 * LEAST_SHARE:g} % of them"
            )
        lent = self._lent(missing) if len(self._calibration) and len(missing) else missing[:0]
        if len(lent):
            lines = np.concatenate([lines, lent])
            missing = missing[~(missing[:, None] == lent).all(axis=-1).any(axis=1)]
        grid = _grid(self.size, lattice, first)
        stored = (lines - grid.first) // grid.step
        n_stored = grid.stored
        rows = {(z, y): j * n_stored[1] + i for (z, y), (j, i) in zip(lines.tolist(), stored.tolist(), strict=True)}
        kspace, sd = self._image.take(rows, math.prod(n_stored))
        if len(lent):
            lent_rows = {(z, y): rows[z, y] for z, y in lent.tolist()}
            kspace = kspace + self._calibration.copy(lent_rows, len(sd))
            sd[list(lent_rows.values())] = 1
        peak = float(kspace[:, rows[min(rows, key=self._from_centre)]].abs().max())
        if 0 < peak < FAINTEST:
            raise ScanError(f"the central line has a signal of {peak:.2g}; expected {FAINTEST:g} or more")
        own = self._warnings(len(lines), missing, len(lent))
        is_full = lattice.acceleration == (1, 1)
        if is_full and self.encoding.acceleration != (1, 1):
            own += (f"every line came; the header tells {self._told_acceleration()}",)
        if peak == 0:
            own += ("the central line is zero: there is no signal",)
        for text in own:
            log.warning(text)
        kspace = kspace.reshape(len(kspace), *n_stored, -1).to(device)
        nx, (nz, ny) = self.encoding.encoded_matrix[0], self.size
        fov = self.encoding.encoded_fov_mm
        return Bucket(
            kspace=kspace,
            line_sd=sd.reshape(n_stored),
            grid=grid,
            lattice=lattice,
            sample_sd=acquired_share(*self._image.readout, nx, kspace.shape[-1]).sqrt(),
            calibration=None if is_full else calibration,
            voxel_mm=(fov[0] / nx, fov[1] / ny, fov[2] / nz),
            head=self._heads[min(self._heads, key=self._from_centre)],
            warnings=warnings + placement.warnings + own,
            snr_units=snr_units,
        )

    def _place(self) -> Placement:
        """From numbers to indices, once all lines are there."""
        if self._placement is None:
            heads = list(self._heads.values()) or self._calibration_heads
            self._placement = placement = self._placer.place(self._image, self._calibration, heads)
            self.size, self.shift = placement.size, placement.shift
            by = self.shift
            if by != (0, 0):
                self._image.move(by)
                self._calibration.move(by)
                self._both = {(z + by[0], y + by[1]) for z, y in self._both}
                self._heads = {(z + by[0], y + by[1]): head for (z, y), head in self._heads.items()}
        return self._placement

    def _from_centre(self, line: tuple[int, int]) -> float:
        return math.hypot(line[0] - self.size[0] // 2, line[1] - self.size[1] // 2)

    def _on_lattice(self) -> tuple[np.ndarray, Lattice, tuple[int, int]]:
        """The image lines `(line, 2)`, their lattice, and one line of it.

        Calibration lines between those of the lattice may be flagged as image lines too: they are left
        out, for unaliasing counts on zeros there. Anything else there is an error.
        """
        lines = self._image.lines
        only = np.array([tuple(line) not in self._both for line in lines.tolist()])
        telling = lines[only] if only.any() else lines
        known = self._known_lattice
        if known is not None and on_lattice(telling, known, tuple(telling[0])).all():
            lattice, first = known, (int(telling[0, 0]), int(telling[0, 1]))
        else:
            lattice, first = find_lattice(telling, self.encoding.acceleration)
        on = on_lattice(lines, lattice, first)
        stray = lines[only & ~on]
        every = np.concatenate([lines, self._calibration.lines])
        if len(stray) and max(steps_of(telling)) <= 1 and is_block(every, lines.min(axis=0), lines.max(axis=0)):
            return lines, Lattice((1, 1)), (int(lines[0, 0]), int(lines[0, 1]))  # all lines, whatever the header tells
        if len(stray) and not self._is_embedded(lines, stray):
            raise ScanError(
                f"line {self._extent(stray[:1])} lies between the image lines at "
                f"{self._told_acceleration()}; expected none there"
            )
        require_steps(telling, lattice)
        return lines[on], lattice, first

    def _told_acceleration(self) -> str:
        return _named(self.encoding.acceleration)

    def _is_embedded(self, lines: np.ndarray, stray: np.ndarray) -> bool:
        """Whether lines off the lattice are calibration lines that carry no flag: with others they fill a block."""
        if len(self._calibration):
            return False
        low, high = stray.min(axis=0), stray.max(axis=0)
        # With the lines of the lattice at both ends, as many as a kernel of four takes.
        enough = all(
            r == 1 or last - first + 3 > 3 * r
            for r, first, last in zip(reversed(self.encoding.acceleration), low, high, strict=True)
        )
        return enough and is_block(lines, low, high)

    def _unflagged(self, device: torch.device, snr_units: bool) -> Calibration | None:
        """The calibration of lines that carry no flag."""
        _, lattice, first = self._on_lattice()
        lines = self._image.lines
        stray = lines[~on_lattice(lines, lattice, first)]
        self._n_unflagged = len(stray)
        if len(stray) == 0:
            return None
        low, high = stray.min(axis=0) - 1, stray.max(axis=0) + 1
        block = lines[np.all((low <= lines) & (lines <= high), axis=1)]
        return copied_block(self._image, block, self.size, self._extent, device, snr_units)

    def _lent(self, missing: np.ndarray) -> np.ndarray:
        """Lines `(line, 2)` that the image lacks and that came as calibration lines alone: some scanners flag so.

        Of a separate calibration with another contrast none are taken: there the image has lines of its own among them.
        """
        low, high = (getattr(self._calibration.lines, end)(axis=0) for end in ("min", "max"))
        own = self._image.lines
        among = np.all((low <= own) & (own <= high), axis=1)
        has_both_ends = any(own[:, axis].min() < low[axis] and high[axis] < own[:, axis].max() for axis in (0, 1))
        if among.any() or not has_both_ends or not self._calibration.fits(self._image):
            return missing[:0]
        came = set(map(tuple, self._calibration.lines.tolist()))
        return missing[[tuple(line) in came for line in missing.tolist()]]

    def _missing(
        self, lines: np.ndarray, lattice: Lattice, first: tuple[int, int], elliptical: bool = True
    ) -> np.ndarray:
        """Lines `(line, 2)` of the lattice within the limits that are not among `lines`.

        elliptical: whether the scan may have left out corners.
        """
        low, high = lines.min(axis=0), lines.max(axis=0)
        for axis, within in enumerate(self._limits()):
            if within is not None:
                low[axis], high[axis] = (number + self.shift[axis] for number in within)
        centre = np.array(self.encoding.centre)
        if self._placement is not None:
            low, high, centre = np.maximum(low, 0), np.minimum(high, np.array(self.size) - 1), np.array(self.size) // 2
            high = np.maximum(high, low - 1)
        shape = tuple(high + 1 - low)
        every = np.indices(shape).reshape(2, -1).T + low
        expected = on_lattice(every, lattice, first).reshape(shape)
        sampled = np.zeros(shape, bool)
        sampled[tuple((lines[np.all((lines >= low) & (lines <= high), axis=1)] - low).T)] = True
        missing: np.ndarray = np.argwhere(expected & ~sampled)
        if elliptical:
            missing = missing_lines(sampled, expected, tuple(centre - low))
        missing += low
        return missing

    def _warnings(self, n_lines: int, missing: np.ndarray, n_lent: int) -> tuple[str, ...]:
        told = []
        if n_lent:
            told.append(f"{n_lent} image lines carry the flag of calibration lines alone: they were taken for both")
        if self._n_unflagged:
            told.append(
                f"{self._n_unflagged} lines lie between the image lines and carry no flag: they fill the centre of "
                "k-space and were taken for calibration lines"
            )
        if len(missing):
            told.append(
                f"{len(missing)} of {len(missing) + n_lines} image lines never arrived: {self._listed(missing)}"
            )
        fewest = self._image.fewest_averages
        if fewest < self.encoding.n_averages:
            told.append(f"some lines have {fewest} averages; the header lets expect {self.encoding.n_averages}")
        elif fewest < self._image.most_averages:
            told.append(
                f"some lines have {fewest} averages, others {self._image.most_averages}; expected as many of all"
            )
        if self._image.n_doubled or self._calibration.n_doubled:
            n_doubled = max(self._image.n_doubled, self._calibration.n_doubled)
            told.append(f"{n_doubled} lines were acquired again in the same average: the latest of each was used")
        known = np.array(self.encoding.limits_known) & (np.array(self.size) > 1)
        low, high = np.array(self.encoding.first) + self.shift, np.array(self.encoding.last) + self.shift
        lines = np.concatenate([self._image.lines, self._calibration.lines])
        outside = known & ((lines < low) | (lines > high))
        if outside.any():
            beyond = np.unique(lines[outside.any(axis=1)], axis=0)
            told.append(f"{len(beyond)} lines lie beyond the header's limits: {self._listed(beyond)}")
        return (*told, *dict.fromkeys(self._image.warnings + self._calibration.warnings))

    def _listed(self, lines: np.ndarray) -> str:
        """The first of the lines, as the scanner counts them; (e2, e1) of a volume."""
        numbers = (lines[:MOST_LISTED] - self.shift).tolist()
        names = [str(y) if self.size[0] == 1 else f"({z}, {y})" for z, y in numbers]
        return ", ".join(names) + (" ..." if len(lines) > MOST_LISTED else "")

    def _extent(self, lines: np.ndarray) -> str:
        """From the first line to the last."""
        ends = [self._listed(line[None]) for line in (lines[0], lines[-1])]
        return ends[0] if len(lines) == 1 else " to ".join(ends)

    def _limits(self) -> list[tuple[int, int] | None]:
        """Numbers of the first and last line expected along e2 and e1; None where neither header nor scan tell yet."""
        placement = self._placement or self._placer.kept
        if placement is not None:
            return list(zip(placement.first, placement.last, strict=True))
        limits = zip(self.encoding.first, self.encoding.last, self.encoding.limits_known, strict=True)
        return [(first, last) if known else None for first, last, known in limits]

    def _n_within_limits(self) -> int:
        """Fewer than all lines within the limits, by the corners that elliptical scanning leaves out.

        Where there are none, those that partial Fourier takes at least.
        """
        limits = zip(self._limits(), self.size, strict=True)
        return int(0.7 * math.prod(within[1] - within[0] + 1 if within else size // 2 for within, size in limits))


def _named(acceleration: tuple[int, int]) -> str:
    r1, r2 = acceleration
    return f"R={r1}" if r2 == 1 else f"R={r1} x {r2}"


def _grid(size: tuple[int, int], lattice: Lattice, first: tuple[int, int]) -> Grid:
    """Only acquired lines along each axis where R divides k-space and the sampling does not shift, else all."""
    r1, r2 = lattice.acceleration
    step = (r2 if size[0] % r2 == 0 else 1, r1 if size[1] % r1 == 0 and lattice.shift == 0 else 1)
    return Grid(size, (first[0] % step[0], first[1] % step[1]), step)
