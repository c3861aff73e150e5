"""Sessions with mutated bytes: each must end in images or in an error that is ours, soon and in little memory."""

import contextlib
import logging
import resource
import signal
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import ismrmrd
import numpy as np
from tqdm import tqdm

from snrstream.errors import ConnectionFailed, SnrstreamError
from snrstream.hosts.session import Session
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, Message

from . import small_scan

LONGEST_SECONDS = 30
HUGE = (0xFF, 0x7F, 0x80, 0x00)
CHUNK = 5000  # bytes that arrive at a time


@dataclass
class Outcome:
    """results, errors: how many sessions ended in images, and in which kind of error. defects: the others."""

    counts: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    growth_mib: float = 0.0


def fuzz(n_streams: int, seed: int = 0) -> Outcome:
    """Run `n_streams` mutated sessions through decoder, session and reconstruction."""
    logging.disable(logging.CRITICAL)
    kinds = [small_scan.messages(), *small_scan.gadgetron_messages().values()]
    sessions = [[encode(message) for message in messages] for messages in kinds]
    outcome = Outcome()
    for parts in sessions:
        _run(b"".join(parts))  # what is loaded once counts as memory of nobody
    before = _peak_mib()
    for number in tqdm(range(n_streams), desc="mutated sessions", disable=None):
        # Every other one is a client's, the others a Gadgetron's.
        parts = sessions[0 if number % 2 else 1 + number // 2 % 3]
        data = mutated(parts, np.random.default_rng((seed, number)))
        try:
            with _alarm(), warnings.catch_warnings():
                warnings.simplefilter("error")
                outcome.counts[_run(data)] += 1
        except Exception as exc:  # noqa: BLE001 - any other end is a defect, to be counted
            place = traceback.extract_tb(exc.__traceback__)[-1]
            outcome.defects.append(f"session {number} of seed {seed}: {exc!r} at {place.filename}:{place.lineno}")
    outcome.growth_mib = _peak_mib() - before
    logging.disable(logging.NOTSET)
    return outcome


def mutated(parts: list[bytes], rng: np.random.Generator) -> bytes:
    """The session with messages or bytes flipped, cut, doubled, moved, or blown up."""
    parts = list(parts)
    for _ in range(rng.integers(0, 3)):
        place, other = rng.integers(len(parts), size=2)
        match rng.integers(4):
            case 0:
                parts.insert(other, parts[place])
            case 1:
                parts[place], parts[other] = parts[other], parts[place]
            case 2:
                del parts[place]
            case 3:
                parts[place] = parts[place][: rng.integers(len(parts[place]) + 1)]
    # Most bytes are samples; the others decide.
    starts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    data = bytearray(b"".join(parts))
    for _ in range(rng.integers(0, 6)):
        at = int(min(rng.choice(starts) + rng.integers(400), len(data) - 1))
        n = int(rng.choice((1, 2, 4, 8)))
        match rng.integers(5):
            case 0:
                data[at] ^= 1 << rng.integers(8)
            case 1:
                data[at : at + n] = bytes([rng.choice(HUGE)]) * n
            case 2:
                data[at : at + n] = rng.bytes(n)
            case 3:
                data[at:at] = rng.bytes(n)
            case 4:
                del data[at : at + n]
    return bytes(data[: rng.integers(len(data) + 1)] if rng.random() < 0.1 else data)


def _run(data: bytes) -> str:
    session = Session("fuzz")
    sent: list[Message] = []
    try:
        session.run(_messages(data), sent.append)
    except SnrstreamError as exc:
        if "\n" in session.fault(str(exc)).text:
            raise RuntimeError(f"{exc!r} takes several lines; expected one") from exc
        return type(exc).__name__
    return "images" if any(isinstance(answer, ismrmrd.Image) for answer in sent) else "nothing"


def _messages(data: bytes) -> Iterator[Message]:
    """As a link hands them out."""
    decoder = Decoder()
    for start in range(0, len(data), CHUNK):
        for message in decoder.receive(data[start : start + CHUNK]):
            if isinstance(message, Close):
                return
            yield message
    decoder.finish()
    raise ConnectionFailed("fuzz went away without CLOSE")


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Raises TimeoutError in a session that hangs."""

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError(f"no end after {LONGEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
