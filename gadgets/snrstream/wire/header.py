"""The ISMRMRD XML header, and the few numbers of it that a Cartesian reconstruction needs."""

import dataclasses
import re
import typing
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass

from ismrmrd import xsd
from xsdata.exceptions import ConverterWarning, ParserError
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

from ..errors import ScanError
from ..system.safe_xml import parse_xml

NAMESPACE = "{http://www.ismrm.org/ISMRMRD}"
LONGEST_MM = 1e6
DEFAULT_NOISE_BANDWIDTH_RATIO = 0.793  # Siemens' receivers; what Gadgetron assumes as well


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


def parse_header(text: bytes | str) -> xsd.ismrmrdHeader:
    """Parse the header's XML.

    Elements that the schema does not know are skipped, empty ones are taken as absent; the namespace may be left out.

    Parameters
    ----------
    text : bytes or str
        The XML, as bytes in UTF-8.

    Returns
    -------
    ismrmrd.xsd.ismrmrdHeader
        The header as ismrmrd's own classes.

    Raises
    ------
    ScanError
        Where it is not XML, not an ISMRMRD header, or a value has the wrong type.
    """
    root = parse_xml(text, "ISMRMRD header", ScanError)
    if root.tag == "ismrmrdHeader":
        for element in root.iter():
            element.tag = NAMESPACE + element.tag
    if root.tag != f"{NAMESPACE}ismrmrdHeader":
        raise ScanError(
            f"ISMRMRD header has root element {root.tag!r}; expected ismrmrdHeader of http://www.ismrm.org/ISMRMRD"
        )
    _drop_empty(root)
    _require_once(root, xsd.ismrmrdHeader)
    for encoding in root.iter(f"{NAMESPACE}encoding"):
        if encoding.find(f"{NAMESPACE}encodingLimits") is None:  # which the schema requires
            ET.SubElement(encoding, f"{NAMESPACE}encodingLimits")
    config = ParserConfig(fail_on_unknown_properties=False, fail_on_converter_warnings=True)
    try:
        return XmlParser(config=config).from_bytes(ET.tostring(root), xsd.ismrmrdHeader)
    except TypeError as exc:  # a dataclass of the schema lacks what it requires
        lacks = re.search(r"(\w+)\.__init__\(\) missing .*: (.*)", str(exc))
        text = f"{lacks[1].removesuffix('Type')} lacks {lacks[2]}" if lacks else str(exc)
        raise ScanError(f"ISMRMRD header is incomplete: {text}") from None
    except (ParserError, ConverterWarning, ValueError) as exc:
        raise ScanError(f"ISMRMRD header cannot be read: {' '.join(str(exc).split())}") from None


def _require_once(element: ET.Element, kind: type) -> None:
    """Of two values of what can have one, readers take either: there is no telling which is meant."""
    hints = typing.get_type_hints(kind)
    fields = {f"{NAMESPACE}{f.metadata.get('name', f.name)}": hints[f.name] for f in dataclasses.fields(kind)}
    counts = Counter(child.tag for child in element)
    for tag, n in counts.items():
        if n > 1 and tag in fields and typing.get_origin(fields[tag]) is not list:
            raise ScanError(
                f"ISMRMRD header has {n} elements {tag.removeprefix(NAMESPACE)} in one "
                f"{element.tag.removeprefix(NAMESPACE)}; expected one"
            )
    for child in element:
        for choice in (fields.get(child.tag), *typing.get_args(fields.get(child.tag))):
            if dataclasses.is_dataclass(choice) and isinstance(choice, type):
                _require_once(child, choice)


def _drop_empty(element: ET.Element) -> None:
    """Anonymisers leave empty elements behind, which the schema's numbers cannot be: take them as absent."""
    for child in list(element):
        _drop_empty(child)
        if len(child) == 0 and not (child.text or "").strip():
            element.remove(child)


