"""A scan of many repetitions through the socket of a real server process."""

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial

import ismrmrd
import numpy as np
import torch
from torch import Tensor

from snrstream.link import Link
from snrstream.mrd.encoder import encode
from snrstream.mrd.messages import Close, ConfigFile, Header
from snrstream.recon.fft import to_image, to_kspace
from tools.demo import server

from . import scans
from .timing import Row, seconds

N_E1, N_SAMPLES, N_PIXELS, ACCELERATION, N_ACS = 256, 512, 256, 4, 24

HEADER = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <acquisitionSystemInformation><relativeReceiverNoiseBandwidth>1</relativeReceiverNoiseBandwidth>
 </acquisitionSystemInformation>
 <experimentalConditions><H1resonanceFrequency_Hz>123000000</H1resonanceFrequency_Hz></experimentalConditions>
 <encoding>
  <encodedSpace><matrixSize><x>512</x><y>256</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>512</x><y>256</y><z>5</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>256</x><y>256</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>256</x><y>256</y><z>5</z></fieldOfView_mm></reconSpace>
  <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>255</maximum><center>128</center>
  </kspace_encoding_step_1></encodingLimits>
  <trajectory>cartesian</trajectory>
  <parallelImaging><accelerationFactor><kspace_encoding_step_1>4</kspace_encoding_step_1>
   <kspace_encoding_step_2>1</kspace_encoding_step_2></accelerationFactor></parallelImaging>
 </encoding>
</ismrmrdHeader>"""


def rows(n_repetitions: int) -> list[Row]:
    """Time of a repetition through the socket over the bare FFT of its 256 x 256 coil images."""
    table: list[Row] = []
    with server() as port:
        for n_channels in (16, 32):
            coils = torch.randn(n_channels, N_E1, N_PIXELS, dtype=torch.complex64)
            bytes_ = b"".join(encode(a) for a in repetition(scan_lines(n_channels), first=True))
            stream(port, n_channels, bytes_, 1)  # the server imports, compiles and plans
            later = [encode(a) for a in repetition(scan_lines(n_channels), first=False)]
            bare = seconds(partial(torch.fft.ifft2, coils), 20)
            elapsed, first = stream(port, n_channels, bytes_, n_repetitions, later)
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


def repetition(lines: Tensor, first: bool) -> Iterator[ismrmrd.Acquisition]:
    """Every fourth line; with noise and calibration lines ahead in the first one."""
    if first:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal((2, len(lines), 4096)).astype(np.float32)
        acquisition = ismrmrd.Acquisition.from_array(noise[0] + 1j * noise[1], sample_time_us=5.0)
        acquisition.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        yield acquisition
    acs = range(N_E1 // 2 - N_ACS // 2, N_E1 // 2 + N_ACS // 2) if first else range(0)
    last = N_E1 - ACCELERATION
    for line in range(N_E1):
        imaging = line % ACCELERATION == 0
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


def stream(
    port: int, n_channels: int, first: bytes, n_repetitions: int, later: Sequence[bytes] = ()
) -> tuple[float, float]:
    """Seconds from the first byte of data to the last image, and to the first."""
    expected = 3 * n_repetitions
    with socket.create_connection(("127.0.0.1", port)) as sock:
        link = Link(sock, "server")
        link.send(ConfigFile("grappa_snr"))
        link.send(Header(HEADER.encode()))

        def send() -> None:
            sock.sendall(first)
            for number in range(1, n_repetitions):
                sock.sendall(numbered(later, number))
            sock.sendall(encode(Close()))

        start = time.perf_counter()
        sender = threading.Thread(target=send)
        sender.start()
        times = [time.perf_counter() - start for message in link if isinstance(message, ismrmrd.Image)]
        sender.join()
    if len(times) != expected:
        raise RuntimeError(f"{len(times)} images came back; expected {expected}")
    return times[-1], times[0]


def numbered(messages: Sequence[bytes], repetition: int) -> bytes:
    """Encoded acquisitions with another repetition in their headers."""
    fields = ismrmrd.AcquisitionHeader.idx.offset, ismrmrd.EncodingCounters.repetition.offset
    place = 2 + sum(fields)  # after the message's identifier
    number = struct.pack("<H", repetition)
    return b"".join(part for m in messages for part in (m[:place], number, m[place + 2 :]))
