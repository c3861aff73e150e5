import dataclasses

import pytest
from ismrmrd import xsd

from snrstream.errors import ScanError
from snrstream.wire.header import cartesian_encoding, parse_header
from snrstream.wire.receiver import noise_bandwidth_ratio
from snrstream.wire.scan_file import ScanFile


@pytest.fixture(scope="module")
def brain_xml(raw_scan) -> str:
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        return scan.header_xml.decode()


def test_the_numbers_of_a_real_header(brain_xml: str) -> None:
    header = parse_header(brain_xml)
    encoding = cartesian_encoding(header)
    assert encoding.encoded_matrix == encoding.recon_matrix == (128, 128, 1)
    assert encoding.encoded_fov_mm == (256.0, 256.0, 3.0)
    assert (encoding.centre, encoding.first, encoding.last) == ((0, 64), (0, 0), (0, 127))
    assert (encoding.acceleration, encoding.interleaved, encoding.n_averages) == ((3, 1), False, 1)
    assert noise_bandwidth_ratio(header) == 0.93
    assert header.warnings == () and encoding.limits_known == (True, True)


def test_unknown_elements_trailing_nul_and_missing_parts_are_tolerated(brain_xml: str) -> None:
    xml = brain_xml.replace("<encoding>", "<novelty><a>1</a></novelty><encoding>").encode() + b"\0"
    assert cartesian_encoding(parse_header(xml)).encoded_matrix == (128, 128, 1)
    start, end = brain_xml.index("<parallelImaging>"), brain_xml.index("</parallelImaging>") + len("</parallelImaging>")
    assert cartesian_encoding(parse_header(brain_xml[:start] + brain_xml[end:])).acceleration == (1, 1)


def test_headers_of_other_writers(brain_xml: str) -> None:
    expected = cartesian_encoding(parse_header(brain_xml))
    start, end = brain_xml.index("<encodingLimits>"), brain_xml.index("</encodingLimits>") + len("</encodingLimits>")
    for xml in (
        brain_xml.replace(' xmlns="http://www.ismrm.org/ISMRMRD"', ""),
        brain_xml.replace("<encoding>", "<version>99</version><encoding>"),
        brain_xml.replace("<encoding>", "<other/><other/><encoding>"),
        brain_xml.replace(
            "<encoding>", '<encoding xmlns="another"><trajectory>radial</trajectory></encoding><encoding>'
        ),
    ):
        assert cartesian_encoding(parse_header(xml)) == expected and parse_header(xml).warnings == ()
    for limits in ("", "<encodingLimits/>"):
        found = cartesian_encoding(parse_header(brain_xml[:start] + limits + brain_xml[end:]))
        assert found == dataclasses.replace(expected, limits_known=(True, False))


def test_a_header_compares_to_others_and_is_written_as_they_are(brain_xml: str) -> None:
    header = parse_header(brain_xml)
    plain = xsd.CreateFromDocument(brain_xml.encode())
    assert type(plain) is xsd.ismrmrdHeader and header == plain and plain == header
    assert xsd.ToXML(header) == xsd.ToXML(plain) and parse_header(xsd.ToXML(header)) == header
    plain.encoding[0].encodedSpace.matrixSize.x = 64
    assert header != plain and header != brain_xml


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("</ismrmrdHeader>", "", "not well-formed XML"),
        ("ismrmrdHeader", "somethingElse", "root element"),
        ("<trajectory>cartesian", "<trajectory>radial", "trajectory is 'radial'"),
        ("<trajectory>cartesian", "<trajectory>propellor", "trajectory is 'other'"),
        ('?>\n<ismrmrdHeader', '?><!DOCTYPE x [<!ENTITY a "b">]>\n<ismrmrdHeader', "document type or entities"),
        ("<matrixSize>", "<matrixSizes>", "not well-formed"),
        ("<x>128</x>", "<x>many</x>", r"encodedSpace with matrix \(None, 128, 1\)"),
        ("<y>128</y>", "<y>0</y>", r"encodedSpace with matrix \(128, None, 1\)"),
        ("<x>128</x>", "<x>128</x><x>64</x>", r"encodedSpace with matrix \(None, 128, 1\)"),
        ("<encodingLimits>", "<trajectory>radial</trajectory><encodingLimits>", "trajectory is 'other'"),
        ("<encodingLimits>", "<a>" * 100_000 + "<encodingLimits>", "too much XML; expected up to 100000 elements"),
        ("<encodingLimits>", "<a/>" * 200_000 + "<encodingLimits>", "too much XML; .*, 64 levels deep"),
    ],
)  # fmt: skip
def test_headers_of_which_no_image_can_be_made(brain_xml: str, old: str, new: str, match: str) -> None:
    with pytest.raises(ScanError, match=match):
        cartesian_encoding(parse_header(brain_xml.replace(old, new)))


def test_no_encoding(brain_xml: str) -> None:
    start, end = brain_xml.index("<encoding>"), brain_xml.index("</encoding>") + len("</encoding>")
    with pytest.raises(ScanError, match="no encoding section"):
        cartesian_encoding(parse_header(brain_xml[:start] + brain_xml[end:]))