def noise_bandwidth_ratio(header: xsd.ismrmrdHeader) -> float:
    """Read `relativeReceiverNoiseBandwidth`.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Returns
    -------
    float
        The noise bandwidth of the receivers in units of the sampling bandwidth; 0.793 where the header does not tell.

    Raises
    ------
    ScanError
        Where it is not between 0 and 2.
    """
    system = header.acquisitionSystemInformation
    ratio = system.relativeReceiverNoiseBandwidth if system is not None else None
    if ratio is None:
        return DEFAULT_NOISE_BANDWIDTH_RATIO
    if not 0 < ratio <= 2:
        raise ScanError(f"relativeReceiverNoiseBandwidth is {ratio}; expected a number between 0 and 2")
    return float(ratio)


def cartesian_encoding(header: xsd.ismrmrdHeader, number: int = 0) -> Encoding:
    """Read an encoding of a Cartesian scan.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.
    number : int
        Which of its encodings, as acquisitions name it by `encoding_space_ref`.

    Returns
    -------
    Encoding
        Checked: numbers are such that arrays of these sizes exist, and line numbers lie in the encoded matrix.

    Raises
    ------
    ScanError
        Where the encoding is missing, incomplete, not Cartesian, or has numbers that no scan has.
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
    if trajectory != "cartesian":
        raise ScanError(f"trajectory is {trajectory!r}; this reconstruction expects 'cartesian'")
    matrices, fovs = [], []
    for name, space in (("encodedSpace", encoding.encodedSpace), ("reconSpace", encoding.reconSpace)):
        if space is None or space.matrixSize is None or space.fieldOfView_mm is None:
            raise ScanError(f"ISMRMRD header has no complete {name}; expected matrixSize and fieldOfView_mm")
        matrix = (space.matrixSize.x, space.matrixSize.y, space.matrixSize.z)
        fov = (space.fieldOfView_mm.x, space.fieldOfView_mm.y, space.fieldOfView_mm.z)
        if any(n is None or not 1 <= n <= 65535 for n in matrix):
            raise ScanError(f"{name} has matrix size {matrix}; expected numbers from 1 to 65535")
        if any(length is None or not 0 < length <= LONGEST_MM for length in fov):
            raise ScanError(f"{name} has field of view {fov} mm; expected lengths above 0, to {LONGEST_MM:g}")
        matrices.append(matrix)
        fovs.append(fov)
    parallel, limits = encoding.parallelImaging, encoding.encodingLimits
    factors = parallel.accelerationFactor if parallel is not None else None
    acceleration = (factors.kspace_encoding_step_1, factors.kspace_encoding_step_2) if factors else (1, 1)
    if any(r is None or not 1 <= r <= 64 for r in acceleration):
        raise ScanError(f"acceleration factor is {acceleration}; expected numbers from 1 to 64")
    for axis, name in ((1, "y"), (2, "z")):
        if acceleration[axis - 1] > matrices[0][axis]:
            raise ScanError(
                f"acceleration along kspace_encoding_step_{axis} is {acceleration[axis - 1]}; expected no more than "
                f"the encoded matrix, {name} = {matrices[0][axis]}"
            )
    of_lines = [_limits(limits, f"kspace_encoding_step_{axis}", matrices[0][axis]) for axis in (2, 1)]
    averages = limits.average if limits is not None else None
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
        n_averages=averages.maximum + 1 if averages is not None and averages.maximum is not None else 1,
    )


def _limits(limits: xsd.encodingLimitsType | None, name: str, size: int) -> tuple[int, int, int]:
    """Minimum, centre and maximum of one encoding limit; all of the matrix where the header does not tell."""
    limit = getattr(limits, name) if limits is not None and size > 1 else None
    found = (limit.minimum, limit.center, limit.maximum) if limit is not None else (0, size // 2, size - 1)
    if not 0 <= found[0] <= found[1] <= found[2] < size:
        raise ScanError(
            f"limits of {name} are {found} (minimum, center, maximum); expected rising numbers from 0 to {size - 1}"
        )
    return found
