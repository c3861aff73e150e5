"""When images leave: scans without flags, averages that nobody announced, and lines that come after their image."""

import copy
import itertools
import logging
from collections.abc import Iterable, Iterator

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate
from snrstream.gadgets.gadget import Scan, stream
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket
from snrstream.sorting import leaving
from snrstream.wire.messages import Pause

from .. import scans
from ..scans import random_complex

CALIBRATION, BOTH = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
LAST_IN_SLICE = ismrmrd.ACQ_LAST_IN_SLICE
N = 16
KSPACE = 10 * random_complex(2, 1, N, 8)


def lines(
    numbers: Iterable[int], flags: Iterable[int] = (), end: bool = False, **idx: int
) -> list[ismrmrd.Acquisition]:
    """Of one slice, the same k-space whatever the counters."""
    return list(scans.acquisitions(KSPACE, [(0, y) for y in numbers], flags, end, **idx))


def left(header, acquisitions: list[ismrmrd.Acquisition]) -> tuple[list[Bucket], list[int], Scan]:
    """The images, after how many acquisitions each left, and the scan with its warnings."""
    taken, scan = [], Scan(header)

    def source() -> Iterator[ismrmrd.Acquisition]:
        for acquisition in acquisitions:
            taken.append(acquisition)
            yield acquisition

    found = [(bucket, len(taken)) for bucket in run_gadget(accumulate, source(), scan)]
    return [bucket for bucket, _ in found], [n for _, n in found], scan


def counters(buckets: list[Bucket], *names: str) -> list[tuple[int, ...]]:
    return [tuple(getattr(bucket.head.idx, name) for name in names) for bucket in buckets]


# Lines that come again after their image left.


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("flags", [(), (LAST_IN_SLICE,), (ismrmrd.ACQ_LAST_IN_MEASUREMENT,)])
def test_a_segment_that_is_acquired_again_leaves_the_images_as_they_are(flagged: bool, flags, caplog) -> None:
    cine = []
    for segment, phase in itertools.product(range(4), range(4)):
        cine += lines(range(segment, N, 4), end=flagged and segment == 3, phase=phase, segment=segment)
    again = [a for phase in (2, 0) for a in lines(range(0, N, 4), flags, phase=phase)]
    for acquisition in again:
        acquisition.data[:] *= 100
    expected, _, quiet = left(scans.header((1, N, 8)), cine)
    with caplog.at_level(logging.WARNING):
        buckets, _, scan = left(scans.header((1, N, 8)), [*cine, *again])
    assert counters(buckets, "phase") == [(0,), (1,), (2,), (3,)] and quiet.warnings == ()
    assert all(torch.equal(a.kspace, b.kspace) for a, b in zip(buckets, expected, strict=True))
    assert scan.warnings == (
        "acquisition 0 belongs to repetition 0 of slice 0, whose image has left: it and others that come as late are "
        "left out",
    )  # fmt: skip
    assert "8 lines came after their images had left" in caplog.text


def test_lines_that_come_again_among_the_others_count() -> None:
    """Before the image leaves: the latest of each, with the image's own warning."""
    again = lines([3])
    again[0].data[:] *= 2
    for scan in ([*lines(range(N - 1)), *again, *lines([N - 1])], [*lines(range(N)), *again]):
        (bucket,), _, _ = left(scans.header((1, N, 8)), scan)
        assert np.allclose(bucket.kspace[:, 0, 3], 2 * KSPACE[:, 0, 3])
        assert bucket.warnings == ("1 lines were acquired again in the same average: the latest of each was used",)


@pytest.mark.parametrize("flags", [(), (CALIBRATION,), (BOTH,), (CALIBRATION, BOTH)])
def test_accelerated_lines_that_come_again(flags) -> None:
    scan = [*lines(range(4, 12), [CALIBRATION]), *lines(range(0, N, 2), end=True)]
    (expected,), _, _ = left(scans.header((1, N, 8), (2, 1)), scan)
    again = [*lines(range(0, N, 2), repetition=1, end=True), *lines([6, 8], flags)]
    first, second = left(scans.header((1, N, 8), (2, 1)), [*scan, *again])[0]
    assert torch.equal(first.kspace, expected.kspace) and torch.equal(second.kspace, expected.kspace)
    assert second.calibration is first.calibration


def test_whoever_breaks_off_loses_no_image_that_was_finished() -> None:
    broken = lines([5], repetition=1)
    broken[0].data[:] = np.nan
    made = run_gadget(accumulate, [*lines(range(N), end=True), *broken], scans.header((1, N, 8)))
    assert np.array_equal(next(made).kspace, KSPACE)
    with pytest.raises(ScanError, match="NaN"):
        next(made)


