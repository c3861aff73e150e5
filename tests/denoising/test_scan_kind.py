"""Along which axis a network is given the images of a scan, by what the header says."""

from itertools import combinations, product

import pytest
from ismrmrd import xsd

from snrstream.denoising.scan_kind import ScanKind, axis_of, scan_kind
from tests.scans import NO_HEADER, header

ALL = ("time", "slice", "depth")


def kind(n_slices: int | None = None, n_repetitions: int = 1, n_phases: int = 1) -> ScanKind:
    return ScanKind(n_slices, n_repetitions, (0, n_phases - 1))


@pytest.mark.parametrize(
    ("what", "n_partitions", "scan", "expected"),
    [
        ("a single image", 1, kind(1), "time"),
        ("a header without limits", 1, ScanKind(), "time"),
        ("repetitions", 1, kind(1, 60), "time"),
        ("a cine", 1, kind(1, 1, 25), "time"),
        ("two images of one slice", 1, kind(1, 2), "time"),
        ("a stack", 1, kind(12), "slice"),
        ("a stack, measured three times", 1, kind(12, 3), "slice"),
        ("a stack of series", 1, kind(12, 4), "time"),
        ("a stack of cines", 1, kind(12, 1, 25), "time"),
        ("cycles of two phases", 1, kind(12, 2, 2), "time"),
        ("a volume", 40, kind(1), "depth"),
        ("volumes in time", 40, kind(1, 30), "depth"),
        ("slabs", 40, kind(3), "depth"),
    ],
)
def test_a_network_of_all_axes(what, n_partitions, scan, expected) -> None:
    assert axis_of(ALL, n_partitions, scan) == expected, what


@pytest.mark.parametrize(
    ("frames", "n_partitions", "scan", "expected"),
    [
        (("time", "slice"), 40, kind(1, 30), "slice"),
        (("time", "depth"), 1, kind(12, 1), "time"),
        (("time", "depth"), 1, kind(12, 2), "time"),
        (("slice", "depth"), 1, kind(1, 60), "none"),
        (("slice", "depth"), 1, kind(12, 60), "slice"),
        (("slice", "depth"), 1, ScanKind(), "none"),
    ],
)
def test_a_network_of_two_axes(frames, n_partitions, scan, expected) -> None:
    assert axis_of(frames, n_partitions, scan) == axis_of(frames[::-1], n_partitions, scan) == expected


def test_it_is_never_an_axis_that_the_network_does_not_take() -> None:
    scans = [kind(*numbers) for numbers in product((None, 1, 12), (1, 2, 60), (1, 25))]
    for n in range(4):
        for frames, n_partitions, scan in product(combinations(ALL, n), (1, 40), scans):
            found = axis_of(frames, n_partitions, scan)
            assert found in frames or (found == "none" and n_partitions == 1) or not frames
            if n == 1:
                assert found == frames[0], "as it always was"


def test_the_kind_of_a_scan_is_that_of_the_header_s_limits() -> None:
    assert scan_kind(NO_HEADER) == ScanKind()
    scan = header((1, 8, 8))
    limits = scan.encoding[0].encodingLimits
    limits.slice, limits.repetition, limits.phase = (
        xsd.limitType(minimum=low, center=low, maximum=high) for low, high in ((0, 4), (0, 11), (1, 3))
    )
    found = scan_kind(scan)
    assert found == ScanKind(5, 12, (1, 3)) and found.n_times == 36
    limits.slice = limits.repetition = limits.phase = None
    assert scan_kind(scan) == ScanKind()
