"""Headers in the letters of all people, and with what XML does not allow."""

import mrd
import pytest
from ismrmrd import xsd

from snrstream.errors import ScanError
from snrstream.hosts.stream_reader import open_reader
from snrstream.wire.header import cartesian_encoding, parse_header
from snrtrain.benchmarks import small_scan
from tests import mrd2_streams

NAMES = (
    "M\u00fcller^J\u00fcrgen",
    "\u5c71\u7530^\u592a\u90ce",
    "O'Neill & Sons <x>",
    "\u0418\u0432\u0430\u043d\u043e\u0432",
)


def xml(name: str, declaration: str = '<?xml version="1.0"?>') -> str:
    subject = f"<subjectInformation><patientName>{name}</patientName></subjectInformation><experimentalConditions>"
    text = small_scan.HEADER.decode().replace("<experimentalConditions>", subject)
    return declaration + text.partition("?>")[2]


def name_and_warnings(data: bytes | str) -> tuple[str, tuple[str, ...]]:
    header = parse_header(data)
    assert cartesian_encoding(header) == cartesian_encoding(parse_header(small_scan.HEADER))
    return header.subjectInformation.patientName, header.warnings


@pytest.mark.parametrize("encoding", [None, "UTF-8", "ascii", "ISO-8859-1", "nonsense"])
def test_utf_8_whatever_it_declares(encoding: str | None) -> None:
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>' if encoding else ""
    for name in (NAMES[0], NAMES[1], NAMES[3]):
        for data in (
            xml(name, declaration),
            xml(name, declaration).encode(),
            xml(name, declaration).encode("utf-8-sig"),
        ):
            assert name_and_warnings(data) == (name, ())


def test_other_encodings() -> None:
    declared = '<?xml version="1.0" encoding="iso-8859-5"?>'
    assert name_and_warnings(xml(NAMES[3], declared).encode("iso-8859-5")) == (
        NAMES[3], ("header is not UTF-8: read as iso-8859-5",),
    )  # fmt: skip
    for declaration in ("", '<?xml version="1.0" encoding="ascii"?>', '<?xml version="1.0" encoding="zip"?>'):
        assert name_and_warnings(xml(NAMES[0], declaration).encode("latin-1")) == (
            NAMES[0], ("header is not UTF-8: read as ISO-8859-1",),
        )  # fmt: skip
    with pytest.raises(ScanError, match="holds NUL bytes; expected UTF-8"):
        parse_header(xml("a").encode("utf-16-le"))


@pytest.mark.parametrize(
    ("written", "name"),
    [("A & B", "A & B"), ("A&B;", "A&B;"), ("A\x01B", "AB"), ("A&#1;B", "AB"), ("A&#x0;B", "AB"),
     ("A&nbsp;B", "A&nbsp;B"), ("A&#xD800;B", "AB"), ("A&#9999999;B", "AB"), ("A\ufffeB", "AB")],
)  # fmt: skip
def test_what_xml_does_not_allow(written: str, name: str) -> None:
    told = ("header holds characters that XML does not allow: left out or escaped",)
    assert name_and_warnings(xml(written)) == name_and_warnings(xml(written).encode()) == (name, told)
    assert name_and_warnings(xml("A &amp; B&#65;&#x42;")) == ("A & BAB", ())


@pytest.mark.parametrize("name", [*NAMES, "A\x01B\x00C"])
def test_names_in_mrd_v2(name: str, read_scan, tmp_path) -> None:
    header = mrd2_streams.header_of(read_scan("brain_16ch_r3")[0])
    header.subject_information = mrd.SubjectInformationType(patient_name=name)
    path = tmp_path / "stream"
    path.write_bytes(mrd2_streams.written(header, []))
    with path.open("rb") as file:
        found = parse_header(open_reader(file, "test").header_xml)
    assert found.subjectInformation.patientName == name.replace("\x01", "").replace("\x00", "") and found.warnings == ()


def test_what_the_package_ismrmrd_writes() -> None:
    header = parse_header(xml(NAMES[0]))
    for text in (xsd.ToXML(header), xsd.ToXML(header, "utf-8")):
        assert parse_header(text) == parse_header(text.encode()) == header
