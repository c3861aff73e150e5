"""Streams in a pipe, without processes: any split of the bytes, bad bytes, what passes, MRD v2."""

import io
import os
import subprocess
import sys
import tempfile

import ismrmrd
import mrd
import numpy as np
import pytest

from snrstream.chain.pipelines import named_chain
from snrstream.errors import ConnectionFailed, ProtocolError, ScanError, SnrstreamError
from snrstream.hosts.mrd2_stream import Mrd2Reader
from snrstream.hosts.pipe_ends import Sink
from snrstream.hosts.pipes import reconstruct_pipe
from snrstream.hosts.stream_reader import open_reader
from snrstream.wire.encoder import encode
from snrstream.wire.messages import ConfigFile, ConfigText, Fault, Header, Query, Text
from tests import mrd2_streams
from tests.piped_scan import CLOSE, END_MARK, PipedScan, header_and_images


class Trickle(io.RawIOBase):
    """Bytes that come a few at a time."""

    def __init__(self, data: bytes, n_bytes: int) -> None:
        self._data, self._n_bytes = io.BytesIO(data), n_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:
        return self._data.readinto(target[: self._n_bytes])


@pytest.fixture(scope="module")
def scan(raw_scan) -> PipedScan:
    return PipedScan.of(raw_scan("brain_16ch_r3"))


@pytest.fixture(scope="module")
def version_1(scan) -> bytes:
    return scan.version_1(0)


@pytest.fixture(scope="module")
def version_2(scan) -> bytes:
    return scan.version_2(0)


@pytest.fixture(scope="module")
def header_only(version_2) -> bytes:
    return mrd2_streams.written(mrd2_streams.read(version_2)[0], [])[: -len(END_MARK)]


def run(source: io.BufferedReader, descriptor: int, pipeline: str = "grappa_snr") -> None:
    for _ in reconstruct_pipe(named_chain(pipeline), open_reader(source, "stdin"), Sink(descriptor)):
        pass


def piped(data: bytes, n_bytes: int = 1 << 16, pipeline: str = "grappa_snr") -> bytes:
    with tempfile.TemporaryFile() as file:
        run(io.BufferedReader(Trickle(data, n_bytes)), file.fileno(), pipeline)
        return (file.seek(0), file.read())[1]


def fails(data: bytes, match: str, error: type[SnrstreamError] = ProtocolError, n_bytes: int = 1 << 16) -> bytes:
    """What has come out before the error."""
    with tempfile.TemporaryFile() as file:
        with pytest.raises(error, match=match):
            run(io.BufferedReader(Trickle(data, n_bytes)), file.fileno())
        return (file.seek(0), file.read())[1]


@pytest.mark.parametrize("version", ["version_1", "version_2"])
@pytest.mark.parametrize("n_bytes", [7, 4099])
def test_any_split_of_the_input_gives_the_same_output(version: str, n_bytes: int, request) -> None:
    data = request.getfixturevalue(version)
    assert piped(data, n_bytes) == piped(data)


def test_waveforms_pass(version_1, version_2) -> None:
    samples = np.arange(6, dtype=np.uint32).reshape(2, 3)
    waveform = encode(ismrmrd.Waveform.from_array(samples, waveform_id=1))
    out = piped(version_1[: -len(CLOSE)] + waveform + CLOSE)
    assert out.count(waveform) == 1 and out.replace(waveform, b"") == piped(version_1)  # wherever among the images
    item = mrd.StreamItem.WaveformUint32(mrd.Waveform(waveform_id=1, data=samples))
    header, items = mrd2_streams.read(version_2)
    _, passed = mrd2_streams.read(piped(mrd2_streams.written(header, [*items, item])))
    assert len(passed) == 4 and item.value in [one.value for one in passed if isinstance(one, type(item))]


