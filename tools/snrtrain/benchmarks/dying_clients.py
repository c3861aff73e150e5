"""Clients that die at random moments, in front of a Gadgetron as it behaves, whose module is a process of ours."""

import collections
import contextlib
import os
import queue
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ismrmrd
import numpy as np

from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, ConfigText, Header

from . import small_scan

WHITENED = '<configuration><gadget name="noise_adjust"/></configuration>'
WHOLE = "".join(f'<gadget name="{name}"/>' for name in ("noise_adjust", "accumulate", "grappa", "coil_combine"))
START = ("-m", "gadgetron")
MODULE = ("snrstream.gadgetron", "chain")


def die(
    n_clients: int,
    seed: int,
    python: Callable[..., Sequence[str]] = lambda *a: [sys.executable, *a],
    seconds: float = 60,
) -> collections.Counter[str]:
    """How the modules ended: by their status, or `still there` after so many seconds."""
    rng = random.Random(seed)  # noqa: S311 - moments of death, no secrets
    lots = [(rng.random() * 1.1, rng.random(), rng.random() < 0.5) for _ in range(n_clients)]
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(_one, number, *lot, python, seconds) for number, lot in enumerate(lots)]
        return collections.Counter(end.result() for end in ends)


def _one(
    number: int, share: float, read: float, resets: bool, python: Callable[..., Sequence[str]], seconds: float
) -> str:
    """share: of its data that the client sends before it dies; beyond 1, it has said CLOSE. read: of the answers."""
    noise, line = list(small_scan.acquisitions())[:2]
    if number % 2:
        xml, messages = f"<configuration>{WHOLE}</configuration>", list(small_scan.acquisitions())
    else:  # more comes back than any buffer holds
        large = ismrmrd.Acquisition(line.getHead(), np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32))
        large.resize(number_of_samples=8192, active_channels=len(noise.data))
        xml, messages = WHITENED, [noise, *([large] * 60)]
    data = b"".join(map(encode, messages)) + (encode(Close()) if share > 1 else b"")
    opening = encode(ConfigText(xml.encode())) + encode(Header(small_scan.HEADER))
    client, server = socket.socketpair()
    gadgetron = _Gadgetron(server, opening, python)
    gadgetron.start()
    threading.Thread(target=_read, args=(client, int(read * len(data))), daemon=True).start()
    with contextlib.suppress(OSError):
        client.sendall(data[: int(share * len(data))])
        time.sleep(read)
    if resets:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
    client.close()
    gadgetron.join(seconds)
    if gadgetron.is_alive():
        if gadgetron.process is not None:
            gadgetron.process.kill()
        return "still there"
    return f"status {gadgetron.process.returncode if gadgetron.process else None}"


def _read(sock: socket.socket, n_bytes: int) -> None:
    with contextlib.suppress(OSError):
        while n_bytes > 0 and (data := sock.recv(1 << 16)):
            n_bytes -= len(data)


class _Gadgetron(threading.Thread):
    """Gadgetron's process for one client: four threads, with queues without bounds between them.

    Whoever writes to its client stops when that is gone; then nobody reads from the module any more. Whoever reads from
    the client goes on to its end, and says CLOSE to the module. The socket closes when both have ended, and the module
    is waited for.
    """

    def __init__(self, client: socket.socket, opening: bytes, python: Callable[..., Sequence[str]]) -> None:
        super().__init__(daemon=True)
        self._client, self._opening, self._python = client, opening, python
        self._lives = threading.Event()  # whether its client takes what comes
        self._lives.set()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """To the end of the module."""
        with socket.create_server(("localhost", 0)) as listener:
            command = self._python(*START, str(listener.getsockname()[1]), *MODULE)
            self.process = subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL)
            module, _ = listener.accept()
        arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with module, self._client:
            threads = [
                threading.Thread(target=_each, args=work, daemon=True)
                for work in (
                    (_messages(self._client), arrived.put, lambda: arrived.put(None)),
                    (
                        iter(arrived.get, None),
                        lambda m: module.sendall(encode(m)),
                        lambda: module.sendall(encode(Close())),
                    ),
                    (_messages(module), self._push(answers), lambda: answers.put(None)),
                    (iter(answers.get, None), lambda m: self._client.sendall(encode(m)), self._lives.clear),
                )
            ]
            module.sendall(self._opening)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.process.wait()

    def _push(self, answers: "queue.SimpleQueue[Any]") -> Callable[[Any], None]:
        def push(message: Any) -> None:
            if not self._lives.is_set():
                raise BrokenPipeError
            answers.put(message)

        return push


def _each(source: Iterable[Any], take: Callable[[Any], None], end: Callable[[], None]) -> None:
    """One thread: to the end of its source, or to where what it takes can go nowhere."""
    with contextlib.suppress(OSError):
        for message in source:
            take(message)
    with contextlib.suppress(OSError):
        end()


def _messages(sock: socket.socket) -> Iterable[Any]:
    decoder = Decoder()
    with contextlib.suppress(OSError):
        while data := sock.recv(1 << 16):
            for message in decoder.receive(data):
                if isinstance(message, Close):
                    return
                yield message
