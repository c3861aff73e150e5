"""Accelerated scans at random: slices that alternate, calibration lines of many kinds, and lines in any order.

Every image leaves once, with the very lines that came for it, and its calibration is that of its slice, as the latest
image that brought one had it. Whoever takes an image uses its calibration at once, as `grappa` does.
"""

from dataclasses import dataclass, field
from itertools import product

import ismrmrd
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snrstream.gadgets import accumulate
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket

from .. import scans
from ..scans import random_complex

CALIBRATION, BOTH = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
N, N_SAMPLES, N_CHANNELS = 24, 8, 2
BLOCK = range(8, 17)  # of calibration lines, around k = 0
LARGEST = 3  # slices, and repetitions
# How the calibration lines of an image come: not at all, besides its own lines, as some of its own lines with the flag
# of both, as lines that are flagged for calibration alone and lent to the image, or without a flag.
KINDS = ("none", "besides", "both", "lent", "unflagged")
PHANTOM = [
    [random_complex(N_CHANNELS, 1, N, N_SAMPLES, seed=LARGEST * s + n) for n in range(LARGEST)] for s in range(LARGEST)
]
for _kspace in (kspace for of_slice in PHANTOM for kspace in of_slice):
    _kspace[:, :, N // 2, N_SAMPLES // 2] = 100  # the echo


@dataclass(frozen=True)
class RandomScan:
    """The kind of each image's calibration lines, `[repetition][slice]`, and the acquisitions."""

    r: int
    kinds: list[list[str]]
    acquisitions: list[ismrmrd.Acquisition] = field(repr=False)


def lines_of(kind: str, r: int) -> list[tuple[int, tuple[int, ...]]]:
    """The lines of an image and their flags."""
    lattice = [y for y in range(N) if y % r == N // 2 % r]
    if kind == "none":
        return [(y, ()) for y in lattice]
    if kind == "besides":
        return [(y, (CALIBRATION,)) for y in BLOCK] + [(y, ()) for y in lattice]
    if kind == "lent":
        return [(y, (CALIBRATION,)) for y in BLOCK] + [(y, ()) for y in lattice if y not in BLOCK]
    flags = {"both": ((BOTH,), (CALIBRATION,)), "unflagged": ((), ())}[kind]
    return [(y, flags[y not in lattice]) for y in BLOCK] + [(y, ()) for y in lattice if y not in BLOCK]


@st.composite
def random_scans(draw: st.DrawFn) -> RandomScan:
    """Of some slices and repetitions. The lines of a repetition's slices come in any order, the last one flagged."""
    n_slices, n_repetitions = draw(st.integers(1, LARGEST)), draw(st.integers(1, LARGEST))
    r = draw(st.integers(2, 3))
    kinds = draw(st.lists(st.lists(st.sampled_from(KINDS), min_size=n_slices, max_size=n_slices),
                          min_size=n_repetitions, max_size=n_repetitions))  # fmt: skip
    random = draw(st.randoms(use_true_random=False))
    out: list[ismrmrd.Acquisition] = []
    for n in range(n_repetitions):
        images = [ordered(random, image(kinds[n][s], r, s, n)) for s in range(n_slices)]
        places = [s for s in range(n_slices) for _ in images[s]]
        if draw(st.booleans()):
            random.shuffle(places)
        taken = [iter(lines) for lines in images]
        out += [next(taken[s]) for s in places]
    return RandomScan(r, kinds, out)


def image(kind: str, r: int, s: int, n: int) -> list[ismrmrd.Acquisition]:
    return [
        next(scans.acquisitions(PHANTOM[s][n], [(0, y)], flags, end=False, slice=s, repetition=n))
        for y, flags in lines_of(kind, r)
    ]


def ordered(random, lines: list[ismrmrd.Acquisition]) -> list[ismrmrd.Acquisition]:
    """As they are, calibration lines first, or last, or all lines in any order; the last one ends the slice."""
    order = random.choice(["as they are", "from the end", "any"])
    if order == "from the end":
        lines.reverse()
    elif order == "any":
        random.shuffle(lines)
    lines[-1].set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    return lines


def left_of(scan: RandomScan) -> tuple[dict[tuple[int, int], Bucket], bool]:
    """The images by slice and repetition, and whether lines came after their image had left."""
    told, left = Scan(scans.header((1, N, N_SAMPLES), (scan.r, 1))), {}
    for bucket in run_gadget(accumulate, scan.acquisitions, told):
        assert bucket.calibration is None or bucket.calibration.block.warnings == ()
        assert left.setdefault((bucket.head.idx.slice, bucket.head.idx.repetition), bucket) is bucket
    return left, any("whose image has left" in text for text in told.warnings)


def behind(*kinds: str, r: int = 2) -> RandomScan:
    """Repetitions of one slice."""
    lines = [image(kind, r, 0, n) for n, kind in enumerate(kinds)]
    for of_image in lines:
        of_image[-1].set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    return RandomScan(r, [[kind] for kind in kinds], [line for of_image in lines for line in of_image])


@settings(max_examples=60)
@example(behind("none", "lent"))
@given(random_scans())
def test_every_image_leaves_with_its_own_lines_and_a_calibration_of_its_slice(scan: RandomScan) -> None:
    lattice = [y for y in range(N) if y % scan.r == N // 2 % scan.r]
    n_repetitions, n_slices = len(scan.kinds), len(scan.kinds[0])
    left, are_late = left_of(scan)
    assert left.keys() == set(product(range(n_slices), range(n_repetitions)))
    assert n_slices > 1 or not are_late  # before the first end is flagged, a whole image leaves ahead of another's line
    for (s, n), bucket in left.items():
        acquired, expected = np.zeros((2, 1, N, N_CHANNELS, N_SAMPLES), np.complex64)
        bucket.grid.of(acquired)[...] = bucket.kspace.numpy().transpose(1, 2, 0, 3)
        expected[:, lattice] = PHANTOM[s][n][:, :, lattice].transpose(1, 2, 0, 3)
        assert np.array_equal(acquired, expected) and bucket.lattice.acceleration == (scan.r, 1)
        bringing = [m for m in range(n_repetitions) if scan.kinds[m][s] != "none"]
        if not bringing:
            assert bucket.calibration is None
            continue
        latest = max((m for m in bringing if m <= n), default=bringing[0])
        block, (_, first) = bucket.calibration.kspace.numpy(), bucket.calibration.start
        stop = first + block.shape[2]
        assert are_late or (first <= BLOCK.start and BLOCK.stop <= stop)
        of = bringing if are_late else [latest]
        assert any(np.array_equal(block, PHANTOM[s][m][:, :, first:stop]) for m in of)
