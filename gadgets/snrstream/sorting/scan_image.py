"""One image of a scan while its lines come in, and the bucket that it becomes."""

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
from ..recon.sampling import find_lattice, missing_lines, on_lattice, require_steps
from ..wire.acquisitions import head_of, mask_of
from ..wire.header import Encoding
from .calibration_block import find_calibration_block
from .line_store import LineStore
from .oversampling import pixels_without_oversampling
from .placement import MOST_LINES, Placement, Placer

log = logging.getLogger(__name__)

CALIBRATION = mask_of(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
BOTH = mask_of(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
MOST_LISTED = 20
LEAST_SHARE = 0.02  # of the lines that the header lets expect
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
        if head.encoding_space_ref != 0:
            raise ScanError(
                f"acquisition {head.scan_counter} has encoding_space_ref {head.encoding_space_ref}; expected 0"
            )
        both, calibration = head.flags & BOTH, head.flags & CALIBRATION
        if both or calibration:
            self._calibration.add(line, acquisition)
            self._calibration_heads.append(head)
        if calibration:
            return
        self._image.add(line, acquisition)
        if both:
            self._both.add(line)
        if line not in self._heads:
            self._heads[line] = head

    def complete(self) -> bool:
        """Whether every line that the header lets expect is there."""
        if not self.has_lines or len(self._image) * math.prod(self.encoding.acceleration) < self._n_within_limits():
            return False
        lines, lattice, first = self._on_lattice()
        return len(self._missing(lines, lattice, first)) == 0

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
        if len(self._calibration) == 0 or self.encoding.acceleration == (1, 1):
            return None
        self._place()
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
        grid = _grid(self.size, lattice, first)
        stored = (lines - grid.first) // grid.step
        n_stored = grid.stored
        rows = {(z, y): j * n_stored[1] + i for (z, y), (j, i) in zip(lines.tolist(), stored.tolist(), strict=True)}
        kspace, sd = self._image.take(rows, math.prod(n_stored))
        peak = float(kspace[:, rows[min(rows, key=self._from_centre)]].abs().max())
        if 0 < peak < FAINTEST:
            raise ScanError(f"the central line has a signal of {peak:.2g}; expected {FAINTEST:g} or more")
        own = self._warnings(len(lines), missing)
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
            calibration=calibration,
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
        if np.any(only & ~on):
            r1, r2 = self.encoding.acceleration
            raise ScanError(
                f"line {self._extent(lines[only & ~on][:1])} lies between the image lines at "
                f"R={r1 if r2 == 1 else f'{r1} x {r2}'}; expected none there"
            )
        require_steps(telling, lattice)
        return lines[on], lattice, first

    def _missing(self, lines: np.ndarray, lattice: Lattice, first: tuple[int, int]) -> np.ndarray:
        """Lines `(line, 2)` of the lattice within the limits that are not among `lines`."""
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
        missing: np.ndarray = missing_lines(sampled, expected, tuple(centre - low)) + low
        return missing

    def _warnings(self, n_lines: int, missing: np.ndarray) -> tuple[str, ...]:
        told = []
        if len(missing):
            told.append(
                f"{len(missing)} of {len(missing) + n_lines} image lines never arrived: {self._listed(missing)}"
            )
        fewest = self._image.fewest_averages
        if fewest < self.encoding.n_averages:
            told.append(f"some lines have {fewest} averages; the header lets expect {self.encoding.n_averages}")
        if self._image.n_doubled or self._calibration.n_doubled:
            n_doubled = max(self._image.n_doubled, self._calibration.n_doubled)
            told.append(f"{n_doubled} lines were acquired again in the same average: the latest of each was used")
        known = np.array(self.encoding.limits_known) & (np.array(self.size) > 1)
        low, high = np.array(self.encoding.first) + self.shift, np.array(self.encoding.last) + self.shift
        lines = np.unique(np.concatenate([self._image.lines, self._calibration.lines]), axis=0)
        beyond = lines[np.any(known & ((lines < low) | (lines > high)), axis=1)]
        if len(beyond):
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


def _grid(size: tuple[int, int], lattice: Lattice, first: tuple[int, int]) -> Grid:
    """Only acquired lines along each axis where R divides k-space and the sampling does not shift, else all."""
    r1, r2 = lattice.acceleration
    step = (r2 if size[0] % r2 == 0 else 1, r1 if size[1] % r1 == 0 and lattice.shift == 0 else 1)
    return Grid(size, (first[0] % step[0], first[1] % step[1]), step)
