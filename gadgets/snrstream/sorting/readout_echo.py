"""Which sample of a readout holds k = 0, where its center_sample cannot be right."""

import ismrmrd
import numpy as np

from ..errors import ScanError
from .readout import echo_of, has_room

Echoes = dict[tuple[int, int], int]  # the sample at k = 0, of readouts of so many samples with such a center_sample


class ReadoutEcho:
    """Looks for the echo in the readouts of one image, or one calibration.

    Parameters
    ----------
    n_encoded : int
        Samples of a full readout.
    echoes : dict
        Kept here for all lines of a scan.

    Attributes
    ----------
    unlikely : int or None
        A center_sample that may not be right.
    """

    def __init__(self, n_encoded: int, echoes: Echoes) -> None:
        self.unlikely: int | None = None
        self._n_encoded, self._echoes = n_encoded, echoes
        self._no_room = ""  # the error, where center_sample leaves readouts none and the data has no echo

    def begin(self, head: ismrmrd.AcquisitionHeader, n_samples: int, centre: int) -> None:
        """The first readout comes.

        Parameters
        ----------
        head : ismrmrd.AcquisitionHeader
            Its own.
        n_samples, centre : int
            Its samples, and the one that is said to be at k = 0.

        Raises
        ------
        ScanError
            Where the encoded readout has no room for so many samples.
        """
        if has_room(n_samples, centre, self._n_encoded):
            if n_samples < self._n_encoded:  # there is room for another, and the data tells
                self.unlikely = head.center_sample
            return
        text = (
            f"{name_of(head)} has {n_samples} samples around sample {centre}; expected no more than {self._n_encoded} "
            f"around {self._n_encoded // 2}"
        )
        if n_samples > self._n_encoded:
            raise ScanError(text)
        self.unlikely, self._no_room = head.center_sample, text

    def sought(self, lines: np.ndarray, n_samples: int, centre: int) -> int:
        """The sample with the echo; the unlikely one, where the data does not tell and there is room.

        Parameters
        ----------
        lines : ndarray
            `(channel, line, sample)` complex64.
        n_samples, centre : int
            As `begin` takes them.

        Raises
        ------
        ScanError
            Where the data does not tell and there is no room.
        """
        if self.unlikely is None or n_samples >= self._n_encoded:
            return centre
        if (n_samples, centre) not in self._echoes:
            echo = echo_of(lines, None if self._no_room else centre, self._n_encoded)
            if echo is None and self._no_room:
                raise ScanError(self._no_room)
            if echo is None:  # another image may tell
                self.unlikely = None
                return centre
            self._echoes[n_samples, centre] = echo
        if self._echoes[n_samples, centre] == centre:
            self.unlikely = None
        return self._echoes[n_samples, centre]

    def warnings(self, readout: tuple[int, int] | None) -> tuple[str, ...]:
        """What was taken for k = 0 instead of center_sample: the second of a readout's samples and centre."""
        if self.unlikely is None or readout is None:
            return ()
        n_samples, centre = readout
        where = "the middle of a full readout" if n_samples == self._n_encoded else "the echo"
        return (f"center_sample is {self.unlikely} of {n_samples} samples: k = 0 was taken at {where}, {centre}",)


def name_of(head: ismrmrd.AcquisitionHeader) -> str:
    """What messages call an acquisition."""
    return f"acquisition {head.scan_counter}, line {head.idx.kspace_encode_step_1}"
