"""Recon data, image arrays and acquisition buckets: bytes to objects of the `gadgetron` package, and back."""

import io
import struct

import ismrmrd
import numpy as np
import pytest
from gadgetron.types.image_array import write_image_array
from gadgetron.types.recon_data import write_recon_data
from hypothesis import given, settings
from hypothesis import strategies as st

from snrstream.errors import ProtocolError
from snrstream.wire import gadgetron_sizes
from snrstream.wire.decoder import Decoder, Limits
from snrstream.wire.encoder import encode
from snrstream.wire.gadgetron_sizes import bucket_size, image_array_size, recon_data_size
from snrstream.wire.messages import Close
from snrtrain.benchmarks import gadgetron_objects

from .. import scans
from .test_codec import decode, require_messages_or_one_line


def example_messages() -> list:
    rng = np.random.default_rng(0)
    kspace = (rng.standard_normal((2, 1, 6, 4)) + 1j * rng.standard_normal((2, 1, 6, 4))).astype(np.complex64)
    lines = list(scans.acquisitions(kspace, [(0, y) for y in range(0, 6, 2)], [gadgetron_objects.BOTH]))
    trajectory = np.ones((4, 2), np.float32)
    lines.append(ismrmrd.Acquisition.from_array(kspace[:, 0, 1], trajectory=trajectory, scan_counter=7))
    waveforms = [ismrmrd.Waveform.from_array(rng.integers(0, 99, (2, n)).astype(np.uint32)) for n in (5, 3)]
    recon_data = gadgetron_objects.recon_data(lines, 1, 6)
    recon_data.bits[0].data.trajectory = rng.random((2, 4, 6)).astype(np.float32)
    recon_data.bits[0].data.density = rng.random((4, 6)).astype(np.float32)
    recon_data.bits.append(type(recon_data.bits[0])(gadgetron_objects.empty_buffer()))
    pixels = rng.standard_normal((1, 2, 3, 1, 1, 4, 5))
    array = gadgetron_objects.image_array(pixels, [{"number": str(n), "list": ["a", "b"]} for n in range(6)])
    array.waveform, array.acq_headers = waveforms, recon_data.bits[0].data.headers
    return [recon_data, array, gadgetron_objects.bucket(lines, waveforms), Close()]


MESSAGES = [encode(message) for message in example_messages()]
STREAM = b"".join(MESSAGES)


def test_round_trip() -> None:
    recon_data, array, bucket, _ = decode(STREAM, [])
    assert [encode(message) for message in (recon_data, array, bucket)] == MESSAGES[:-1]
    sent_data, sent_array, sent_bucket, _ = example_messages()
    assert np.array_equal(recon_data[0].data.data, sent_data[0].data.data) and recon_data[1].ref is None
    assert np.array_equal(recon_data[0].data.trajectory, sent_data[0].data.trajectory)
    assert recon_data[0].ref.headers[2, 0, 0, 0, 0].flags == sent_data[0].ref.headers[2, 0, 0, 0, 0].flags
    assert recon_data[1].data.data.size == recon_data[1].data.headers.size == 0
    assert np.array_equal(array.data, sent_array.data) and array.meta == sent_array.meta
    assert array.headers[2, 1, 0].repetition == 2 and array.headers[2, 1, 0].set == 1
    assert array.waveform == sent_array.waveform and array.acq_headers.shape == (6, 1, 1, 1, 1)
    assert bucket.waveforms == sent_bucket.waveforms
    assert bucket.datastats[0].kspace_encode_step_1 == {0, 2, 4}
    for got, sent in zip(bucket.data + bucket.ref, sent_bucket.data + sent_bucket.ref, strict=True):
        assert np.array_equal(got.data, sent.data) and np.array_equal(got.traj, sent.traj)
    for data in (recon_data[0].data.data, array.data, bucket.data[0].data, bucket.waveforms[0].data):
        assert data.flags.writeable


def test_the_bytes_are_those_of_the_packages_own_writers() -> None:
    recon_data, array, *_ = example_messages()
    del recon_data.bits[1]  # of an array that was never filled, numpy knows one dimension
    array.waveform = None  # the package puts message ids before them, which its own reader does not expect
    for item, write in ((recon_data, write_recon_data), (array, write_image_array)):
        theirs = io.BytesIO()
        write(theirs, item)
        assert encode(item) == theirs.getvalue()


