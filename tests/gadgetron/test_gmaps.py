"""g-maps and images in the orders in which Gadgetron sends them: who gets which map, and how many maps are kept."""

import collections
import gc
import itertools
import tracemalloc
from collections.abc import Iterator

import ismrmrd
import numpy as np
import pytest
from gadgetron.types.image_array import ImageArray
from hypothesis import given
from hypothesis import strategies as st

from snrstream.gadgetron.gmaps import KeptGMaps
from snrstream.gadgetron.images import recon_images
from snrstream.items import ReconImage
from snrtrain.benchmarks import gadgetron_objects

from .. import scans

HEADER = scans.header((1, 8, 12), acceleration=(2, 1))
SHAPES = ((8, 12), (4, 6))
COUNTERS = ("slice", "contrast", "phase", "set", "repetition")
ROLES = {"map": "Gfactor", "snr": "SNR_MAP", "real": "Image", "image": "Image"}


def sent(kind: str, counters: tuple[int, ...], value: float = 1, shape: tuple[int, ...] = SHAPES[0]) -> ismrmrd.Image:
    pixels = np.full((1, 1, *shape), value if kind in ("map", "real") else value * (1 + 1j), np.complex64)
    image = ismrmrd.Image.from_array(pixels, transpose=False, field_of_view=(12, 8, 1))
    for name, counter in zip(COUNTERS, counters, strict=True):
        setattr(image, name, counter)
    image.meta = ismrmrd.Meta({"GADGETRON_DataRole": ROLES[kind]})
    return image


def best(earlier: list[tuple[tuple[int, ...], tuple[int, ...], float]], counters, shape) -> float | None:
    """By all maps that ever came: the one that shares most counters, from the slice on, and of these the latest."""
    fitting = []
    for number, (theirs, their_shape, value) in enumerate(earlier):
        shared = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(theirs, counters, strict=True))))
        if shared and their_shape == shape:
            fitting.append((shared, number, value))
    return max(fitting)[2] if fitting else None


