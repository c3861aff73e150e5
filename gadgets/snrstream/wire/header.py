"""The ISMRMRD XML header, and the few numbers of it that a Cartesian reconstruction needs."""

import dataclasses
from dataclasses import dataclass

from ismrmrd import xsd

from ..errors import ScanError
from ..system.safe_xml import local_name, parse_xml
from .header_geometry import complete_encoding, is_possible
from .header_text import readable_text
from .header_tree import Warnings, read_record


@dataclass(frozen=True)
class Encoding:
    """The first encoding of a header. Triples are (readout, phase, partition): x, y, z. Pairs are (e2, e1).

    Attributes
    ----------
    encoded_matrix, recon_matrix : tuple[int, int, int]
        In samples, and in pixels.
    encoded_fov_mm, recon_fov_mm : tuple[float, float, float]
        Field of view.
    centre : tuple[int, int]
        The line numbers (`kspace_encode_step_2`, `kspace_encode_step_1`) that hold k = 0.
    first, last : tuple[int, int]
        The line numbers that the scan may acquire.
    acceleration : tuple[int, int]
        R1 along e1 and R2 along e2.
    interleaved : bool
        Whether the sampling moves from repetition to repetition, to calibrate on several (TGRAPPA).
    n_averages : int
        How often each line is acquired.
    limits_known : tuple[bool, bool]
        Along e2 and e1: False where the header's limits are absent or impossible. There first, centre and last are
        those of the full encoded matrix, n lines: 0, n // 2, n - 1; the lines decide.
    """

    encoded_matrix: tuple[int, int, int]
    recon_matrix: tuple[int, int, int]
    encoded_fov_mm: tuple[float, float, float]
    recon_fov_mm: tuple[float, float, float]
    centre: tuple[int, int]
    first: tuple[int, int]
    last: tuple[int, int]
    acceleration: tuple[int, int]
    interleaved: bool
    n_averages: int
    limits_known: tuple[bool, bool] = (True, True)


class ScanHeader(xsd.ismrmrdHeader):
    """A header as it was read, which can be compared to, and written as, any other.

    Attributes
    ----------
    warnings : tuple of str
        What could not be read, and what was done about it: lines for a person.
    """

    class Meta:  # noqa: D106 - for xsdata
        name = "ismrmrdHeader"
        namespace = "http://www.ismrm.org/ISMRMRD"

    warnings: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, xsd.ismrmrdHeader):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(xsd.ismrmrdHeader)]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]  # as that of the class it extends


def parse_header(text: bytes | str) -> ScanHeader:
    """Parse the header's XML, patiently.

    Elements that the schema does not know are skipped, empty ones are taken as absent; the namespace may be left out. A
    value that cannot be read is left out, one that is clear enough all the same is taken, and an encoding is made whole
    as far as the rest of it tells (`complete_encoding`): each with a line in the header's `warnings`.

    Parameters
    ----------
    text : bytes or str
        The XML, as bytes in UTF-8, or what else it may be (`readable_text`).

    Returns
    -------
    ScanHeader
        The header as ismrmrd's own classes. What the XML lacks is None, even where the schema requires it; sections
        that the schema requires are there.

    Raises
    ------
    ScanError
        Where it is not XML, or not an ISMRMRD header.
    """
    text, told = readable_text(text)
    root = parse_xml(text, "ISMRMRD header", ScanError)
    if local_name(root) != "ismrmrdHeader":
        raise ScanError(
            f"ISMRMRD header has root element {root.tag!r}; expected ismrmrdHeader of http://www.ismrm.org/ISMRMRD"
        )
    warnings = Warnings(told)
    header = read_record(root, ScanHeader, warnings)
    for encoding in header.encoding:
        complete_encoding(encoding, warnings)
    header.warnings = warnings.lines
    return header


def cartesian_encoding(header: xsd.ismrmrdHeader, number: int = 0) -> Encoding:
    """Read an encoding of a Cartesian scan.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan, as `parse_header` makes it whole.
    number : int
        Which of its encodings, as acquisitions name it by `encoding_space_ref`.

    Returns
    -------
    Encoding
        Its numbers are such that arrays of these sizes exist, and its line numbers lie in the encoded matrix.

    Raises
    ------
    ScanError
        Where the encoding is missing, is not Cartesian, or lacks the matrix.
    """
    if not header.encoding:
        raise ScanError("ISMRMRD header has no encoding section; expected one")
    if number >= len(header.encoding):
        raise ScanError(
            f"acquisitions have encoding_space_ref {number}; the ISMRMRD header has encodings 0 to "
            f"{len(header.encoding) - 1}"
        )
    encoding = header.encoding[number]
    trajectory = encoding.trajectory.value if encoding.trajectory is not None else "cartesian"
    if trajectory not in ("cartesian", "epi"):
        raise ScanError(f"trajectory is {trajectory!r}; this reconstruction expects 'cartesian' or 'epi'")
    matrices, fovs = [], []
    for name, space in (("encodedSpace", encoding.encodedSpace), ("reconSpace", encoding.reconSpace)):
        matrix = (space.matrixSize.x, space.matrixSize.y, space.matrixSize.z)
        fov = (space.fieldOfView_mm.x, space.fieldOfView_mm.y, space.fieldOfView_mm.z)
        if None in matrix + fov:
            raise ScanError(f"ISMRMRD header has {name} with matrix {matrix} and {fov} mm; expected x, y and z of both")
        matrices.append(matrix)
        fovs.append(fov)
    parallel, limits = encoding.parallelImaging, encoding.encodingLimits
    factors = parallel.accelerationFactor if parallel is not None else None
    acceleration = (factors.kspace_encoding_step_1, factors.kspace_encoding_step_2) if factors else (1, 1)
    of_lines = [
        _limits(limit, n_lines)
        for limit, n_lines in (
            (limits.kspace_encoding_step_2, matrices[0][2]), (limits.kspace_encoding_step_1, matrices[0][1]),
        )
    ]  # fmt: skip
    averages = limits.average
    mode = parallel.calibrationMode if parallel is not None else None
    return Encoding(
        encoded_matrix=matrices[0],
        recon_matrix=matrices[1],
        encoded_fov_mm=fovs[0],
        recon_fov_mm=fovs[1],
        centre=(of_lines[0][1], of_lines[1][1]),
        first=(of_lines[0][0], of_lines[1][0]),
        last=(of_lines[0][2], of_lines[1][2]),
        acceleration=acceleration,
        interleaved=mode is not None and mode.value == "interleaved",
        n_averages=averages.maximum + 1 if averages is not None else 1,
        limits_known=(of_lines[0][3], of_lines[1][3]),
    )


def _limits(limit: xsd.limitType | None, n_lines: int) -> tuple[int, int, int, bool]:
    """Minimum, centre and maximum of the lines along an axis, and whether the header tells; all lines where not."""
    if limit is not None and n_lines > 1 and is_possible(limit, n_lines):
        return limit.minimum, limit.center, limit.maximum, True
    return 0, n_lines // 2, n_lines - 1, n_lines == 1
