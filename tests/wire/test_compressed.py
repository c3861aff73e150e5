"""Lines in the compression of NHLBI's client: what Gadgetron's own code made of them, and bytes that lie."""

import struct

import ismrmrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snrstream.errors import ProtocolError
from snrstream.wire.decoder import Decoder, Limits
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, Text

from ..compressed_lines import compressed
from ..scans import random_complex
from .test_codec import decode, flipped, require_messages_or_one_line

# 2 channels, 3 samples: what Gadgetron 4.7.2's CompressedFloatBuffer (AVX2) makes of them, and of that again.
PLAIN = np.array([[1 - 2j, 0.5 + 0.25j, -3 + 0j], [0.125 - 1j, 2.75 + 1.5j, -0.75 + 2j]], np.complex64)
RECORDED = {
    "-P 11": (
        "1e0000000c000000000000000080aa430b55b1ea2aaa104000ac60d5aa0310c05505",
        [1.0, -2.0, 0.5014662742614746, 0.2492668628692627, -3.0, 0.0, 0.12609970569610596, -1.0, 2.7507331371307373,
         1.5014662742614746, -0.7507331371307373, 2.0],
    ),
    "-P 16": (
        "250000000c0000000000000055a92a4610aa2aabaa5515ab0a01800000550556d55475004000e05555",
        [0.999969482421875, -2.000030517578125, 0.4999847412109375, 0.25003814697265625, -3.0, 0.0, 0.12497329711914062,
         -0.999969482421875, 2.7499618530273438, 1.5000457763671875, -0.7500228881835938, 2.000030517578125],
    ),
    "-P 31": (
        "3c0000000c00000000000000aaaaaa4d1f40555515c0aaaa2aa8aaaa02aaaaaa0004000004000000a0aaaa0a805555d580aaaa3af0ffff0f"
        "0400001c50555505",
        PLAIN.view(np.float32).ravel().tolist(),
    ),
    "-T 0.01": (
        "1b0000000c000000000000000000aa420955acaea81010c082d5ea00015705",
        [1.0, -2.0, 0.5058823823928833, 0.24705882370471954, -3.0, 0.0, 0.12941177189350128, -1.0, 2.752941131591797,
         1.5058823823928833, -0.7529411911964417, 2.0],
    ),
}  # fmt: skip


def line(n_channels: int, n_samples: int, dimensions: int = 0) -> ismrmrd.Acquisition:
    made = ismrmrd.Acquisition.from_array(
        1e-5 * random_complex(n_channels, n_samples), trajectory=np.ones((n_samples, dimensions), np.float32)
    )
    made.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    made.scan_counter = 7
    return made


def flagged(flag: int, packed: bytes = b"", data: np.ndarray = PLAIN) -> bytes:
    acquisition = ismrmrd.Acquisition.from_array(data)
    acquisition.set_flag(flag)
    return struct.pack("<H", 1008) + bytes(acquisition.getHead()) + packed


@pytest.mark.parametrize("option", RECORDED)
def test_what_gadgetrons_own_code_packed_is_read_as_it_reads_it(option: str) -> None:
    packed, numbers = RECORDED[option]
    (got,) = decode(flagged(ismrmrd.ACQ_COMPRESSION2, bytes.fromhex(packed)), [])
    assert got.data.dtype == np.complex64 and got.data.view(np.float32).ravel().tolist() == numbers
    assert got.flags == 0 and got.data.flags.writeable


@pytest.mark.parametrize("bits", range(2, 32))
@pytest.mark.parametrize("shape", [(1, 1, 0), (3, 7, 2), (16, 33, 0)])
def test_every_count_of_bits_and_what_follows(bits: int, shape: tuple[int, int, int]) -> None:
    sent = line(*shape)
    packed = compressed(sent, bits)
    got, text, again, close = decode(packed + encode(Text("next")) + packed + encode(Close()), [])
    assert text == Text("next") and close == Close() and again == got
    largest = np.abs(sent.data.view(np.float32)).max()
    off = np.abs((got.data - sent.data).view(np.float32)).max() / largest
    assert off <= 0.51 / ((1 << (bits - 1)) - 1) + 2 * np.finfo(np.float32).eps
    assert got.getHead() == sent.getHead() and np.array_equal(got.traj, sent.traj)


