"""How fast messages are read off a socket, beside a bare `recv_into` and ismrmrd's own reader."""

import multiprocessing
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, cast

import ismrmrd
import numpy as np
from ismrmrd.serialization import ProtocolDeserializer

from snrstream.hosts.link import Link
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close

from .timing import Row

N_SAMPLES, N_BYTES, N_ROUNDS = 256, 1 << 27, 7
BUFFERS = (1 << 16, 1 << 18)

Reader = Callable[[socket.socket], int]  # reads to the end; how many acquisitions came


def rows() -> list[Row]:
    """The rate of `snrstream.hosts.link.Link` over that of the other readers, each its best of several runs in turn."""
    table: list[Row] = []
    for n_channels in (4, 16, 32):
        readers: dict[str, Reader] = {"ours": _ours, "ismrmrd": partial(_ismrmrd, -1)}
        readers["ismrmrd buffered"] = partial(_ismrmrd, 1 << 18)
        readers |= {f"bare {size}": partial(_bare, size) for size in BUFFERS}
        rounds = [{name: _seconds(n_channels, reader) for name, reader in readers.items()} for _ in range(N_ROUNDS)]
        best = {name: min(times[name] for times in rounds) for name in readers}
        bare = min(best[name] for name in readers if name.startswith("bare"))
        name = f"{n_channels} channels of {N_SAMPLES} samples: rate of reading over"
        table.append(Row(f"{name} bare recv_into", bare / best["ours"], floor=0.85 if n_channels == 32 else None))
        floor = {32: 1.3, 4: 3.0}.get(n_channels)
        table.append(
            Row(f"{name} ismrmrd's reader on sock.makefile('rb')", best["ismrmrd"] / best["ours"], floor=floor)
        )
        table.append(Row(f"{name} the same with a buffer of 256 KiB", best["ismrmrd buffered"] / best["ours"]))
    return table


def _seconds(n_channels: int, reader: Reader) -> float:
    """To read N_BYTES of acquisitions that another process sends as fast as it can."""
    message = encode(ismrmrd.Acquisition.from_array(np.ones((n_channels, N_SAMPLES), np.complex64)))
    n_messages = N_BYTES // len(message)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = listener.getsockname()[1], message, n_messages
        sender = multiprocessing.get_context("fork").Process(target=_send, args=arguments)
        sender.start()
        sock, _ = listener.accept()
    with sock:
        start = time.perf_counter()
        n_read = reader(sock)
        seconds = time.perf_counter() - start
    sender.join()
    if n_read not in (n_messages, -1):
        raise RuntimeError(f"{n_read} acquisitions were read; expected {n_messages}")
    return seconds


def _send(port: int, message: bytes, n_messages: int) -> None:
    n_together = max(1, (4 << 20) // len(message))
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for start in range(0, n_messages, n_together):
            sock.sendall(message * min(n_together, n_messages - start))
        sock.sendall(encode(Close()))


def _ours(sock: socket.socket) -> int:
    return sum(1 for _ in Link(sock, "sender"))


def _ismrmrd(buffering: int, sock: socket.socket) -> int:
    with sock.makefile("rb", buffering=buffering) as stream:
        return sum(1 for _ in ProtocolDeserializer(cast(BinaryIO, stream)).deserialize())


def _bare(size: int, sock: socket.socket) -> int:
    buffer = bytearray(size)
    while sock.recv_into(buffer):
        pass
    return -1
