"""A scan that takes milliseconds, as the messages of a session: for what is done a hundred thousand times."""

from collections.abc import Iterator
from typing import Any

import ismrmrd
import numpy as np

from snrstream.mrd.messages import Close, ConfigFile, Header, Query, Text

from .header import cartesian_header

N_CHANNELS, N_E1, N_SAMPLES = 4, 24, 32
HEADER = cartesian_header(
    (N_SAMPLES, N_E1, 1), (2.0 * N_SAMPLES, 2.0 * N_E1, 5.0), (N_SAMPLES, N_E1, 1), (2.0 * N_SAMPLES, 2.0 * N_E1, 5.0),
    (2, 1),
).encode()  # fmt: skip


def messages(pipeline: str = "grappa_snr", seed: int = 0) -> list[Any]:
    """A whole session, with one message of every kind that a client may send."""
    waveform = ismrmrd.Waveform.from_array(np.arange(8, dtype=np.uint32).reshape(2, 4))
    return [
        Query(1, "gadgetron::info"), ConfigFile(pipeline), Header(HEADER), Text("hello"), waveform,
        *acquisitions(seed), Close(),
    ]  # fmt: skip


def acquisitions(seed: int = 0, repetition: int = 0) -> Iterator[ismrmrd.Acquisition]:
    """Noise, then every other line, with 12 calibration lines in the middle."""
    rng = np.random.default_rng(seed)
    noise = _complex(rng, (N_CHANNELS, 512))
    acquisition = ismrmrd.Acquisition.from_array(noise, sample_time_us=5.0)
    acquisition.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    yield acquisition
    e1, ro = (np.arange(n) - n // 2 for n in (N_E1, N_SAMPLES))
    blob = 300 * np.exp(-(e1[:, None] ** 2 + ro**2) / 20)
    channels = np.exp(1j * np.arange(N_CHANNELS))[:, None, None]
    kspace = (blob * channels + _complex(rng, (N_CHANNELS, N_E1, N_SAMPLES))).astype(np.complex64)
    for line in range(N_E1):
        calibration = 6 <= line < 18
        if line % 2 and not calibration:
            continue
        acquisition = ismrmrd.Acquisition.from_array(
            np.ascontiguousarray(kspace[:, line]), sample_time_us=5.0, center_sample=N_SAMPLES // 2,
            read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1), scan_counter=line,
        )  # fmt: skip
        acquisition.idx.kspace_encode_step_1, acquisition.idx.repetition = line, repetition
        if calibration:
            both, only = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION
            acquisition.set_flag(only if line % 2 else both)
        if line == N_E1 - 2:
            acquisition.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
        yield acquisition


def _complex(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    parts = rng.standard_normal((2, *shape)).astype(np.float32)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)
