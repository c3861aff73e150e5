"""A scan that takes milliseconds, as the messages of a session: for what is done a hundred thousand times."""

from collections.abc import Iterator
from typing import Any

import ismrmrd
import numpy as np

from snrstream.wire.messages import Close, ConfigFile, ConfigText, Header, Query, Text

from . import gadgetron_objects
from .header import cartesian_header

N_CHANNELS, N_E1, N_SAMPLES = 4, 24, 32
HEADER = cartesian_header(
    (N_SAMPLES, N_E1, 1), (2.0 * N_SAMPLES, 2.0 * N_E1, 5.0), (N_SAMPLES, N_E1, 1), (2.0 * N_SAMPLES, 2.0 * N_E1, 5.0),
    (2, 1),
).encode()  # fmt: skip


def messages(pipeline: str = "grappa_snr", seed: int = 0) -> list[Any]:
    """A whole session, with one message of every kind that a client may send."""
    return [
        Query(1, "gadgetron::info"), ConfigFile(pipeline), Header(HEADER), Text("hello"), _waveform(),
        *acquisitions(seed), Close(),
    ]  # fmt: skip


def gadgetron_messages(seed: int = 0) -> dict[str, list[Any]]:
    """Sessions with a Gadgetron that dialled us as its external module, by what it sends."""
    lines = [a for a in acquisitions(seed) if not a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    pixels = _complex(np.random.default_rng(seed), (1, 1, 1, 1, 1, N_E1, N_SAMPLES))
    size = {"field_of_view": (2.0 * N_SAMPLES, 2.0 * N_E1, 5.0), "read_dir": (1, 0, 0), "phase_dir": (0, 1, 0)}
    arrays = [
        gadgetron_objects.image_array(pixels, [{"GADGETRON_DataRole": role}], **size, image_series_index=series)
        for role, series in (("Gfactor", 20), ("Image", 1))
    ]
    sent: dict[str, list[Any]] = {
        "accumulate": [gadgetron_objects.bucket(lines, [_waveform()])],
        "grappa": [gadgetron_objects.recon_data(lines, 1, N_E1)],
        "kspace_filter": arrays,
    }
    return {gadget: [_module(gadget), Header(HEADER), *items, Close()] for gadget, items in sent.items()}


def _module(gadget: str) -> ConfigText:
    return ConfigText(f'<configuration><gadget name="{gadget}"/></configuration>'.encode())


def _waveform() -> ismrmrd.Waveform:
    return ismrmrd.Waveform.from_array(np.arange(8, dtype=np.uint32).reshape(2, 4))


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
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)
