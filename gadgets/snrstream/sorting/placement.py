"""Where the lines of a scan lie in k-space: how many there are, and which of them holds k = 0.

Headers are often wrong about it, above all under partial Fourier, and the counters that converters of Siemens data put
into idx.user are zero or something else elsewhere. Both are held against the data: see `centre`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import ismrmrd
import numpy as np

from ..errors import ScanError
from ..recon.echo import Echo, energy_along, find_echo
from ..wire.header import Encoding
from .centre import Axis
from .line_store import LineStore

log = logging.getLogger(__name__)

CENTRE_IN_USER = 6, 5  # where siemens_to_ismrmrd puts KSpaceCentrePartitionNo and KSpaceCentreLineNo in idx.user
MOST_LINES = 1 << 20
MOST_TRIES = 64  # images without an echo, after which the header is believed: each costs milliseconds

Pair = tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """Where lines lie. Pairs are (e2, e1); line numbers are those of the acquisitions.

    Attributes
    ----------
    size : tuple of int
        Lines of k-space, with k = 0 at size // 2.
    centre : tuple of int
        The line number that holds k = 0.
    first, last : tuple of int
        The line numbers that are expected.
    warnings : tuple of str
        Where this is not what the header tells.
    """

    size: Pair
    centre: Pair
    first: Pair
    last: Pair
    warnings: tuple[str, ...] = ()

    def of_slice(self, number: int) -> "Placement":
        """The same for a slice whose lines are of another partition: some writers count slices there, too."""
        if number == self.centre[0]:
            return self
        first, centre, last = ((number, pair[1]) for pair in (self.first, self.centre, self.last))
        told = f"lines of this slice have kspace_encode_step_2 {number}, other slices another; expected 0: ignored"
        return Placement(self.size, centre, first, last, (*self.warnings, told))

    @property
    def shift(self) -> Pair:
        """What is added to line numbers to make them indices into k-space."""
        return self.size[0] // 2 - self.centre[0], self.size[1] // 2 - self.centre[1]


class Placer:
    """Places the lines of all images of a scan alike: as the first one has it in which an echo stands out.

    Parameters
    ----------
    encoding : Encoding
        What the header tells of k-space.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._logged: set[str] = set()
        self._is_volume = False  # whether an image had lines of several partitions
        self._n_tries = 0
        self.kept: Placement | None = None
        self.echoes: dict[Pair, int] = {}  # of readouts, which `LineStore` keeps here

    def place(self, image: LineStore, calibration: LineStore, heads: Sequence[ismrmrd.AcquisitionHeader]) -> Placement:
        """Where the lines of an image lie.

        Parameters
        ----------
        image, calibration : LineStore
            Its lines, as the acquisitions count them.
        heads : sequence of AcquisitionHeader
            Of the image's lines, or of its calibration's where it has none.

        Raises
        ------
        ScanError
            Where lines lie outside of k-space.
        """
        lines = np.concatenate([image.lines, calibration.lines])
        placement = self.kept or self._found(image, calibration, lines, heads)
        if placement.size[0] == 1 and len(set(lines[:, 0].tolist())) == 1:
            placement = placement.of_slice(int(lines[0, 0]))
        if np.prod(placement.size) > MOST_LINES:
            text = f"{placement.size[1]} x {placement.size[0]}"
            raise ScanError(f"k-space has {text} lines; expected at most {MOST_LINES}")
        index = lines + placement.shift
        outside = (index < 0) | (index >= placement.size)
        if outside.any():
            n, axis = np.argwhere(outside)[0].tolist()
            raise ScanError(
                f"kspace_encode_step_{2 - axis} {lines[n, axis]} lies outside k-space of {placement.size[axis]} lines "
                f"with its centre at {placement.centre[axis]}"
            )
        for text in placement.warnings:
            if text not in self._logged:
                self._logged.add(text)
                log.warning(text)
        return placement

    def _found(
        self, image: LineStore, calibration: LineStore, lines: np.ndarray, heads: Sequence[ismrmrd.AcquisitionHeader]
    ) -> Placement:
        encoding, echoes, axes = self._encoding, _echoes(image, calibration), []
        for axis in (0, 1):
            numbers = lines[:, axis]
            told = Axis(
                f"kspace_encode_step_{2 - axis}",
                encoding.encoded_matrix[2 - axis],
                encoding.first[axis],
                encoding.centre[axis],
                encoding.last[axis],
                encoding.limits_known[axis],
            )
            if axis == 0 and numbers.min() < numbers.max():
                self._is_volume = True
            if axis == 0 and not self._is_volume:
                axes.append(told.as_slice(int(numbers[0])))
                continue
            users = {head.idx.user[CENTRE_IN_USER[axis]] for head in heads}
            user = users.pop() if len(users) == 1 else 0
            axes.append(told.placed(numbers, len(image.lines), user, echoes[axis]))
        e2, e1 = axes
        placement = Placement(
            (e2.size, e1.size),
            (e2.centre, e1.centre),
            (e2.first, e1.first),
            (e2.last, e1.last),
            e2.warnings + e1.warnings,
        )
        self._n_tries += 1
        if e2.is_certain or e1.is_certain or self._n_tries == MOST_TRIES:
            self.kept = placement
        return placement


def _echoes(image: LineStore, calibration: LineStore) -> tuple[Echo | None, Echo | None]:
    """Along e2 and e1. Calibration lines fill the gaps of the image, or stand for it where its lines do not tell."""
    own, further = (store.energy() if len(store) else None for store in (image, calibration))
    if own is not None and further is not None and calibration.fits(image):
        is_new = ~np.isin(further[0] @ (1 << 16, 1), own[0] @ (1 << 16, 1))
        own = np.concatenate([own[0], further[0][is_new]]), np.concatenate([own[1], further[1][is_new]])
    kinds = [kind for kind in (own, further) if kind is not None]
    e2, e1 = ([echo for kind in kinds if (echo := find_echo(*energy_along(*kind, axis)))] for axis in (0, 1))
    return next(iter(e2), None), next(iter(e1), None)
