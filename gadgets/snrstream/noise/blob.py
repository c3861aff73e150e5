"""A noise covariance as Gadgetron keeps it in its storage server.

The layout is SFNDAM version 1, a simple format for an array with metadata (`core/io/sfndam.h` of Gadgetron), with
the fields of its NoiseAdjustGadget: little-endian,

    6 bytes 'SFNDAM', u32 version (1), u32 data type (7: complex float), u32 number of dimensions (2),
    u64 for each dimension, u64 length of the metadata, the array, the metadata (JSON)

Gadgetron writes `D^H D / (N - 1)` of its samples `D (sample, channel)` column by column: read row by row, that is
N / (N - 1) times our E[n n^H].
"""

import json
import struct
from typing import Any

import numpy as np

from ..errors import ProtocolError, ScanError
from .measurement import MOST_CHANNELS, NoiseMeasurement

_HEAD = struct.Struct("<6sIII2QQ")
_VERSION, _COMPLEX_FLOAT = 1, 7
# The names that Gadgetron's first release with this layout gave the fields, after those of the later ones.
_SAMPLES, _DWELL, _BANDWIDTH = (
    ("sampleCount", "sample_count"),
    ("noiseDwellTimeUs", "noise_dwell_time_us"),
    ("receiverNoiseBandwidth", "receiver_noise_bandwidth"),
)


def encode_noise(noise: NoiseMeasurement) -> bytes:
    """Write a noise measurement as a blob.

    Both generations of names are in it, so that every Gadgetron with this layout reads it. Gadgetron refuses a
    covariance without a label for each channel, so that channels without get an empty one.

    Parameters
    ----------
    noise : NoiseMeasurement
        The measurement.

    Returns
    -------
    bytes
        SFNDAM version 1.
    """
    n_channels = len(noise.covariance)
    meta: dict[str, Any] = {"channels": n_channels, "labels": list(noise.labels) or [""] * n_channels}
    for names, value in (
        (_SAMPLES, noise.n_samples),
        (_DWELL, noise.dwell_us),
        (_BANDWIDTH, noise.bandwidth_ratio),
    ):
        meta |= dict.fromkeys(names, value)
    text = json.dumps(meta, sort_keys=True, separators=(",", ":")).encode()
    head = _HEAD.pack(b"SFNDAM", _VERSION, _COMPLEX_FLOAT, 2, n_channels, n_channels, len(text))
    unbiased = noise.covariance * (noise.n_samples / (noise.n_samples - 1))
    return head + unbiased.astype("<c8").tobytes() + text


def decode_noise(data: bytes) -> NoiseMeasurement:
    """Read the noise measurement of a blob.

    Parameters
    ----------
    data : bytes
        SFNDAM version 1, from a stranger.

    Returns
    -------
    NoiseMeasurement
        With our E[n n^H], and no labels where their number is not that of the channels.

    Raises
    ------
    ProtocolError
        Where it is none.
    """
    try:
        magic, version, kind, n_dimensions, n_rows, n_columns, n_text = _HEAD.unpack_from(data)
        found = (magic, version, kind, n_dimensions, n_rows == n_columns)
        if found != (b"SFNDAM", _VERSION, _COMPLEX_FLOAT, 2, True) or n_rows > MOST_CHANNELS:
            raise ValueError("expected SFNDAM version 1 with a square complex float matrix")
        n_array = 8 * n_rows * n_columns
        if len(data) != _HEAD.size + n_array + n_text:
            raise ValueError(f"it has {len(data)} bytes; expected {_HEAD.size + n_array + n_text}")
        matrix = np.frombuffer(data, "<c8", n_rows * n_columns, _HEAD.size).reshape(n_rows, n_columns)
        meta = json.loads(data[_HEAD.size + n_array :])
        n_samples = int(_number(meta, _SAMPLES))
        labels = meta["labels"]
        if not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
            raise ValueError("labels are no list of texts")
        return NoiseMeasurement(
            covariance=matrix.astype(np.complex128) * ((n_samples - 1) / n_samples),
            n_samples=n_samples,
            dwell_us=_number(meta, _DWELL),
            bandwidth_ratio=_number(meta, _BANDWIDTH),
            labels=tuple(labels) if len(labels) == n_rows else (),
        )
    except (struct.error, ValueError, KeyError, TypeError, ArithmeticError, RecursionError, ScanError) as exc:
        raise ProtocolError(f"no noise covariance as Gadgetron writes it: {exc}") from None


def _number(meta: dict[str, Any], names: tuple[str, ...]) -> float:
    value: Any = next((meta[name] for name in names if name in meta), None)
    return float(value)  # of None it raises TypeError, as of anything else that is no number
