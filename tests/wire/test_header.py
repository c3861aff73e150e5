import pytest

from snrstream.errors import ScanError
from snrstream.wire.header import cartesian_encoding, noise_bandwidth_ratio, parse_header
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


def test_unknown_elements_trailing_nul_and_missing_parts_are_tolerated(brain_xml: str) -> None:
    xml = brain_xml.replace("<encoding>", "<novelty><a>1</a></novelty><encoding>").encode() + b"\0"
    assert cartesian_encoding(parse_header(xml)).encoded_matrix == (128, 128, 1)
    bare = brain_xml.replace("<relativeReceiverNoiseBandwidth>0.93</relativeReceiverNoiseBandwidth>", "")
    assert noise_bandwidth_ratio(parse_header(bare)) == 0.793
    start, end = bare.index("<parallelImaging>"), bare.index("</parallelImaging>") + len("</parallelImaging>")
    assert cartesian_encoding(parse_header(bare[:start] + bare[end:])).acceleration == (1, 1)


def test_headers_of_other_writers(brain_xml: str) -> None:
    expected = cartesian_encoding(parse_header(brain_xml))
    start, end = brain_xml.index("<encodingLimits>"), brain_xml.index("</encodingLimits>") + len("</encodingLimits>")
    for xml in (
        brain_xml.replace(' xmlns="http://www.ismrm.org/ISMRMRD"', ""),
        brain_xml.replace("<encoding>", "<version>99</version><encoding>"),
        brain_xml[:start] + brain_xml[end:],
        brain_xml[:start] + "<encodingLimits/>" + brain_xml[end:],
        brain_xml.replace("<encoding>", "<other/><other/><encoding>"),
    ):
        assert cartesian_encoding(parse_header(xml)) == expected


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("</ismrmrdHeader>", "", "not well-formed XML"),
        ("ismrmrdHeader", "somethingElse", "root element"),
        ("<trajectory>cartesian", "<trajectory>radial", "trajectory is 'radial'"),
        ("<x>128</x>", "<x>many</x>", "cannot be read"),
        ("<x>128</x>", "<x>0</x>", "expected numbers from 1 to 65535"),
        ("<x>256.0</x>", "<x>0</x>", "field of view"),
        ('?>\n<ismrmrdHeader', '?><!DOCTYPE x [<!ENTITY a "b">]>\n<ismrmrdHeader', "document type or entities"),
        ("<maximum>127</maximum>", "<maximum>3000000000</maximum>", "limits of kspace_encoding_step_1 are .*0 to 127"),
        ("<matrixSize>", "<matrixSizes>", "not well-formed"),
        ("<encodedSpace>", "<encodedSpace/><ignored>", "not well-formed"),
        ("fieldOfView_mm", "somethingElse", "incomplete: encodingSpace lacks 'fieldOfView_mm'"),
        ("<x>256.0</x>", "<x></x>", "incomplete: fieldOfViewMm lacks 'x'"),
        ("<x>128</x>", "<x>128</x><x>128</x>", "2 elements x in one matrixSize; expected one"),
        ("<encodingLimits>", "<trajectory>radial</trajectory><encodingLimits>", "2 elements trajectory in one enc"),
        ("<encodingLimits>", "<a>" * 100_000 + "<encodingLimits>", "too much XML; expected up to 100000 elements"),
        ("<encodingLimits>", "<a/>" * 200_000 + "<encodingLimits>", "too much XML; .*, 64 levels deep"),
        ("Bandwidth>0.93", "Bandwidth>-1", "relativeReceiverNoiseBandwidth is -1"),
    ],
)  # fmt: skip
def test_broken_headers(brain_xml: str, old: str, new: str, match: str) -> None:
    def read() -> None:
        header = parse_header(brain_xml.replace(old, new))
        cartesian_encoding(header)
        noise_bandwidth_ratio(header)

    with pytest.raises(ScanError, match=match):
        read()


def test_no_encoding(brain_xml: str) -> None:
    start, end = brain_xml.index("<encoding>"), brain_xml.index("</encoding>") + len("</encoding>")
    with pytest.raises(ScanError, match="no encoding section"):
        cartesian_encoding(parse_header(brain_xml[:start] + brain_xml[end:]))
