"""A noise covariance in Gadgetron's layout, against bytes written down by that layout."""

import json
import struct

import numpy as np
import pytest

from snrstream.errors import ProtocolError
from snrstream.noise.blob import decode_noise, encode_noise

from ..noise_measurements import noise_measurement

FLOAT32 = 1e-6  # of the largest variance: what rounding to complex float leaves


def of_gadgetron(samples: np.ndarray, labels: list[str], names: dict[str, str]) -> bytes:
    """What NoiseAdjustGadget stores for samples D (sample, channel): D^H D / (N - 1), column by column."""
    n_samples, n_channels = samples.shape
    array = b""
    for column in range(n_channels):
        for row in range(n_channels):
            value = complex(np.vdot(samples[:, row], samples[:, column])) / (n_samples - 1)
            array += struct.pack("<ff", value.real, value.imag)
    meta = {
        "channels": n_channels, "labels": labels, names["samples"]: n_samples, names["dwell"]: 5.0,
        names["bandwidth"]: 0.7930000424385071,
    }  # fmt: skip
    text = json.dumps(meta, separators=(",", ":"), sort_keys=True).encode()
    head = b"SFNDAM" + struct.pack("<I", 1) + struct.pack("<I", 7) + struct.pack("<I", 2)
    return head + struct.pack("<QQ", n_channels, n_channels) + struct.pack("<Q", len(text)) + array + text


CAMEL = {"samples": "sampleCount", "dwell": "noiseDwellTimeUs", "bandwidth": "receiverNoiseBandwidth"}
SNAKE = {"samples": "sample_count", "dwell": "noise_dwell_time_us", "bandwidth": "receiver_noise_bandwidth"}


@pytest.fixture
def samples() -> np.ndarray:
    """(sample, channel), correlated with phases, so that a transposed matrix would be another."""
    rng = np.random.default_rng(0)
    mixing = np.eye(3) + 0.5j * rng.standard_normal((3, 3))
    return (rng.standard_normal((200, 3)) + 1j * rng.standard_normal((200, 3))) @ mixing


@pytest.mark.parametrize("names", [CAMEL, SNAKE])
def test_what_gadgetron_stores_is_read(samples, names) -> None:
    noise = decode_noise(of_gadgetron(samples, ["A", "B", "C"], names))
    channels = samples.T
    expected = channels @ channels.conj().T / channels.shape[1]
    assert np.abs(noise.covariance - expected).max() <= FLOAT32 * expected.real.max()
    assert (noise.n_samples, noise.dwell_us, noise.labels) == (200, 5.0, ("A", "B", "C"))
    assert abs(noise.bandwidth_ratio - 0.793) <= 1e-6


def test_what_gadgetron_stores_is_written(samples) -> None:
    """Byte for byte the same head and matrix; the fields under both generations of names."""
    theirs = of_gadgetron(samples, ["A", "B", "C"], CAMEL)
    ours = encode_noise(decode_noise(theirs))
    n_text = struct.unpack_from("<Q", ours, 34)[0]
    end = 42 + 8 * 9
    assert ours[:34] == theirs[:34] and len(ours) == end + n_text
    assert np.allclose(np.frombuffer(ours[42:end], "<f4"), np.frombuffer(theirs[42:end], "<f4"), rtol=1e-6, atol=0)
    meta, wanted = json.loads(ours[end:]), json.loads(theirs[end:])
    assert meta == wanted | {SNAKE[name]: wanted[CAMEL[name]] for name in CAMEL}


def test_gadgetron_gets_a_label_for_each_channel() -> None:
    data = encode_noise(noise_measurement(3))
    assert json.loads(data[42 + 8 * 9 :])["labels"] == ["", "", ""]
    assert np.array_equal(decode_noise(data).matched((), 3).covariance, decode_noise(data).covariance)


def test_bytes_that_are_no_noise_covariance(samples) -> None:
    whole = of_gadgetron(samples, ["A", "B", "C"], CAMEL)
    n_refused = 0
    for number in range(len(whole)):
        flipped = bytearray(whole)
        flipped[number] ^= 0x80
        for data in (whole[:number], bytes(flipped)):
            try:
                decode_noise(data)
            except ProtocolError:
                n_refused += 1
    assert n_refused > len(whole)
    head = struct.pack("<6sIII", b"SFNDAM", 1, 7, 2)
    for data in (
        b"", b"<html>", whole + b"x", head + struct.pack("<QQQ", 2**63, 2**63, 0),
        head + struct.pack("<QQQ", 1, 1, 2) + bytes(8) + b"{}",
        head + struct.pack("<QQQ", 1, 1, 4) + bytes(8) + b"null",
        whole.replace(b":200", b":  0"), whole.replace(b":200", b":NaN"),
        whole.replace(b'["A","B","C"]', b'           1 '),
    ):  # fmt: skip
        with pytest.raises(ProtocolError, match="no noise covariance as Gadgetron writes it"):
            decode_noise(data)