# Scans that flag no ends.


def test_images_without_flags_leave_as_they_are_whole(monkeypatch) -> None:
    """More images than may be open: 8 slices x 9 sets."""
    monkeypatch.setattr(leaving, "MOST_OPEN_IMAGES", 30)
    kspace = random_complex(1, 1, 4, 4)
    acquisitions = (
        line
        for s, n in itertools.product(range(8), range(9))
        for line in scans.acquisitions(kspace, [(0, y) for y in range(4)], end=False, slice=s, set=n)
    )
    taken = itertools.count()
    source = (a for a in acquisitions if next(taken) >= 0)
    n_left = 0
    for bucket in run_gadget(accumulate, source, scans.header((1, 4, 4))):
        assert (bucket.head.idx.slice, bucket.head.idx.set) == divmod(n_left, 9)
        n_left += 1
        # Each leaves ahead of the next one's first line; the counter counts those taken and this question.
        assert next(taken) == 4 * n_left + (n_left < 8 * 9) + n_left - 1
    assert n_left == 8 * 9


def test_images_that_are_acquired_side_by_side_leave_in_the_last_round(monkeypatch) -> None:
    monkeypatch.setattr(leaving, "MOST_OPEN_IMAGES", 30)
    rounds = [a for y in range(N) for s in range(6) for n in range(5) for a in lines([y], slice=s, set=n)]
    buckets, after, _ = left(scans.header((1, N, 8)), rounds)
    assert counters(buckets, "slice", "set") == [(s, n) for s in range(6) for n in range(5)]
    assert after == [*range(30 * (N - 1) + 2, 30 * N + 1), 30 * N]
    assert all(np.array_equal(bucket.kspace, KSPACE) and bucket.warnings == () for bucket in buckets)


ORDERS = {
    "before": lambda: [*lines(range(4, 12), [CALIBRATION]), *lines(range(0, N, 2))],
    "among them": lambda: [line for y in range(N) if y % 2 == 0 or 4 <= y < 12 for line in lines([y], flags_of(y))],
    "behind": lambda: [*lines(range(0, N, 2)), *lines(range(4, 12), [CALIBRATION])],
    "behind, of both kinds": lambda: [
        *[line for y in range(0, N, 2) for line in lines([y], flags_of(y))],
        *lines(range(5, 12, 2), [CALIBRATION]),
    ],
    "behind, without flags": lambda: [*lines(range(0, N, 2)), *lines(range(5, 13, 2))],
}


def flags_of(y: int) -> list[int]:
    return ([BOTH] if y % 2 == 0 else [CALIBRATION]) if 4 <= y < 12 else []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n_sets", [1, 3])
def test_accelerated_images_wait_for_their_calibration_lines(order: str, n_sets: int) -> None:
    acquisitions = []
    for number in range(n_sets):
        for acquisition in ORDERS[order]():
            acquisition.idx.set = number
            acquisitions.append(acquisition)
    buckets, after, scan = left(scans.header((1, N, 8), (2, 1)), acquisitions)
    n_lines = len(acquisitions) // n_sets
    assert after == [min(n_lines * (n + 1) + 1, len(acquisitions)) for n in range(n_sets)]
    assert scan.warnings == () and counters(buckets, "set") == [(n,) for n in range(n_sets)]
    for bucket in buckets:
        assert np.array_equal(bucket.kspace, KSPACE[:, :, ::2])
        assert bucket.calibration.kspace.shape[2] >= 8 and bucket.calibration.warnings == ()


@pytest.mark.parametrize("limits", ["right", "too wide"])
def test_partial_fourier_without_flags(limits: str) -> None:
    """Where the header expects lines that never come, images leave with the next repetition or at the end."""
    acquisitions = [a for n in range(3) for a in lines(range(N - 4), repetition=n)]
    header = scans.header((1, N, 8), limits=((0, 0), (8, N - 5)) if limits == "right" else None)
    buckets, after, _ = left(header, acquisitions)
    assert counters(buckets, "repetition") == [(0,), (1,), (2,)]
    assert after == ([13, 25, 36] if limits == "right" else [36, 36, 36])
    assert all(np.array_equal(bucket.kspace[:, :, : N - 4], KSPACE[:, :, : N - 4]) for bucket in buckets)