def test_a_noise_measurement_alone_gives_a_stream_without_images(scan) -> None:
    lines = [line for line in scan.repetitions[0] if line.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    noise, pipeline = PipedScan(scan.header_xml, (lines, [])), "default_measurement_dependencies"
    assert header_and_images(piped(noise.version_1(0), pipeline=pipeline)) == (scan.header_xml, [])
    assert mrd2_streams.read(piped(noise.version_2(0), pipeline=pipeline))[1] == []


def test_a_recorded_session_is_reconstructed_by_the_pipeline_of_the_command_line(version_1, caplog) -> None:
    caplog.set_level("INFO")
    asides = b"".join(encode(m) for m in (Query(1, "gadgetron::info"), ConfigFile("nope"), ConfigText(b"<a/>")))
    data = asides + version_1[: -len(CLOSE)] + encode(Text("hello")) + CLOSE + b"more"
    assert piped(data) == piped(version_1)
    assert "configuration in the stream is not used" in caplog.text and "stdin says: 'hello'" in caplog.text


def test_a_fault_in_the_input_is_one_of_ours(version_1) -> None:
    data = version_1[: -len(CLOSE)] + encode(Fault("out of memory")) + CLOSE
    out = fails(data, "stdin tells of a failure: out of memory", ScanError)
    assert out == piped(version_1)[: -len(CLOSE)]


def test_input_that_ends_between_two_messages(version_1, caplog) -> None:
    assert piped(version_1[: -len(CLOSE)]) == piped(version_1)
    assert "stdin ended without CLOSE: images are made of what has come" in caplog.text


def test_messages_that_are_no_scan(scan, version_1, raw_scan) -> None:
    header = encode(Header(scan.header_xml))
    assert fails(raw_scan("brain_16ch_r3").read_bytes(), "stdin: unknown message id") == b""
    assert fails(header[:100], "stdin ends before an ISMRMRD header came") == b""
    assert fails(encode(Header(b"<a/>")), "root element 'a'", ScanError) == b""
    assert fails(version_1[len(header) :], "goes on with Acquisition before an ISMRMRD header") == b""
    assert fails(encode(Text("hello")) + CLOSE, "stdin ends before an ISMRMRD header came") == b""
    assert fails(header, "scan holds no image acquisitions", ScanError) == header
    assert fails(header + header, "stdin: Header among the data") == header


def test_ends_that_fail(version_1, version_2) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with open("/dev/full", "wb") as full, open(theirs, "wb"):
        for descriptor, reason in ((theirs, "Broken pipe"), (full.fileno(), "No space left on device")):
            for data in (version_1, version_2):
                with pytest.raises(ConnectionFailed, match=f"stdout cannot be written: {reason}"):
                    run(io.BufferedReader(io.BytesIO(data)), descriptor)


def test_version_2_gives_the_images_of_version_1(version_1, version_2) -> None:
    """Pixels, meta attributes and heads; the header as it came."""
    header, items = mrd2_streams.read(piped(version_2))
    assert header == mrd2_streams.read(version_2)[0]
    for item, image in zip(items, header_and_images(piped(version_1))[1], strict=True):
        found, head = item.value, image.getHead()
        assert found.data.dtype == image.data.dtype and found.data.tobytes() == image.data.tobytes()
        assert {key: [one.value for one in values] for key, values in found.meta.items()} == {
            key: value if isinstance(value, list) else [value] for key, value in image.meta.items()
        }
        assert found.head.image_type.value == head.image_type
        assert (found.head.image_index, found.head.image_series_index) == (head.image_index, head.image_series_index)
        for name, source in (("field_of_view",) * 2, ("col_dir", "read_dir"), ("line_dir", "phase_dir")):
            assert tuple(getattr(found.head, name)) == tuple(getattr(head, source))


def test_the_phantom_of_mrd_tools() -> None:
    """A stream of another maker: no limits but E1's, no dwell time, counters left out."""
    command = [sys.executable, "-m", "mrd.tools.phantom", "-m", "64", "-c", "4"]
    data = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    _, (image, g_map, snr_map) = mrd2_streams.read(piped(data))
    assert isinstance(image, mrd.StreamItem.ImageComplexFloat) and image.value.data.shape == (1, 1, 64, 64)
    assert isinstance(g_map, mrd.StreamItem.ImageFloat) and isinstance(snr_map, mrd.StreamItem.ImageFloat)


def test_version_2_that_cannot_be_read(version_2) -> None:
    assert fails(b"yardage\n", "stdin: unknown message id") == b""
    assert fails(b"yardage\n", "neither a stream of ISMRMRD messages nor one of MRD v2", n_bytes=1) == b""
    assert fails(version_2[:3], "ends in the middle") == b""
    assert fails(version_2[:100], "ends in the middle") == b""
    assert fails(version_2.replace(b'"name":"Mrd"', b'"name":"Mr2"', 1), "another schema than the installed") == b""
    assert fails(mrd2_streams.written(None, []), "has no header") == b""


def test_version_2_that_ends_inside_an_item_gives_images_of_what_has_come(version_2, caplog) -> None:
    assert len(mrd2_streams.read(piped(version_2[:-1000]))[1]) == 3
    assert "stdin ended inside an item: that item is lost" in caplog.text


def test_version_2_with_other_items_than_acquisitions(version_2, header_only) -> None:
    head = mrd.ImageHeader(image_type=mrd.ImageType.REAL)
    image = mrd.Image(head=head, data=np.zeros((1, 1, 1, 1), np.float32), meta={})
    items = [mrd.StreamItem.ImageFloat(image)]
    data = mrd2_streams.written(mrd2_streams.read(version_2)[0], items)
    assert fails(data, "ImageFloat in an MRD v2 stream; expected acquisitions") == header_only


def test_version_2_that_ends_between_two_items(version_2, caplog) -> None:
    assert piped(version_2[: -len(END_MARK)]) == piped(version_2)
    assert "stdin ended without the mark of its end" in caplog.text


def test_lengths_of_version_2_are_bounded(header_only) -> None:
    """An acquisition, all zeros, with an array of 2^62 samples: nobody takes memory for it."""
    empty = mrd2_streams.written(None, [mrd.StreamItem.Acquisition(mrd.Acquisition())])
    acquisition = empty[len(mrd2_streams.written(None, [])) - len(END_MARK) : -len(END_MARK)]
    assert acquisition.endswith(b"\0\0\0\0")  # the shapes of data and trajectory
    huge = acquisition[:-4] + b"\1" + b"\x80" * 8 + b"\x40"
    assert fails(header_only + huge, r"announces \d+ bytes; expected at most|cannot be read") == header_only
    large = acquisition[:-4] + b"\1" + b"\x80" * 4 + b"\1"
    assert fails(header_only + large, "announces 2147483648 bytes; expected at most") == header_only


def test_hostile_bytes_end_in_an_error_of_ours_or_in_a_scan(version_2) -> None:
    """Bytes of the header and of the first acquisitions' heads, changed at random."""
    rng = np.random.default_rng(0)
    start = version_2.index(b"brain_16ch") - 200
    outcomes = set()
    for _ in range(150):
        data = bytearray(version_2)
        for place in rng.integers(start, start + 2000, size=3):
            data[place] = rng.integers(256)
        try:
            stream = Mrd2Reader(io.BufferedReader(Trickle(bytes(data), 1 << 16)), "stdin")
            outcomes.add(len(list(stream.items())) > 0)
        except SnrstreamError as exc:
            outcomes.add(type(exc))
    assert {True, ProtocolError} <= outcomes
