"""The lines of one image while they come in, and their places in k-space once all are there."""

import ismrmrd

from ..errors import ScanError
from ..recon.lattice import Lattice
from ..wire.acquisitions import BOTH, CALIBRATION, head_of
from ..wire.header import Encoding
from .image_lattice import ArrivedLines, Sampling
from .line_names import LineNames
from .line_store import LineStore
from .missing import ExpectedLines
from .oversampling import pixels_without_oversampling
from .placement import MOST_LINES, Placement, Placer


class ImageLines:
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

    @property
    def _names(self) -> LineNames:
        return LineNames(self.size, self.shift)

    def _arrived(self) -> ArrivedLines:
        return ArrivedLines(self._image.lines, self._calibration.lines, self._both, self._known_lattice, self._names)

    def _sampling(self) -> Sampling:
        return self._arrived().sampling(self.encoding.acceleration)

    def _expected(self) -> ExpectedLines:
        return ExpectedLines.of(self.encoding, self._placement, self._placer.kept, self._names)
