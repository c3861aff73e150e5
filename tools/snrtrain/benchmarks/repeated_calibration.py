"""Scans that bring calibration lines with each repetition, in every way in which these can be used."""

import math
import socket
import statistics
import time
from collections.abc import Iterator

import ismrmrd

from snrstream.hosts.link import Link
from snrstream.hosts.server_process import server_process
from snrstream.sorting.calibration_choice import CHOICES
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigText, Header

from .stream import HEADER, encoded, number, scan_lines, stream
from .timing import Row

PLAIN = "ACS in the first repetition"
LIMITS = {"first": 1.3}  # of a repetition's time, over that of one without calibration lines
LATENCY_LIMITS = {"first": 1.2, "running": 1.2}
N_WAITED_FOR = 20  # repetitions, each of which is waited for
N_ROUNDS = 3
REST_SECONDS = 0.1  # in which the server takes all lines of a repetition but the last one
N_IMAGES = 3  # of a repetition
GADGETS = ("noise_adjust", "accumulate", "grappa", "taper", "coil_combine", "resize", "image_finish")
PROPERTIES = {"image_finish": {"output": "complex", "snr_map": "true"}}


def rows(n_repetitions: int) -> list[Row]:
    """Of 512 x 256 at R = 4: a repetition with calibration lines over one without, and how long its image takes."""
    with server_process() as (port, _):
        return [row for n_channels in (16, 32) for row in _rows(port, n_channels, n_repetitions)]


def _rows(port: int, n_channels: int, n_repetitions: int) -> Iterator[Row]:
    lines = scan_lines(n_channels)
    begin, plain = b"".join(encoded(lines, first=True)), encoded(lines, first=False)
    whole = encoded(lines, first=True)[1:]  # without the noise
    stream(port, begin, 1)  # the server imports, compiles and plans
    scans = {PLAIN: ("first", plain), **{f"ACS in each, calibration={way}": (way, whole) for way in CHOICES}}
    took, waited = dict.fromkeys(scans, math.inf), dict.fromkeys(scans, math.inf)
    for _ in range(N_ROUNDS):  # all of them in turn, for a machine has its moods
        for name, (way, later) in scans.items():
            took[name] = min(took[name], _milliseconds(port, begin, later, n_repetitions, way))
            if way != "all":  # whose images come at the end
                waited[name] = min(waited[name], _latency(port, begin, later, way))
    for name, (way, _) in scans.items():
        text, is_plain = f"{n_channels} channels, R = 4, {name}", name == PLAIN
        yield Row(f"{text}: a repetition, in ms", took[name])
        if not is_plain:
            yield Row(f"{text}: over one without ACS", took[name] / took[PLAIN], LIMITS.get(way))
        if way != "all":
            yield Row(f"{text}: its image after its last line, in ms", waited[name])
        if way != "all" and not is_plain:
            yield Row(f"{text}: over one without ACS", waited[name] / waited[PLAIN], LATENCY_LIMITS.get(way))


def _milliseconds(port: int, begin: bytes, later: list[bytes], n_repetitions: int, way: str) -> float:
    elapsed, _ = stream(port, begin, n_repetitions, later, configuration=_configuration(way))
    return 1e3 * elapsed / n_repetitions


def _latency(port: int, begin: bytes, later: list[bytes], way: str) -> float:
    """Median milliseconds from the last line of a repetition to its first image, the repetitions well apart."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        link = Link(sock, "server")
        link.send(_configuration(way))
        link.send(Header(HEADER.encode()))
        messages = iter(link)
        sock.sendall(begin)
        _images(messages)
        times = []
        for repetition in range(1, N_WAITED_FOR + 1):
            start, last = bytearray(b"".join(later[:-1])), bytearray(later[-1])
            for part in (start, last):
                number(part, len(later[0]), repetition)
            sock.sendall(start)
            time.sleep(REST_SECONDS)
            sent = time.perf_counter()
            sock.sendall(last)
            times.append(_images(messages) - sent)
        sock.sendall(encode(Close()))
        for _ in messages:
            pass
    return 1e3 * statistics.median(times)


def _images(messages: Iterator[object]) -> float:
    """When the first image of a repetition came; the others are waited for."""
    came: list[float] = []
    while len(came) < N_IMAGES:
        if isinstance(next(messages), ismrmrd.Image):
            came.append(time.perf_counter())
    return came[0]


def _configuration(way: str) -> ConfigText:
    """The pipeline grappa_snr with a way to use calibration lines."""
    properties = PROPERTIES | {"grappa": {"calibration": way}}
    gadgets = (
        f"<gadget name='{name}'>"
        + "".join(f"<property name='{key}' value='{value}'/>" for key, value in properties.get(name, {}).items())
        + "</gadget>"
        for name in GADGETS
    )
    return ConfigText(f"<configuration>{''.join(gadgets)}</configuration>".encode())