def test_other_dtypes_are_sent_as_gadgetrons() -> None:
    """numpy 2 refuses what the package's own writer does with them."""
    _, array, *_ = example_messages()
    sent = encode(array)
    array.data = array.data.astype(np.complex128)
    assert encode(array) == sent


@settings(max_examples=60)
@given(st.lists(st.integers(0, len(STREAM)), max_size=40).map(sorted))
def test_any_split_gives_the_same_messages(cuts: list[int]) -> None:
    assert [encode(message) for message in decode(STREAM, cuts)] == MESSAGES


def test_byte_by_byte() -> None:
    assert [encode(message) for message in decode(STREAM, list(range(1, len(STREAM))))] == MESSAGES


@settings(max_examples=400)
@given(
    st.sampled_from(MESSAGES[:-1]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_flipped_bytes_end_in_messages_or_a_protocol_error(message: bytes, flips: list[tuple[float, int]]) -> None:
    data = bytearray(message)
    for position, value in flips:
        data[2 + int(position * (len(data) - 2))] = value
    require_messages_or_one_line(bytes(data))


def test_the_size_is_known_before_the_message_is_there() -> None:
    """Nothing is waited for beyond the message's end, whatever of it is there."""
    for message, size in zip(MESSAGES, (recon_data_size, image_array_size, bucket_size), strict=False):
        for n in range(2, len(message)):
            assert n < size(memoryview(message)[:n], Limits()) <= len(message)
        assert size(memoryview(message), Limits()) == len(message)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (struct.pack("<HQ", 1023, 1 << 60), "recon data message announces 1152921504606846976 encoding spaces"),
        (struct.pack("<HQQ", 1023, 1, 1 << 40) + bytes(99), "announces an array of 1099511627776 dimensions"),
        (struct.pack("<HQQQQ", 1023, 1, 2, 1 << 40, 1 << 40) + bytes(99), "announces .* bytes; expected at most"),
        (struct.pack("<HQQ", 1024, 1, 1 << 50), "image array message announces .* bytes; expected at most"),
        (struct.pack("<HQQQ", 1024, 0, 0, 1 << 40), "announces 1099511627776 sets of attributes"),
        (struct.pack("<HQQQQ", 1024, 0, 0, 1, 1 << 30), "announces attributes of 1073741824 bytes"),
        (struct.pack("<HQQQB", 1024, 0, 0, 0, 7), "announces an optional part by the byte 7"),
        (struct.pack("<HQQ", 1050, 1 << 40, 340) + bytes(88), "announces 1099511627776 headers .* in 340 bytes"),
        (struct.pack("<HQQQ", 1050, 0, 0, 1 << 60) + bytes(80), "acquisition bucket message announces .* bytes"),
        (struct.pack("<HQQQ", 1050, 0, 0, 8) + bytes(88), "headers tell 0"),
    ],
)
def test_hostile_messages_are_refused_before_memory_is_taken(data: bytes, match: str) -> None:
    with pytest.raises(ProtocolError, match=match):
        list(Decoder(Limits()).receive(data))


def test_many_small_parts_are_not_walked_over_once_for_each(monkeypatch) -> None:
    """60,000 sets of attributes come in 5,100 pieces; each is looked at some twenty times."""
    n_parts, seen = 60_000, 0
    message = struct.pack("<HQQQ", 1024, 0, 0, n_parts) + n_parts * (struct.pack("<Q", 9) + b"x" * 9) + b"\0\0"
    decoder, text = Decoder(), gadgetron_sizes._Walk.text

    def counted(walk, least_after):
        nonlocal seen
        seen += 1
        text(walk, least_after)

    monkeypatch.setattr(gadgetron_sizes._Walk, "text", counted)
    messages = [m for start in range(0, len(message), 200) for m in decoder.receive(message[start : start + 200])]
    assert len(messages) == 1 and len(messages[0].meta) == n_parts
    assert seen < 50 * n_parts


def test_every_byte_of_the_recorded_sessions(test_data) -> None:
    captures = test_data / "captures"
    for name in ("recon_data", "image_array"):
        data = (captures / f"gadgetron_to_module_{name}.bin").read_bytes()
        messages = decode(data, list(range(4999, len(data), 4999)))
        assert isinstance(messages[-1], Close)
        assert b"".join(encode(message) for message in messages) == data
