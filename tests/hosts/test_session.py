"""Sessions in every dialect, without a socket."""

import json
from collections.abc import Iterator
from typing import Any

import ismrmrd
import numpy as np
import pytest

from snrstream.errors import ConfigurationError, ConnectionFailed, ProtocolError, ScanError
from snrstream.hosts.session import Session
from snrstream.system.resources import folder
from snrstream.wire.messages import ConfigFile, ConfigText, Dependency, Fault, Header, Query, Response, Text
from snrtrain.benchmarks import fuzz, small_scan
from tests.sessions import answers_to

HEADER = Header(small_scan.HEADER)


def scan(*opening: Any) -> list[Any]:
    return answers_to([*opening, *small_scan.acquisitions()])


def pixels(answers: list[Any]) -> list[np.ndarray]:
    return [answer.data for answer in answers if isinstance(answer, ismrmrd.Image)]


def assert_same(left: list[Any], right: list[Any]) -> None:
    assert len(pixels(left)) == len(pixels(right)) > 0
    for a, b in zip(pixels(left), pixels(right), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def expected() -> list[Any]:
    return scan(ConfigFile("grappa_snr"), HEADER)


def test_a_configuration_by_name_and_whole(expected: list[Any]) -> None:
    assert_same(scan(ConfigFile("grappa_snr.xml"), HEADER), expected)
    assert_same(scan(ConfigText((folder("pipelines") / "grappa_snr.xml").read_bytes()), HEADER), expected)


def test_openrecon_names_the_pipeline_after_the_header(expected: list[Any]) -> None:
    text = Text(json.dumps({"version": "1.1.0", "parameters": {"config": "grappa_snr"}}))
    assert_same(scan(ConfigFile("openrecon"), HEADER, text), expected)
    with pytest.raises(ConfigurationError, match="is not a plain name"):
        scan(ConfigFile("openrecon"), HEADER, Text('{"parameters": {"config": "../../etc/passwd"}}'))


@pytest.mark.parametrize("text", [[], [Text("{}")], [Text('{"parameters": {"other": 1}}')]])
def test_openrecon_without_a_pipeline_gets_the_default(text: list[Text]) -> None:
    series = [image.image_series_index for image in scan(ConfigFile("openrecon"), HEADER, *text)]
    assert series == [1, 20, 2]


@pytest.mark.parametrize(
    "text",
    [
        "{ broken",
        "[1]",
        "null",
        "hello",
        '{"alpha": 0.9}',
        "9" * 5000,
        '{"a": "' + "x" * 70_000 + '"}',
    ],
)
def test_what_a_user_set_is_not_lost_without_a_word(text: str) -> None:
    with pytest.raises(ConfigurationError, match="parameters of the console cannot be read: "):
        scan(ConfigFile("openrecon"), HEADER, Text(text))
    assert len(scan(ConfigFile("grappa_snr"), HEADER, Text(text))) == 3  # from others it may be any text


def test_the_console_sets_properties_of_gadgets(caplog) -> None:
    def denoised(alpha: object) -> ismrmrd.Image:
        text = Text(json.dumps({"parameters": {"config": "grappa_denoise", "alpha": alpha, "sendOriginal": False}}))
        images = scan(ConfigFile("openrecon"), HEADER, text)
        return next(image for image in images if image.image_series_index == 2)

    assert denoised(0.5).meta["SNRSTREAM_alpha"] == denoised("0.5").meta["SNRSTREAM_alpha"] == "0.5"
    text = "parameter 'sendOriginal' of the console is no property of the pipeline's gadgets: ignored"
    assert text in caplog.text and denoised(0.5).meta["SNRSTREAM_warning"] == [text]
    with pytest.raises(ConfigurationError, match="alpha is 7.0; expected a number from 0 to 1"):
        denoised(7)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            '{"strict": true, "parameters": {"alpha": "%s"}}' % ("0" * 70_000),
            "it has 70045 characters; expected at most",
        ),
        ('{"parameters": {"alpha": 1%s}}' % ("0" * 5000), "Exceeds the limit"),
        ('{"parameters": {"alpha": 0, "alpha": 1}}', "'alpha' is in it twice; expected once"),
        ('{"strict": 1, "parameters": {"alfa": 0}}', '"strict" is 1; expected true or false'),
        ('{"parameters": [1]}', "expected {"),
        ('{"parameters": {"alpha": 0}', "Expecting"),
    ],
    ids=range(6),
)
def test_settings_for_a_named_pipeline_are_not_lost_either(text: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=f"parameters of the console cannot be read: .*{match}"):
        scan(ConfigFile("grappa_denoise"), HEADER, Text(text))