def test_corners_may_come_last() -> None:
    """A volume from its centre outwards is not taken for an elliptical one ahead of its corners."""
    kspace = random_complex(1, 8, 8, 4)
    order = sorted(((z, y) for z in range(8) for y in range(8)), key=lambda line: np.hypot(line[0] - 4, line[1] - 4))
    whole = [a for n in range(2) for a in scans.acquisitions(kspace, order, end=False, set=n)]
    buckets, after, _ = left(scans.header((8, 8, 4)), whole)
    assert after == [65, 128] and all(np.array_equal(bucket.kspace, kspace) for bucket in buckets)
    inside = [line for line in order if np.hypot(line[0] - 4, line[1] - 4) <= 4]
    elliptical = [a for n in range(2) for a in scans.acquisitions(kspace, inside, end=False, repetition=n)]
    buckets, after, _ = left(scans.header((8, 8, 4)), elliptical)
    assert after == [len(inside) + 1, 2 * len(inside)] and all(bucket.warnings == () for bucket in buckets)


def test_a_pause_lets_whole_and_ended_images_go() -> None:
    for end in (True, False):
        items = [*lines(range(N), end=end), Pause(), *lines(range(N), end=end, set=1)]
        made = list(stream(accumulate, items, Scan(scans.header((1, N, 8))), accumulate.Parameters()))
        assert [type(item) for item in made] == [Bucket, Pause, Bucket]


# Averages that the header does not announce.


def averages(order: str, flagged: bool, n_slices: int) -> list[ismrmrd.Acquisition]:
    """Two of them: line by line, or one after the other, of one slice after the other."""
    out = []
    for s in range(n_slices):
        if order == "line by line":
            out += [line for y in range(N) for a in range(2) for line in lines([y], average=a, slice=s)]
        else:
            out += [line for a in range(2) for line in lines(range(N), average=a, slice=s, end=flagged)]
    if flagged:
        out[-1].set_flag(LAST_IN_SLICE)
    return out


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("order", ["line by line", "one after the other"])
def test_averages_are_averaged_whatever_the_header_tells(order: str, flagged: bool, announced: bool) -> None:
    acquisitions = averages(order, flagged, 3)
    for acquisition in acquisitions:
        acquisition.data[:] *= 1 + 2 * acquisition.idx.average
    if flagged and order == "line by line":
        acquisitions[2 * N - 1].set_flag(LAST_IN_SLICE)
        acquisitions[4 * N - 1].set_flag(LAST_IN_SLICE)
    buckets, _, scan = left(scans.header((1, N, 8), n_averages=2 if announced else 1), acquisitions)
    assert counters(buckets, "slice") == [(0,), (1,), (2,)]
    # Header and flag agree that there is one: the first image leaves at once, and the later ones wait for theirs.
    too_early = not announced and flagged and order == "one after the other"
    if too_early:
        assert np.array_equal(buckets.pop(0).kspace, KSPACE) and "whose image has left" in scan.warnings[1]
    for bucket in buckets:
        assert np.allclose(bucket.kspace, 2 * KSPACE) and np.allclose(bucket.line_sd, np.sqrt(0.5))
    told = "lines of average 1 came; the header announces 1: all are averaged"
    assert scan.warnings[:1] == (() if announced else (told,))
    assert len(scan.warnings) == (not announced) + too_early


def test_averages_of_interleaved_slices_line_by_line() -> None:
    rounds = [a for y in range(N) for n in range(2) for s in range(3) for a in lines([y], average=n, slice=s)]
    buckets, _, _ = left(scans.header((1, N, 8)), rounds)
    assert [bucket.line_sd.max().item() for bucket in buckets] == pytest.approx(3 * [0.5**0.5])


def test_an_average_that_comes_when_the_image_has_left_is_left_out() -> None:
    """Nothing tells that more will follow, where the slices of one average all end before the next average begins."""
    acquisitions = [a for n in range(2) for s in range(3) for a in lines(range(N), average=n, slice=s, end=True)]
    buckets, _, scan = left(scans.header((1, N, 8)), acquisitions)
    assert counters(buckets, "slice", "average") == [(0, 0), (1, 0), (2, 0)]
    assert "whose image has left" in scan.warnings[-1]
    assert all(np.array_equal(bucket.kspace, KSPACE) for bucket in buckets)


def test_lines_that_lack_averages_of_the_others_are_told() -> None:
    acquisitions = averages("one after the other", False, 1)
    (bucket,), _, _ = left(scans.header((1, N, 8)), acquisitions[:-3])
    assert bucket.warnings[-1] == "some lines have 1 averages, others 2; expected as many of all"
    assert np.allclose(bucket.kspace, KSPACE)


def test_acquisitions_are_not_changed() -> None:
    acquisitions = [*averages("one after the other", True, 2), *lines([2])]
    before = copy.deepcopy(acquisitions)
    left(scans.header((1, N, 8)), acquisitions)
    for a, b in zip(acquisitions, before, strict=True):
        assert a.getHead() == b.getHead() and np.array_equal(a.data, b.data)