def test_a_line_without_samples_ends_with_its_trajectory() -> None:
    for empty in (line(0, 0), line(0, 4, 2)):
        got, close = decode(compressed(empty) + encode(Close()), [])
        assert got.data.shape == empty.data.shape and np.array_equal(got.traj, empty.traj) and close == Close()


STREAM = b"".join([compressed(line(3, 7, 2), 11), encode(line(2, 5)), compressed(line(16, 400)), compressed(line(0, 0)),
                   compressed(line(2, 5), 31), encode(Close())])  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.integers(0, len(STREAM)), max_size=40).map(sorted))
def test_any_split_gives_the_same_lines(cuts: list[int]) -> None:
    assert [encode(message) for message in decode(STREAM, cuts)] == [encode(message) for message in decode(STREAM, [])]


@settings(max_examples=300)
@given(flipped(STREAM))
def test_flipped_bytes_end_in_messages_or_a_protocol_error(data: bytes) -> None:
    require_messages_or_one_line(data)


@pytest.mark.parametrize(
    ("packed", "match"),
    [
        (struct.pack("<IQfB", 13 + 24, 11, 1, 16), r"holds 11 numbers of 16 bits by 1; expected 12 of 1 to 31 bits"),
        (struct.pack("<IQfB", 13 + 24, 1 << 60, 1, 16), "holds 1152921504606846976 numbers"),
        (struct.pack("<IQfB", 13, 12, 1, 0), "numbers of 0 bits"),
        (struct.pack("<IQfB", 13 + 48, 12, 1, 32), "numbers of 32 bits"),
        (struct.pack("<IQfB", 13 + 24, 12, 0, 16), "by 0; expected"),
        (struct.pack("<IQfB", 13 + 24, 12, -1, 16), "by -1; expected"),
        (struct.pack("<IQfB", 13 + 24, 12, np.nan, 16), "by nan; expected"),
        (struct.pack("<IQfB", 13 + 25, 12, 1, 16), "has 38 packed bytes; expected 37"),
        (struct.pack("<IQfB", 0xFFFFFFFF, 12, 1, 16), "has 4294967295 packed bytes; expected 37"),
        (struct.pack("<IQfB", 0, 12, 1, 16), "has 0 packed bytes; expected 37"),
    ],
)
def test_lengths_that_lie_are_refused_before_memory_is_taken(packed: bytes, match: str) -> None:
    with pytest.raises(ProtocolError, match=match):
        list(Decoder().receive(flagged(ismrmrd.ACQ_COMPRESSION2, packed)))


def test_a_line_beyond_the_limits_is_refused_by_its_header() -> None:
    data = flagged(ismrmrd.ACQ_COMPRESSION2, data=np.zeros((128, 1024), np.complex64))
    with pytest.raises(ProtocolError, match="acquisition message announces 1048576 bytes; expected at most 1048575"):
        list(Decoder(Limits(data=(1 << 20) - 1)).receive(data))


@pytest.mark.parametrize("number", [1, 3, 4])
def test_another_compression_is_refused_by_the_flags_name(number: int) -> None:
    """Its header alone is enough: what follows has a length that nobody knows."""
    flag = getattr(ismrmrd, f"ACQ_COMPRESSION{number}")
    with pytest.raises(ProtocolError, match=rf"is compressed \(ACQ_COMPRESSION{number}, .*; expected plain samples or"):
        list(Decoder().receive(flagged(flag)))
    both = bytearray(flagged(flag))
    both[4:12] = struct.pack("<Q", (1 << (flag - 1)) | (1 << (ismrmrd.ACQ_COMPRESSION2 - 1)))
    with pytest.raises(ProtocolError, match=rf"is compressed \(ACQ_COMPRESSION{number}, "):
        list(Decoder().receive(both))


def test_the_packed_bytes_of_a_long_line_are_counted_in_float32() -> None:
    """As Gadgetron counts them: the bits of 4794790 numbers do not go into the 24 bits of a float32."""
    n_samples, n_channels, bits = 2395, 1001, 7
    count = 2 * n_samples * n_channels * bits
    exact, theirs = -(-count // 8), int(np.ceil(np.float32(count) / np.float32(8)))
    assert exact != theirs
    head = flagged(ismrmrd.ACQ_COMPRESSION2, data=np.zeros((n_channels, n_samples), np.complex64))
    packed = struct.pack("<IQfB", 13 + theirs, 2 * n_samples * n_channels, 1, bits) + theirs * b"\0"
    got, close = decode(head + packed + encode(Close()), [])
    assert not got.data.any() and close == Close()
