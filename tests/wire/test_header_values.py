"""Fields of patient, study, sequence, measurement and system, as converters and people misspell them."""

import pytest
from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

from snrstream.output.dicom.attributes import lookup
from snrstream.wire.header import ScanHeader, cartesian_encoding, parse_header
from snrtrain.benchmarks import small_scan

SUBJECT, STUDY, MEASUREMENT = "subjectInformation", "studyInformation", "measurementInformation"
SYSTEM, SEQUENCE = "acquisitionSystemInformation", "sequenceParameters"
HFS = "<patientPosition>HFS</patientPosition>"


def parsed(sections: str) -> ScanHeader:
    """A header of an encoding and these."""
    xml = small_scan.HEADER.decode()
    start, end = xml.index(" <acquisitionSystem"), xml.index(" <experimental")
    header = parse_header(xml[:start] + sections + xml[end:])
    assert cartesian_encoding(header) == cartesian_encoding(parse_header(small_scan.HEADER))
    return header


@pytest.mark.parametrize(
    ("section", "field", "text", "value"),
    [
        (SUBJECT, "patientBirthdate", "1970-01-31", XmlDate(1970, 1, 31)),
        (SUBJECT, "patientBirthdate", "1970-01-31Z", XmlDate(1970, 1, 31)),
        (SUBJECT, "patientGender", "m", "M"),
        (SUBJECT, "patientWeight_kg", " 70 ", 70.0),
        (STUDY, "studyTime", "14:05:59.5", XmlTime(14, 5, 59, 500_000_000)),
        (STUDY, "accessionNumber", "64.0", 64),
        (MEASUREMENT, "initialSeriesNumber", "12.0", 12),
        (MEASUREMENT, "patientPosition", "hfs", xsd.patientPositionType.HFS),
        (SYSTEM, "receiverChannels", "+3.2e1", 32),
        (SEQUENCE, "diffusionDimension", "Repetition", xsd.diffusionDimensionType.REPETITION),
    ],
)
def test_what_can_only_mean_one_thing_is_taken_without_a_word(section: str, field: str, text: str, value) -> None:
    position = HFS if section == MEASUREMENT and field != "patientPosition" else ""
    header = parsed(f"<{section}><{field}>{text}</{field}>{position}</{section}>")
    assert lookup(header, f"{section}.{field}") == value and header.warnings == ()


@pytest.mark.parametrize(
    ("section", "field", "text", "value"),
    [
        (SUBJECT, "patientBirthdate", "19700131", XmlDate(1970, 1, 31)),
        (SUBJECT, "patientWeight_kg", "70 kg", 70.0),
        (STUDY, "studyDate", "20240229", XmlDate(2024, 2, 29)),
        (STUDY, "studyTime", "140559.5", XmlTime(14, 5, 59, 500_000_000)),
        (STUDY, "accessionNumber", "64.4", 64),
        (SYSTEM, "systemFieldStrength_T", "3T", 3.0),
        (SYSTEM, "systemFieldStrength_T", "2.89 t", 2.89),
        (SEQUENCE, "TE", "4.5ms", [4.5]),
        (SEQUENCE, "flipAngle_deg", "12 deg", [12.0]),
    ],
)
def test_what_is_clear_enough_is_taken_and_told(section: str, field: str, text: str, value) -> None:
    header = parsed(f"<{section}><{field}>{text}</{field}></{section}>")
    assert lookup(header, f"{section}.{field}") == value
    (told,) = header.warnings
    assert told.startswith(f"header has {section}.{field} ") and "taken" in told