def test_images_carry_few_of_many_warnings() -> None:
    text = json.dumps({"parameters": {f"a{n}": 0 for n in range(1000)}})
    image, *_ = scan(ConfigFile("grappa_snr"), HEADER, Text(text))
    told = image.meta["SNRSTREAM_warning"]
    assert "parameter 'a0' of the console is no property of the pipeline's gadgets: ignored" in told
    assert told[-1] == "980 more parameters of the console are ignored, too" and len(told) < 30


def test_what_a_command_line_sets_must_be_a_property() -> None:
    def scan_with(**settings: object) -> list[Any]:
        text = json.dumps({"parameters": settings, "strict": True})
        return scan(ConfigFile("grappa_denoise"), HEADER, Text(text))

    listed = (
        r"its gadgets have: noise_adjust: missing_noise, .*; accumulate: device; .*; denoise: model, alpha, alpha_by_g"
    )
    with pytest.raises(ConfigurationError, match=f"unknown property 'alfa' for grappa_denoise; {listed}"):
        scan_with(alpha=0.5, alfa=0)
    with pytest.raises(ConfigurationError, match="unknown property 'config' for grappa_denoise"):
        scan_with(config="grappa_snr")  # a pipeline is --pipeline's
    with pytest.raises(ConfigurationError, match="gadget denoise: alpha is 7.0; expected a number from 0 to 1"):
        scan_with(alpha=7)
    assert scan_with(alpha=0.5)[-1].meta["SNRSTREAM_alpha"] == "0.5"


def test_python_ismrmrd_servers_client_adds_parameters_to_a_name(expected: list[Any]) -> None:
    assert_same(scan(ConfigFile("grappa_denoise"), HEADER, Text('{"parameters": {"config": "grappa_snr"}}')), expected)


