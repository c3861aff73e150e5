"""Every element of real and full headers left out, doubled and mangled, one at a time: an image, or one line.

What a person should know of is told by the strict parser of the package `ismrmrd`: what that one refuses, and is not
the same header all the same, must have a warning.
"""

import copy
import io
import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import ismrmrd
import numpy as np
import pytest
from ismrmrd import xsd
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

from snrstream.chain.pipelines import named_chain
from snrstream.errors import ScanError
from snrstream.output.dicom import to_dicom
from snrstream.wire.header import ScanHeader, cartesian_encoding, parse_header
from snrstream.wire.multiband import require_single_band
from snrstream.wire.receiver import noise_bandwidth_ratio, noise_bandwidth_warnings
from snrtrain.benchmarks import small_scan
from tests.full_header import full_header

Result = TypeVar("Result")

NAMESPACE = "{http://www.ismrm.org/ISMRMRD}"
TEXTS = (
    "", "unknown", "--", "-1", "0", "0.5", "7", "1e999", "nan", "3T", "12 parsecs", "1970-00-00", "25:61:61", "M\n\nF",
    "99999999999999999999", "\u00df" * 300,
)  # fmt: skip
N_TEXTS = 3  # of them for each element: they take turns. With these, 7 things are done to each
OF_DICOM = ("/subject", "/study", "/measurement", "/acquisitionSystem", "/experimental", "/sequence")
STRICT = XmlParser(config=ParserConfig(fail_on_unknown_properties=False, fail_on_converter_warnings=True))


@pytest.fixture(scope="module", params=["real", "full"])
def whole(request, raw_scan, read_scan) -> bytes:
    if request.param == "full":
        return full_header()
    return xsd.ToXML(read_scan("brain_16ch_r3")[0]).encode()


def mangled(xml: bytes) -> Iterator[tuple[str, bytes]]:
    """Path of the element and what was done to it; a header of its section and the encoding. Of twins, the first."""
    ET.register_namespace("", NAMESPACE[1:-1])
    whole = ET.fromstring(xml)  # noqa: S314 - of our own making
    frame = [whole.find(f"{NAMESPACE}{name}") for name in ("experimentalConditions", "encoding")]
    seen = set()
    for section in whole:
        root = ET.Element(whole.tag)
        root.extend([section, *(other for other in frame if other.tag != section.tag)])
        for path, parent, child in [(f"/{section.tag}", root, section), *_elements(section, f"/{section.tag}")]:
            if path not in seen:
                seen.add(path)
                name = path.replace(NAMESPACE, "")
                texts = [TEXTS[(N_TEXTS * len(seen) + n) % len(TEXTS)] for n in range(N_TEXTS)]
                yield from ((f"{name} {what}", ET.tostring(root)) for what in _mangled(parent, child, texts))


def _mangled(parent: ET.Element, child: ET.Element, texts: Sequence[str]) -> Iterator[str]:
    """What was done to `child`, while it is."""
    place, other = list(parent).index(child), copy.deepcopy(child)
    parent.remove(child)
    yield "left out"
    parent.insert(place, child)
    parent.insert(place, other)
    yield "doubled"
    for leaf in other.iter():
        leaf.text = "7" if len(leaf) == 0 else leaf.text
    yield "doubled by another"
    parent.remove(child)
    for text in texts:
        other.clear()
        other.text = text
        yield f"is {text!r}"
    ET.SubElement(other, f"{NAMESPACE}x").text = "1"
    yield "holds another"
    parent[place] = child


def _elements(element: ET.Element, path: str) -> Iterator[tuple[str, ET.Element, ET.Element]]:
    for child in list(element):
        here = f"{path}/{child.tag}"
        yield here, element, child
        yield from _elements(child, here)


def is_told(header: ScanHeader) -> bool:
    return bool(header.warnings or noise_bandwidth_warnings(header))


def outcome(function: Callable[[], Result]) -> Result | str:
    """What it returns, or the one line of its ScanError."""
    try:
        return function()
    except ScanError as exc:
        line = str(exc)
    assert "\n" not in line
    return line


def test_one_line_or_an_encoding_and_never_silence(whole: bytes) -> None:
    assert parse_header(whole).warnings == ()
    expected = cartesian_encoding(parse_header(whole))
    n_refused = n_told = 0
    step = 2 if whole == full_header() else 1  # of the large one each element three times or more, in turns
    for what, xml in itertools.islice(mangled(whole), 0, None, step):
        header = parse_header(xml)
        assert all("\n" not in text and len(text) < 400 for text in header.warnings), what
        assert 0 < noise_bandwidth_ratio(header) <= 2, what
        found = outcome(lambda header=header: (require_single_band(header), cartesian_encoding(header))[1])
        assert found == expected or what.startswith("/encoding"), what
        n_refused += isinstance(found, str)
        n_told += is_told(header)
        if what.endswith("'") and not what.endswith(" ''") and not is_told(header):
            assert STRICT.from_bytes(xml, xsd.ismrmrdHeader) == header, what
    assert n_refused > 10 and n_told > 100


def test_dicom_of_every_header_that_is_read() -> None:
    image = ismrmrd.Image.from_array(
        np.ones((1, 4, 4), np.float32), transpose=False, field_of_view=(4, 4, 1), read_dir=(1, 0, 0),
        phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
    )  # fmt: skip
    of_dicom = (xml for what, xml in mangled(full_header()) if what.startswith(OF_DICOM))
    for xml in itertools.islice(of_dicom, 0, None, 4):  # each element once or twice
        (dataset,) = to_dicom(image, parse_header(xml))
        dataset.save_as(io.BytesIO(), enforce_file_format=True)


def test_images_of_some_headers() -> None:
    """What passes the header's reading passes the reconstruction as well."""
    chain, n_images = named_chain("grappa_snr"), 0
    for what, xml in itertools.islice(mangled(full_header()), 0, None, 80):
        images = outcome(lambda xml=xml: list(chain.run(small_scan.acquisitions(), parse_header(xml))))
        if isinstance(images, str):
            assert what.startswith("/encoding"), (what, images)
            continue
        n_images += 1
        assert len(images) == 3 and all(np.isfinite(image.data).all() for image in images), what
        if parse_header(xml).warnings:
            assert all(image.meta["SNRSTREAM_warning"] for image in images), what
    assert n_images > 10