@pytest.mark.parametrize(
    ("section", "field", "text", "expected"),
    [
        *((SUBJECT, "patientBirthdate", text, "a date such as 2000-01-31") for text in (
            "1970-00-00", "--", "0000-00-00", "1970-02-30", "31.01.1970", "1969", "1970-0131", "-0044-03-15")),
        *((SUBJECT, "patientWeight_kg", text, "a number in kg") for text in (
            "unknown", "70 lb", "70,5", "nan", "inf", "0x46", "1_0", "7" * 400)),
        (SUBJECT, "patientWeight_kg", "1e999", "a number"),
        (SUBJECT, "patientHeight_m", "172cm", "a number in m"),
        (SUBJECT, "patientGender", "male", r"one of \[MFO\]"),
        *((STUDY, "studyTime", text, "a time such as 14:05:59") for text in ("24:00:00", "2 pm", "13:07", "14:0559")),
        (STUDY, "accessionNumber", "A12345", "a whole number"),
        (STUDY, "accessionNumber", "9" * 30, "a whole number of 64 bits"),
        (MEASUREMENT, "patientPosition", "HFX", "one of HFP, HFS"),
        (SYSTEM, "receiverChannels", "1e30", "a whole number of 64 bits"),
        (SEQUENCE, "TR", "2 s", "a number in ms"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out_and_told(section: str, field: str, text: str, expected: str) -> None:
    header = parsed(f"<{section}><{field}>{text}</{field}></{section}>")
    assert not lookup(header, f"{section}.{field}")
    told = header.warnings[0]
    assert told.startswith(f"header has {section}.{field} ") and f"expected {expected.replace(chr(92), '')}" in told
    personal = section in (SUBJECT, STUDY)  # whose values stay out of logs and comments
    assert (text in told) is not personal or len(text) > 40, told


def test_frequencies() -> None:
    xml = small_scan.HEADER.decode()
    for text, hz, n_told in (
        ("127767151.99999999", 127767152, 0), ("123.2 MHz", None, 1), ("123000000 Hz", 123000000, 1), ("", None, 1),
    ):  # fmt: skip
        header = parse_header(xml.replace("123000000", text))
        assert header.experimentalConditions.H1resonanceFrequency_Hz == hz and len(header.warnings) == n_told


def test_what_the_schema_requires_and_the_header_lacks() -> None:
    xml = small_scan.HEADER.decode()
    start, end = xml.index("<experimentalConditions>"), xml.index("<encoding>")
    header = parse_header(xml[:start] + xml[end:])
    assert header.experimentalConditions.H1resonanceFrequency_Hz is None
    assert header.warnings == ("header lacks experimentalConditions.H1resonanceFrequency_Hz: left empty",)
    header = parsed(f"<{MEASUREMENT}><protocolName>p</protocolName></{MEASUREMENT}>")
    assert header.measurementInformation.protocolName == "p"
    assert header.warnings == ("header lacks measurementInformation.patientPosition: left empty",)


def test_doubled_elements() -> None:
    for second in ("3.0", "7"):
        fields = "".join(f"<systemFieldStrength_T>{text}</systemFieldStrength_T>" for text in ("3.0", second))
        header = parsed(f"<{SYSTEM}>{fields}</{SYSTEM}>")
        assert header.acquisitionSystemInformation.systemFieldStrength_T == 3.0
        (told,) = header.warnings
        assert "2 elements acquisitionSystemInformation.systemFieldStrength_T; expected one: the first" in told
    halves = f"<{SUBJECT}><patientID>1</patientID></{SUBJECT}><{SUBJECT}><patientGender>F</patientGender></{SUBJECT}>"
    header = parsed(halves)
    assert (header.subjectInformation.patientID, header.subjectInformation.patientGender) == ("1", "F")
    assert header.warnings == ("header has 2 elements subjectInformation; expected one: they are taken as one",)


def test_lists_lose_what_is_incomplete_but_keep_their_order() -> None:
    """An echo time belongs to the contrast of its place; a label belongs to its number."""
    label = "<coilLabel><coilNumber>{}</coilNumber><coilName>{}</coilName></coilLabel>"
    labels = "".join(label.format(number, f"c{number}") for number in ("0", "one", "2"))
    header = parsed(f"<{SYSTEM}>{labels}</{SYSTEM}><{SEQUENCE}><TE>2</TE><TE>?</TE><TE>6</TE><TR>9</TR></{SEQUENCE}>")
    assert [one.coilName for one in header.acquisitionSystemInformation.coilLabel] == ["c0", "c2"]
    assert header.sequenceParameters.TE == [] and header.sequenceParameters.TR == [9.0]
    assert "1 of 3 acquisitionSystemInformation.coilLabel in the header are left out" in header.warnings
    assert "sequenceParameters.TE of the header is incomplete: all 3 are left out" in header.warnings


def test_a_header_that_is_all_wrong_gives_few_lines() -> None:
    times = "".join(f"<TE>{n}x</TE>" for n in range(5000))
    header = parsed(f"<{SEQUENCE}>{times}</{SEQUENCE}>")
    assert len(header.warnings) == 21 and header.warnings[-1] == "the header has 4981 more faults of this kind"
