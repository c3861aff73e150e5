import struct

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snrstream.errors import ProtocolError
from snrstream.wire.acquisitions import acquisition_of
from snrstream.wire.decoder import Decoder, Limits
from snrstream.wire.encoder import encode
from snrstream.wire.messages import (
    Close,
    ConfigFile,
    ConfigText,
    Dependency,
    Dicom,
    Fault,
    Header,
    Query,
    Response,
    Text,
)


def example_messages() -> list:
    rng = np.random.default_rng(0)
    data = (rng.standard_normal((3, 8)) + 1j * rng.standard_normal((3, 8))).astype(np.complex64)
    acquisition = ismrmrd.Acquisition.from_array(
        data, trajectory=rng.standard_normal((8, 2)).astype(np.float32), scan_counter=7
    )
    large = ismrmrd.Acquisition.from_array(np.full((16, 400), 1 + 2j, np.complex64), trajectory=np.ones((400, 3)))
    empty = ismrmrd.Acquisition.from_array(np.zeros((0, 0), np.complex64))
    pixels = rng.integers(0, 65535, (1, 1, 4, 6)).astype(np.uint16)
    image = ismrmrd.Image.from_array(pixels, transpose=False, image_series_index=2)
    image.meta = ismrmrd.Meta({"GADGETRON_ScaleRatio": "10", "list": ["a", "b"]})
    complex_image = ismrmrd.Image.from_array(data[:, None, :].reshape(1, 1, 3, 8), transpose=False)
    waveform = ismrmrd.Waveform.from_array(rng.integers(0, 99, (2, 5)).astype(np.uint32))
    return [
        ConfigFile("grappa_snr"), ConfigText(b"<configuration/>"), Header(b"<ismrmrdHeader/>"), acquisition, image,
        complex_image, large, waveform, Text("hello"), Query(7, "gadgetron::info"), Response(7, "snrstream"),
        large, Fault("no"), empty, Dicom(b"DICM", "image.dcm", b"<ismrmrdMeta/>"), Dicom(b"", "", b""),
        Dependency(b"<ismrmrdMeta/>"), Close(),
    ]  # fmt: skip


def image_with(attributes: bytes) -> bytes:
    head = ismrmrd.ImageHeader(version=1, data_type=ismrmrd.DATATYPE_FLOAT, channels=1)
    head.matrix_size = (1, 1, 1)
    return struct.pack("<H", 1022) + bytes(head) + struct.pack("<Q", len(attributes)) + attributes + bytes(4)


STREAM = b"".join(encode(message) for message in example_messages())


def decode(data: bytes, cuts: list[int]) -> list:
    decoder, events = Decoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        events += decoder.receive(data[start:end])
    decoder.finish()
    return events


def flipped(stream: bytes) -> st.SearchStrategy[bytes]:
    """The stream with up to five bytes replaced."""

    def replaced(flips: list[tuple[int, int]]) -> bytes:
        data = bytearray(stream)
        for position, value in flips:
            data[position] = value
        return bytes(data)

    flip = st.tuples(st.integers(0, len(stream) - 1), st.integers(0, 255))
    return st.lists(flip, min_size=1, max_size=5).map(replaced)


def require_messages_or_one_line(data: bytes) -> None:
    """Hostile bytes are messages all the same, or a ProtocolError of one line; nothing else is raised."""
    error = ""
    try:
        decode(data, [])
    except ProtocolError as exc:
        error = str(exc)
    assert "\n" not in error


def test_round_trip() -> None:
    decoded = decode(STREAM, [])
    for sent, got in zip(example_messages(), decoded, strict=True):
        assert type(got) is type(sent)
        assert encode(got) == encode(sent)
    assert decoded[4].meta == {"GADGETRON_ScaleRatio": "10", "list": ["a", "b"]}
    assert decoded[3].data.flags.writeable


@settings(max_examples=60)
@given(st.lists(st.integers(0, len(STREAM)), max_size=40).map(sorted))
def test_any_split_gives_the_same_messages(cuts: list[int]) -> None:
    assert [encode(message) for message in decode(STREAM, cuts)] == [encode(m) for m in example_messages()]


def test_a_few_bytes_at_a_time() -> None:
    for step in (1, 7, 341, 1000):
        decoded = decode(STREAM, list(range(step, len(STREAM), step)))
        assert [encode(message) for message in decoded] == [encode(m) for m in example_messages()]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=40))
def test_bytes_received_in_place_give_the_same_messages(counts: list[int]) -> None:
    """As from a socket that fills the decoder's own buffers with as many bytes as it pleases."""
    decoder, events, at, turn = Decoder(), [], 0, 0
    while at < len(STREAM):
        left = counts[turn % len(counts)]
        n_bytes = 0
        for buffer in decoder.buffers():
            part = STREAM[at : at + min(left - n_bytes, len(buffer))]
            buffer[: len(part)] = part
            n_bytes, at = n_bytes + len(part), at + len(part)
        assert n_bytes > 0
        events += decoder.received(n_bytes)
        turn += 1
    decoder.finish()
    assert [encode(message) for message in events] == [encode(m) for m in example_messages()]