def test_texts_and_waveforms_among_the_data_do_no_harm(expected: list[Any]) -> None:
    waveform = ismrmrd.Waveform.from_array(np.zeros((1, 4), np.uint32))
    answers = scan(ConfigFile("grappa_snr"), HEADER, Text("hello"), waveform)
    assert_same(answers, expected)
    assert len(answers) == len(expected)  # Gadgetron's client fails at waveforms that come back
    module = ConfigText(b'<configuration><gadget name="accumulate"/></configuration>')
    lines = [a for a in small_scan.acquisitions() if not a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    assert isinstance(answers_to([module, HEADER, waveform, *lines])[0], ismrmrd.Waveform)


NOISE_SUMMARY = ConfigText(
    b"<gadgetronStreamConfiguration><gadget><name>n</name><dll>d</dll><classname>NoiseSummaryGadget</classname></gadget>"
    b"</gadgetronStreamConfiguration>"
)
NOISE = next(small_scan.acquisitions())
SESSIONS: dict[str, list[Any]] = {
    "nothing": [],
    "isalive": [ConfigFile("isalive.xml")],
    "gtquery": [ConfigFile("gtquery.xml")],
    "noise summary": [NOISE_SUMMARY],
    "no scan": [ConfigFile("grappa_snr")],
    "images": [ConfigFile("grappa_snr"), HEADER, *small_scan.acquisitions()],
    "denoised images": [ConfigFile("grappa_denoise"), HEADER, *small_scan.acquisitions()],
    "OpenRecon": [ConfigFile("openrecon"), HEADER, Text('{"parameters": {"config": "grappa_snr"}}'),
                  *small_scan.acquisitions()],
    "noise alone": [ConfigFile("default_measurement_dependencies"), HEADER, NOISE],
    "noise and lines": [ConfigFile("default_measurement_dependencies"), HEADER, *small_scan.acquisitions()],
    "Gadgetron": [ConfigText(b'<configuration><gadget name="accumulate"/></configuration>'), HEADER,
                  *list(small_scan.acquisitions())[1:]],
}  # fmt: skip


@pytest.mark.parametrize("name", SESSIONS)
def test_a_query_is_answered_before_the_next_message_is_asked_for(name: str) -> None:
    """Wherever it stands, and whatever the rest is about: its peer may wait for the answer."""
    sent: list[Any] = []
    answered: list[int] = []

    def asking() -> Iterator[Any]:
        for number, message in enumerate([*SESSIONS[name], None]):
            yield Query(number, "gadgetron::version")
            answered.append(isinstance(sent[-1], Response) and sent[-1].id == number)
            if message is not None:
                yield message

    Session("peer").run(asking(), sent.append)
    assert answered == [True] * (len(SESSIONS[name]) + 1)
    others = [type(answer) for answer in sent if not isinstance(answer, Response)]
    assert others == [type(answer) for answer in answers_to(SESSIONS[name])]


def test_answers_to_queries(expected: list[Any]) -> None:
    answers = scan(Query(5, "gadgetron::version"), ConfigFile("grappa_snr"), Query(6, "gadgetron::info"), HEADER)
    replies = [answer for answer in answers if isinstance(answer, Response)]
    assert replies[0].text.startswith("snrstream ") and "CUDA devices" in replies[1].text
    assert_same(answers, expected)
    with pytest.raises(ProtocolError, match="unknown query 'x'; known: ismrmrd::version"):
        answers_to([Query(1, "x")])


def test_queries_without_end() -> None:
    flood = [Query(n, "gadgetron::info") for n in range(1001)]
    for messages in (flood, [ConfigFile("isalive"), *flood], [*SESSIONS["images"], *flood]):
        with pytest.raises(ProtocolError, match="more than 1000 queries in one session"):
            answers_to(messages)


@pytest.mark.parametrize("name", ["isalive.xml", "isalive", "grappa_snr", "openrecon"])
def test_a_session_without_a_header_ends_well(name: str) -> None:
    assert answers_to([ConfigFile(name)]) == []
    assert answers_to([]) == []


def test_the_noise_query_of_gadgetrons_client() -> None:
    (answer,) = answers_to([NOISE_SUMMARY])
    assert isinstance(answer, Dependency) and b"failed" in answer.xml


def test_a_query_for_all_noise_measurements() -> None:
    (answer,) = answers_to([ConfigFile("gtquery.xml")])
    assert isinstance(answer, Dependency) and b"<name>NoiseDependencies</name>" in answer.xml


def test_a_gadgetron_that_dials_us_hears_of_faults_as_an_external_modules_host() -> None:
    session = Session("gadgetron")
    with pytest.raises(ConfigurationError, match="unknown gadget 'x'"):
        answers_to([ConfigText(b'<configuration><gadget name="x"/></configuration>')], session)
    assert session.fault("no") == Fault("snrstream: no")
    session = Session("client")
    with pytest.raises(ConfigurationError, match="unknown pipeline"):
        answers_to([ConfigFile("x")], session)
    assert session.fault("no") == Text("ERROR: no")
    with pytest.raises(ConnectionFailed, match="peer failed: out of memory"):
        scan(ConfigFile("grappa_snr"), HEADER, Fault("out of memory"))


@pytest.mark.parametrize(
    ("messages", "error", "match"),
    [
        ([HEADER], ProtocolError, "Header begins the session; expected a configuration"),
        ([Text("x")], ProtocolError, "Text begins the session"),
        ([ConfigFile("grappa_snr"), Text("x")], ProtocolError, "Text after the configuration; expected the ISMRMRD"),
        ([ConfigFile("grappa_snr"), HEADER, HEADER], ProtocolError, "Header among the data"),
        ([ConfigFile("grappa_snr"), HEADER], ScanError, "no image acquisitions"),
        ([ConfigFile("../isalive")], ConfigurationError, "not a plain name"),
        ([ConfigFile("a/isalive.xml")], ConfigurationError, "not a plain name"),
        ([ConfigFile("")], ConfigurationError, "not a plain name"),
        ([ConfigFile("/etc/passwd")], ConfigurationError, "not a plain name"),
        ([ConfigText(b"")], ConfigurationError, "not well-formed"),
        ([ConfigText(b"<x>")], ConfigurationError, "not well-formed"),
        ([ConfigText(b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><configuration>&a;</configuration>')],
         ConfigurationError, "document type or entities"),
    ],
)  # fmt: skip
def test_what_is_out_of_place(messages: list[Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        answers_to(messages)


def test_mutated_sessions_end_in_images_or_in_an_error_of_ours() -> None:
    """A sample of what `make soak` does a hundred thousand times."""
    outcome = fuzz.fuzz(400, seed=7)
    assert outcome.defects == []
    assert outcome.counts.total() == 400 and outcome.counts["images"] > 20 and outcome.counts["ProtocolError"] > 50
    assert outcome.growth_mib < 100
