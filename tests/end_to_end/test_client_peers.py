"""Clients of a server that stop writing, stop reading, or vanish, at every message of their scan."""

import contextlib
import logging
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import ismrmrd
import numpy as np
import pytest

from snrstream.hosts import conversation, failure
from snrstream.hosts.conversation import Options
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigFile, ConfigText, Fault, Header, Text
from snrtrain.benchmarks import small_scan
from tests.sessions import answers_to

from .test_faults import converse, inside, pixels

PATIENCE = 1.0
MOST_SECONDS = 60.0  # within which each must be over: a server that has forgotten one would hold it for ever

GADGETS = ("noise_adjust", "accumulate", "grappa", "coil_combine", "image_finish")
NOISE, *LINES = small_scan.acquisitions()
HEADER = Header(small_scan.HEADER)
N_LARGE = 40  # lines which go back as they came, and which are more than the buffers between the two can hold


def module(*gadgets: str) -> ConfigText:
    return ConfigText(
        f"<configuration>{''.join(f'<gadget name={name!r}/>' for name in gadgets)}</configuration>".encode()
    )


def old_client(gadget: str) -> ConfigText:
    root = "gadgetronStreamConfiguration"
    return ConfigText(f"<{root}><gadget><classname>{gadget}</classname></gadget></{root}>".encode())


def large_line() -> bytes:
    line = ismrmrd.Acquisition(LINES[0].getHead(), np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32))
    line.resize(number_of_samples=8192, active_channels=len(NOISE.data))
    line.data[:] = 1
    return encode(line)


DIALECTS = {
    "client": (ConfigFile("grappa_snr"), old_client("noise_adjust")),
    "Gadgetron": (module(*GADGETS), module("noise_adjust")),
}
MOMENTS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "nothing": lambda config, echo: b"",
    "half an id": lambda config, echo: config[:1],
    "half a configuration": lambda config, echo: config[:30],
    "a configuration": lambda config, echo: config,
    "half a header": lambda config, echo: config + encode(HEADER)[:200],
    "a header": lambda config, echo: config + encode(HEADER),
    "the first line": lambda config, echo: config + encode(HEADER) + encode(NOISE),
    "half a line": lambda config, echo: config + encode(HEADER) + encode(NOISE) + encode(LINES[0])[:400],
    "mid scan": lambda config, echo: b"".join([config, *map(encode, [HEADER, NOISE, *LINES[:9]])]),
    "before CLOSE": lambda config, echo: b"".join([config, *map(encode, [HEADER, NOISE, *LINES])]),
    "while images come": lambda config, echo: b"".join([echo, *map(encode, [HEADER, NOISE]), N_LARGE * large_line()]),
}
NOT_BEGUN = ("nothing", "half an id", "half a configuration")


def stop_writing(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


ENDS = {
    "silent": (lambda sock: None, "sent nothing for 1 s"),
    "half-closed": (stop_writing, "went away"),
    "dead": (lambda sock: None, "(sent|took) nothing for 1 s"),
    "reset": (reset, "went away"),
    "closed": (socket.socket.close, "went away"),
}
READ_ON = ("silent", "half-closed")


def connected(address: tuple[str, int]) -> socket.socket:
    """A client whose buffer is small."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    sock.settimeout(MOST_SECONDS)
    sock.connect(address)
    return sock


def all_of(sock: socket.socket) -> list:
    decoder, messages = Decoder(), []
    while data := sock.recv(1 << 16):
        messages += decoder.receive(data)
    decoder.finish()
    return messages


def n_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def wait_until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + MOST_SECONDS
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_that_goes_no_further(dialect: str, end: str, monkeypatch, caplog) -> None:
    """All at once: each has one line in the log, and another in its dialect where it reads on; nothing stays open."""
    for place in (conversation, failure):
        monkeypatch.setattr(place, "SILENCE_SECONDS", 0.2)
    caplog.set_level(logging.INFO)
    config, echo = map(encode, DIALECTS[dialect])
    act, why = ENDS[end]
    scan = [DIALECTS[dialect][0], HEADER, NOISE, *LINES]
    expected = pixels(answers_to(scan))
    with inside(Options(clients=len(MOMENTS), patience=PATIENCE)) as address, contextlib.ExitStack() as stack:
        before = n_open()
        readers = stack.enter_context(ThreadPoolExecutor(len(MOMENTS)))
        names, answers = {}, {}
        for moment, sent in MOMENTS.items():
            sock = stack.enter_context(connected(address))
            names[moment] = "{}:{}".format(*sock.getsockname())
            if end in READ_ON:
                answers[moment] = readers.submit(all_of, sock)
            sock.sendall(sent(config, echo))
            act(sock)
        if end in READ_ON:
            for moment, answer in answers.items():
                is_told = end == "silent" or moment not in NOT_BEGUN
                *data, error, close = answer.result() if is_told else (*answer.result(), None, None)
                knows = dialect == "Gadgetron" and moment not in NOT_BEGUN
                assert not is_told or isinstance(error, Fault if knows else Text), moment
                assert not is_told or isinstance(close, Close), moment
                n_lines = sum(isinstance(item, ismrmrd.Acquisition) for item in data)
                assert n_lines == (N_LARGE if moment == "while images come" else 0), moment
                assert pixels(data) == (expected if moment == "before CLOSE" else []), moment
        assert wait_until(lambda: not {*names.values()} & {thread.name for thread in threading.enumerate()})
        assert pixels(converse(address, scan)) == expected
        stack.close()
        assert wait_until(lambda: n_open() <= before)
    for moment, name in names.items():
        lines = [record for record in caplog.records if f"{name} " in record.getMessage()]
        assert len(lines) == 1, (moment, [record.getMessage() for record in lines])
        assert lines[0].levelno == (logging.INFO if moment in NOT_BEGUN and "went" in why else logging.ERROR), moment
        assert re.search(why, lines[0].getMessage()), moment