@st.composite
def orders(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Kind, counters and shape of what comes, message after message, each with some repetitions of some places.

    In a message all maps come ahead of all images, or each ahead of its own; maps of each repetition, of the first one
    alone, or none; SNR maps and real images between them in some. Repetitions are counted anew only where each has a
    map: else an image would be given the map of the same number of the count before.
    """
    counted_anew = draw(st.booleans())
    places = draw(st.lists(st.tuples(*4 * [st.integers(0, 1)]), min_size=1, max_size=4, unique=True))
    stream, first = [], 0
    for _ in range(draw(st.integers(1, 6))):
        repetitions = range(first, first + draw(st.integers(1, 3)))
        first = 0 if counted_anew else repetitions.stop
        of_maps = repetitions[
            : len(repetitions) if counted_anew else draw(st.sampled_from([0, 1, 1, len(repetitions)]))
        ]
        others = draw(st.sampled_from([(), ("snr",), ("real",), ("snr", "real")]))
        kinds = ("map", *others, "image")
        shape = draw(st.sampled_from(SHAPES))
        items = [
            (kind, (*place, repetition), shape)
            for place in places
            for kind in kinds
            for repetition in (of_maps if kind == "map" else repetitions)
        ]
        order = draw(st.sampled_from(["array of each place", "maps first", "by repetition"]))
        if order == "maps first":
            items.sort(key=lambda item: kinds.index(item[0]))
        elif order == "by repetition":
            items.sort(key=lambda item: item[1][-1])
        stream += items
    return stream


@given(orders())
def test_every_image_gets_the_map_that_it_would_get_if_all_were_kept(order) -> None:
    stream, expected, earlier = [], [], []
    for value, (kind, counters, shape) in enumerate(order, start=1):
        stream.append(sent(kind, counters, value, shape))
        if kind == "map":
            earlier.append((counters, shape, value))
        elif kind == "image":
            expected.append(best(earlier, counters, shape))
    got = [item for item in recon_images(stream, HEADER) if isinstance(item, ReconImage)]
    assert [item.gmap.flat[0] if item.snr_units else None for item in got] == expected


def one_after_the_other(kinds: tuple[str, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for repetition in itertools.count():
        for slice_ in range(3):
            for kind in kinds:
                yield kind, (slice_, 0, 0, 0, repetition)


def ten_at_a_time() -> Iterator[tuple[str, tuple[int, ...]]]:
    for first in itertools.count(step=10):
        for slice_ in range(3):
            for kind in ("map", "snr", "image"):
                yield from ((kind, (slice_, 0, 0, 0, first + n)) for n in range(10))


def by_three_slices() -> Iterator[tuple[str, tuple[int, ...]]]:
    for repetition in itertools.count():
        for kind in ("map", "image"):
            yield from ((kind, (slice_, 0, 0, 0, repetition)) for slice_ in range(3))


@pytest.mark.parametrize(
    "order",
    [
        one_after_the_other(("map", "image")),
        one_after_the_other(("map", "snr", "image", "image")),
        one_after_the_other(("map", "real")),
        by_three_slices(),
        ten_at_a_time(),
    ],
    ids=["in turns", "with SNR maps and twice", "real images", "all slices ahead", "ten repetitions in a message"],
)
def test_an_endless_series_takes_no_more_memory_than_a_short_one(order) -> None:
    """By Python's own count of bytes, numpy's included, after 20 and after 520 repetitions of three slices."""
    n_repetitions, shape = 500, (64, 64)

    def stream() -> Iterator[ismrmrd.Image]:
        for kind, counters in order:
            yield sent(kind, counters, 1, shape)

    out = recon_images(stream(), HEADER)
    gmap_bytes = 4 * np.prod(shape)

    def bytes_after(repetition: int) -> int:
        last = (2, repetition)
        for item in out:
            idx = item.head.idx if isinstance(item, ReconImage) else item
            if (idx.slice, idx.repetition) == last:
                break
        del item, idx
        gc.collect()
        return sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size >= np.prod(shape))

    tracemalloc.start()
    try:
        before = bytes_after(19)
        grown = bytes_after(19 + n_repetitions) - before
    finally:
        tracemalloc.stop()
    # All maps kept, it would be 1500; one may be ahead or behind.
    assert grown < 2 * gmap_bytes


@pytest.mark.parametrize(
    ("order", "most"), [(by_three_slices(), 2), (ten_at_a_time(), 10 + 1)], ids=["in turns", "ten in a message"]
)
def test_how_many_maps_of_a_slice_are_kept(order, most: int) -> None:
    """The last one whose image has come, and those that have come since."""
    gmap = np.ones(SHAPES[0], np.float32)
    kept, counts = KeptGMaps(), []
    for kind, counters in itertools.islice(order, 3000):
        if kind == "map":
            kept.add([sent(kind, counters)], gmap.copy())
        else:
            kept.passed(sent(kind, counters))
        counts.append(len(kept.values()))
    assert max(counts) == 3 * most


def test_maps_whose_images_never_come_are_bounded_in_bytes() -> None:
    gmap = np.ones((64, 64), np.float32)
    kept = KeptGMaps(most_bytes=10 * gmap.nbytes)
    for repetition in range(300):
        for slice_ in range(3):
            kept.add([sent("map", (slice_, 0, 0, 0, repetition))], gmap * repetition)
    assert sum(each.nbytes for each in kept.values()) <= (10 + 3) * gmap.nbytes
    for slice_ in range(3):
        latest = kept.of(sent("image", (slice_, 0, 0, 0, 1000)), gmap.shape)
        assert latest is not None and latest[0, 0] == 299


def test_a_map_of_many_images_counts_once() -> None:
    """One map for each ten repetitions of three sets, whose images never come: as many are kept as single ones."""
    gmap = np.ones((64, 64), np.float32)
    kept = KeptGMaps(most_bytes=10 * gmap.nbytes)
    for first in range(0, 3000, 10):
        heads = [sent("map", (0, 0, 0, set_, first + n)) for set_ in range(3) for n in range(10)]
        kept.add(heads, gmap * first)
        assert len(kept.values()) == min(1 + first // 10, 10)
    for repetition in range(2900, 3000):
        for set_ in range(3):
            found = kept.of(sent("image", (0, 0, 0, set_, repetition)), gmap.shape)
            assert found is not None and found[0, 0] == repetition // 10 * 10


def averaged() -> Iterator[tuple[list[tuple[int, ...]], list[tuple[int, ...]]]]:
    """Message after message the counters of a map's images, and of the images."""
    for first in itertools.count(step=10):
        counters = [(0, 0, 0, set_, first + n) for set_ in range(2) for n in range(10)]
        yield counters, counters


def test_an_endless_series_of_shared_maps_keeps_two() -> None:
    """The one whose images came last, and the one that has come since."""
    kept = KeptGMaps()
    for heads, of_images in itertools.islice(averaged(), 300):
        kept.add([sent("map", counters) for counters in heads], np.ones(SHAPES[0], np.float32))
        assert len(kept.values()) <= 2
        for counters in of_images:
            kept.passed(sent("image", counters))


def test_an_endless_series_of_arrays_takes_no_more_memory_than_a_short_one() -> None:
    """Ten repetitions of two sets in each, under one map: the arrays after 20 and after 120 of them."""
    shape, per_message = (64, 64), 20

    def stream() -> Iterator[ImageArray]:
        for first in itertools.count(step=10):
            pixels = np.full((1, 2, 10, 1, 1, *shape), 1 + 1j, np.complex64)
            array = gadgetron_objects.image_array(pixels, per_message * [{}])
            for head in array.headers.ravel():
                head.repetition += first
            yield gadgetron_objects.gmap_array(np.full((1, 1, 1, 1, 1, *shape), first), array)
            yield array

    out = recon_images(stream(), HEADER)

    def bytes_after(n_messages: int) -> int:
        collections.deque(itertools.islice(out, n_messages * per_message), maxlen=0)
        gc.collect()
        return sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size >= np.prod(shape))

    tracemalloc.start()
    try:
        before = bytes_after(20)
        grown = bytes_after(100) - before
    finally:
        tracemalloc.stop()
    assert grown <= 2 * 4 * np.prod(shape)  # all maps kept, it would be 100