def test_arrays_do_not_change_with_what_comes_later() -> None:
    decoder = Decoder()
    large = encode(example_messages()[6])
    first, second = decoder.receive(large), decoder.receive(large[:342] + bytes(len(large) - 342))
    (first,), (second,) = list(first), list(second)
    assert np.all(first.data == 1 + 2j) and not second.data.any()
    assert first.data.flags.writeable and first.data.flags.aligned and second.data.flags.aligned


@settings(max_examples=300)
@given(flipped(STREAM))
def test_flipped_bytes_end_in_messages_or_a_protocol_error(data: bytes) -> None:
    require_messages_or_one_line(data)


def test_strings_that_end_with_nul_as_some_peers_send_them() -> None:
    text = b"<ismrmrdHeader/>\0"
    (message,) = Decoder().receive(struct.pack("<HI", 3, len(text)) + text)
    assert message == Header(b"<ismrmrdHeader/>")


def test_end_inside_a_message() -> None:
    decoder = Decoder()
    data = encode(example_messages()[3])
    assert list(decoder.receive(data[:-1])) == []
    with pytest.raises(ProtocolError, match=f"this acquisition message: {len(data) - 1} of at least {len(data)}"):
        decoder.finish()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (struct.pack("<H", 999), "unknown message id 999"),
        (struct.pack("<HI", 3, 0xFFFFFFFF), "header message announces 4294967295 bytes"),
        (struct.pack("<HQ", 1019, 1 << 60), "dependency message announces"),
        (struct.pack("<HQQQ", 6, 0, 1, 1 << 60), "query message announces"),
        (struct.pack("<HQQ", 7, 1, 1 << 60), "response message announces"),
        (struct.pack("<HQ", 8, 1 << 60), "error message announces"),
        (struct.pack("<HIQ", 1018, 0, 1 << 60), "dicom message announces"),
        (struct.pack("<H", 1008) + b"\xff\xff" + bytes(8) + b"\xff" * 330, "acquisition message announces"),
        (struct.pack("<HHQ", 1008, 1, 1 << 52) + bytes(330), "acquisition message is compressed"),
        (image_with(b"<a>"), "image attributes is not well-formed XML"),
        (image_with(b"<a/>"), "image attributes have root element 'a'; expected 'ismrmrdMeta'"),
        (image_with(b"<!DOCTYPE x []><ismrmrdMeta/>"), "image attributes declares a document type"),
        (struct.pack("<H", 1) + b"\xff" * 1024, "config_file message cannot be read"),
    ],
)
def test_hostile_messages_are_refused_before_memory_is_taken(data: bytes, match: str) -> None:
    with pytest.raises(ProtocolError, match=match):
        list(Decoder(Limits()).receive(data))


def test_an_acquisition_made_of_its_parts_is_what_ismrmrd_makes_of_them() -> None:
    theirs = example_messages()[3]
    ours = acquisition_of(theirs.getHead(), theirs.data.copy(), theirs.traj.copy())
    assert type(ours) is type(theirs) and vars(ours).keys() == vars(theirs).keys()
    assert ours == theirs and ours.to_bytes() == theirs.to_bytes()


def test_int32_pixels_as_cpp_writes_them() -> None:
    """ismrmrd takes them for 64 bits wide."""
    head = ismrmrd.ImageHeader(version=1, data_type=ismrmrd.DATATYPE_INT, channels=1)
    head.matrix_size = (3, 2, 1)
    pixels = np.arange(-3, 3, dtype=np.int32)
    data = struct.pack("<H", 1022) + bytes(head) + struct.pack("<Q", 0) + pixels.tobytes()
    (image,) = decode(data, [100, 210])
    assert image.data.ravel().tolist() == pixels.tolist()
    assert encode(image)[-24:] == pixels.tobytes() and len(encode(image)) == len(data) + len(image.attribute_string)


def test_what_cannot_travel() -> None:
    with pytest.raises(ProtocolError, match="a dict cannot be sent"):
        encode({})
    with pytest.raises(ProtocolError, match="has 1024 bytes; expected under 1024"):
        encode(ConfigFile("x" * 1024))


def test_the_recorded_sessions_of_gadgetron(test_data) -> None:
    captures = test_data / "captures"
    names = ["client_noise_query.from_server", "client_noise_query.to_server", "client_scan.from_server",
             "client_scan.to_server", "gadgetron_to_module_acquisitions", "gadgetron_to_module_images"]  # fmt: skip
    for name in names:
        data = (captures / f"{name}.bin").read_bytes()
        messages = decode(data, list(range(5000, len(data), 5000)))
        assert isinstance(messages[-1], Close), name
