"""Bytes leave a spool in the order in which they came, whether they were kept or not."""

import itertools
import socket
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from snrstream.hosts.spool import Spool

MOST = 3000

operations = st.lists(
    st.tuples(st.just("write"), st.integers(1, 2000))
    | st.tuples(st.just("keep"), st.none())
    | st.tuples(st.just("read"), st.lists(st.integers(1, 700), min_size=1, max_size=2)),
    max_size=30,
)


@settings(max_examples=200)
@given(operations, st.booleans())
def test_any_order_of_keeping_and_reading_gives_what_was_written(steps: list, ends: bool) -> None:
    numbers = itertools.count()
    written, recorded, read = bytearray(), bytearray(), bytearray()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        spool = Spool(ours, recorded.extend, MOST)

        def take(sizes: list[int]) -> int:
            arrays = [bytearray(size) for size in sizes]
            n_bytes = spool.read_into([memoryview(array) for array in arrays])
            read.extend(b"".join(arrays)[:n_bytes])
            assert 0 < n_bytes <= sum(sizes) or not spool.takes_more
            return n_bytes

        for name, argument in steps:
            if name == "write":
                data = bytes(next(numbers) % 256 for _ in range(argument))
                theirs.sendall(data)
                written += data
            elif not spool.ready():
                assert read == recorded == written
            elif name == "read":
                take(argument)
            elif spool.takes_more and len(recorded) < len(written):
                spool.keep()
                assert len(recorded) - len(read) <= MOST
        if ends:
            theirs.shutdown(socket.SHUT_WR)
            while take([500]):
                pass
            assert spool.ready() and take([1]) == 0
        while spool.ready() and not ends:
            take([500])
    assert read == recorded == written


def test_an_end_that_was_kept_comes_last_and_stays() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        spool = Spool(ours)
        theirs.sendall(b"abc")
        spool.keep()
        theirs.close()
        spool.keep()
        assert not spool.takes_more
        buffer = bytearray(2)
        assert [spool.read_into([memoryview(buffer)]) for _ in range(4)] == [2, 1, 0, 0]


def test_memory_is_that_of_the_bytes_though_they_come_one_by_one() -> None:
    """2 bytes at a time: an object for each would take 16384 * 56 bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        spool = Spool(ours)
        tracemalloc.start()
        try:
            for _ in range(16384):
                theirs.sendall(b"ab")
                spool.keep()
            n_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert n_bytes < 4 * 2 * 16384
