"""The encodings of a header that lines refer to: those of images, and those of calibration lines alone."""

import ismrmrd
from ismrmrd import xsd

from ..errors import ScanError
from ..recon.lattice import Lattice
from ..wire.acquisitions import acquisition_of, head_of
from ..wire.header import Encoding, cartesian_encoding
from .interleaved import Interleaved
from .keys import makes_image
from .oversampling import has_oversampling
from .placement import Placer
from .references import References, encoding_of

MOST_WAITING_BYTES = 2 << 30


class Space:
    """An encoding that images refer to.

    Parameters
    ----------
    encoding : Encoding
        What the header tells of it.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.placer = Placer(encoding)
        self.lattice: Lattice | None = None  # of the latest image: what one that was cut short goes by
        self.interleaved = Interleaved(encoding.acceleration) if encoding.interleaved else None

    @property
    def needs_calibration(self) -> bool:
        """Whether its images go by calibration lines, their own or those of others of their slice."""
        return self.encoding.acceleration != (1, 1) and self.interleaved is None


class Spaces:
    """The encodings of images, by number, and the calibration lines that refer to others.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Attributes
    ----------
    known : dict of int to Space
        Those that images have referred to so far.
    undecided : bool
        Whether an image line has to tell which encoding is that of the images, and if readouts are oversampled.
    references : References
        Calibration lines of other encodings.

    Raises
    ------
    ScanError
        Where the header is not of a Cartesian scan.
    """

    def __init__(self, header: xsd.ismrmrdHeader) -> None:
        self._header = header
        self.has_one_encoding = len(header.encoding) == 1
        encoding = cartesian_encoding(header)
        self.n_averages = encoding.n_averages
        self.undecided = has_oversampling(encoding) or not self.has_one_encoding
        self.known: dict[int, Space] = {} if self.undecided else {0: Space(encoding)}
        self.references = References(header)
        self._waiting: list[ismrmrd.Acquisition] = []  # calibration lines until it is decided
        self._waiting_bytes = 0

    def decided_by(self, acquisition: ismrmrd.Acquisition) -> list[ismrmrd.Acquisition]:
        """Keep a line that comes before the first image line; give all that waited for that, and it, once it comes.

        Raises
        ------
        ScanError
            Where more wait than memory can hold, or the header has no such encoding, or one that cannot be used.
        """
        self._waiting.append(acquisition)
        self._waiting_bytes += acquisition.data.nbytes
        if self._waiting_bytes > MOST_WAITING_BYTES:
            raise ScanError(
                f"more than {MOST_WAITING_BYTES >> 20} MiB of calibration lines and navigators came ahead of the "
                "first image line; expected less"
            )
        head = head_of(acquisition)
        if not makes_image(head.flags):
            return []
        self.undecided = False
        self.known[head.encoding_space_ref] = Space(encoding_of(self._header, head))
        waiting, self._waiting = self._waiting, []
        return waiting

    def begin(self, head: ismrmrd.AcquisitionHeader) -> list[ismrmrd.Acquisition]:
        """Know another encoding as one of images; give its lines that were taken for references.

        Raises
        ------
        ScanError
            Where the header has no such encoding, or one that cannot be used.
        """
        number = head.encoding_space_ref
        self.known[number] = Space(encoding_of(self._header, head))
        return self.references.pop(number)

    def refer(self, acquisition: ismrmrd.Acquisition) -> str:
        """Keep a calibration line of an encoding that has no images, so far; give a warning, or nothing.

        Raises
        ------
        ScanError
            Where more come than memory can hold.
        """
        number, space = next(iter(self.known.items()))
        return self.references.add(acquisition, number, space.encoding)


def of_the_only_encoding(acquisition: ismrmrd.Acquisition) -> tuple[ismrmrd.Acquisition, str]:
    """A line that refers to another encoding than the only one of the header, made to refer to that; and a warning."""
    head = acquisition.getHead()
    text = (
        f"lines have encoding_space_ref {head.encoding_space_ref} where the header has one encoding; expected 0: "
        "that was taken"
    )
    head.encoding_space_ref = 0
    return acquisition_of(head, acquisition.data, acquisition.traj), text
