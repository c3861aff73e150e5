"""A scan of many repetitions through the socket of a real server process."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import ismrmrd
import numpy as np
import torch
from torch import Tensor

from snrstream.hosts.link import Link
from snrstream.hosts.server_process import server_process
from snrstream.recon.fft import to_image, to_kspace
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigFile, ConfigText, Header

from . import scans
from .header import cartesian_header
from .timing import Row, seconds

N_E1, N_SAMPLES, N_PIXELS, ACCELERATION, N_ACS = 256, 512, 256, 4, 24
SNR = ConfigFile("grappa_snr")


def header(acceleration: int) -> str:
    """Of a scan with every `acceleration`-th line."""
    space = (N_SAMPLES, N_E1, 1), (2 * N_PIXELS, N_E1, 5), (N_PIXELS, N_E1, 1), (N_PIXELS, N_E1, 5)
    return cartesian_header(*space, (acceleration, 1))


HEADER = header(ACCELERATION)


def rows(n_repetitions: int) -> list[Row]:
    """Time of a repetition through the socket over the bare FFT of its 256 x 256 coil images."""
    table: list[Row] = []
    with server_process() as (port, _):
        for n_channels in (16, 32):
            coils = torch.randn(n_channels, N_E1, N_PIXELS, dtype=torch.complex64)
            lines = scan_lines(n_channels)
            with_acs = b"".join(encoded(lines, first=True))
            stream(port, with_acs, 1)  # the server imports, compiles and plans
            later = encoded(lines, first=False)
            bare = seconds(partial(torch.fft.ifft2, coils), 20)
            elapsed, first = stream(port, with_acs, n_repetitions, later)
            bare = min(bare, seconds(partial(torch.fft.ifft2, coils), 20))
            name = f"{n_channels} channels, R = 4, {n_repetitions} repetitions through the socket"
            table.append(Row(f"{name}: a repetition", elapsed / n_repetitions / bare, 9))
            table.append(Row(f"{name}: until image 1", first / bare))
    return table


def scan_lines(n_channels: int) -> Tensor:
    """Twofold oversampled k-space `(channel, e1, 512)`."""
    kspace = scans.kspace(n_channels, (1, N_E1, N_PIXELS))[:, 0]
    image = torch.nn.functional.pad(to_image(kspace, dims=(2,)), (N_PIXELS // 2, N_PIXELS // 2))
    return to_kspace(image, dims=(2,))


def repetition(lines: Tensor, first: bool, acceleration: int = ACCELERATION) -> Iterator[ismrmrd.Acquisition]:
    """Every fourth line, or another; with noise and calibration lines ahead in the first one."""
    if first:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal((2, len(lines), 4096)).astype(np.float32)
        acquisition = ismrmrd.Acquisition.from_array(noise[0] + 1j * noise[1], sample_time_us=5.0)
        acquisition.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        yield acquisition
    acs = range(N_E1 // 2 - N_ACS // 2, N_E1 // 2 + N_ACS // 2) if first else range(0)
    last = (N_E1 - 1) // acceleration * acceleration
    for line in range(N_E1):
        imaging = line % acceleration == 0
        if not (imaging or line in acs):
            continue
        acquisition = ismrmrd.Acquisition.from_array(
            lines[:, line].numpy(), sample_time_us=5.0, center_sample=N_SAMPLES // 2,
            read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
        )  # fmt: skip
        acquisition.idx.kspace_encode_step_1 = line
        if line in acs:
            flag = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING if imaging else ismrmrd.ACQ_IS_PARALLEL_CALIBRATION
            acquisition.set_flag(flag)
        if line == last:
            acquisition.set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
        yield acquisition


def encoded(lines: Tensor, first: bool, acceleration: int = ACCELERATION) -> list[bytes]:
    """The messages of a repetition."""
    return [encode(acquisition) for acquisition in repetition(lines, first, acceleration)]


def stream(
    port: int,
    first: bytes,
    n_repetitions: int,
    later: Sequence[bytes] = (),
    watch: Callable[[int, ismrmrd.Image], None] | None = None,
    configuration: ConfigFile | ConfigText = SNR,
    n_images: int = 3,
) -> tuple[float, float]:
    """Seconds from the first byte of data to the last image, and to the first.

    watch: gets each image, and how many have come. n_images: that the configuration makes of a repetition.
    """
    expected = n_images * n_repetitions
    with socket.create_connection(("127.0.0.1", port)) as sock:
        link = Link(sock, "server")
        link.send(configuration)
        link.send(Header(HEADER.encode()))

        together = bytearray(b"".join(later))

        def send() -> None:
            sock.sendall(first)
            for repetition in range(1, n_repetitions):
                number(together, len(later[0]), repetition)
                sock.sendall(together)
            sock.sendall(encode(Close()))

        start = time.perf_counter()
        sender = threading.Thread(target=send)
        sender.start()
        times = []
        for message in link:
            if isinstance(message, ismrmrd.Image):
                times.append(time.perf_counter() - start)
                if watch is not None:
                    watch(len(times), message)
        sender.join()
    if len(times) != expected:
        raise RuntimeError(f"{len(times)} images came back; expected {expected}")
    return times[-1], times[0]


def number(messages: bytearray, size: int, repetition: int) -> None:
    """Encoded acquisitions of `size` bytes each get another repetition in their headers, in place."""
    idx: Any = ismrmrd.AcquisitionHeader.idx  # of a class of ctypes: where the field lies
    repetitions: Any = ismrmrd.EncodingCounters.repetition
    for start in range(2 + idx.offset + repetitions.offset, len(messages), size):  # after the message's identifier
        struct.pack_into("<H", messages, start, repetition)
