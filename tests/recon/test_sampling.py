import itertools

import numpy as np
import pytest

from snrstream.errors import ScanError
from snrstream.recon.lattice import Lattice
from snrstream.recon.sampling import (
    central_block,
    central_window,
    covered,
    find_lattice,
    missing_lines,
    on_lattice,
    require_steps,
)

from .simulation import lattice_mask

LATTICES = [
    Lattice((1, 1)), Lattice((3, 1)), Lattice((1, 3)), Lattice((2, 2)), Lattice((2, 2), 1), Lattice((4, 1), 2),
    Lattice((3, 2), 1), Lattice((2, 3), 1),
]  # fmt: skip


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("first", [(0, 0), (1, 1)])
def test_the_lattice_is_found_with_lines_missing_and_stray_ones(lattice: Lattice, first: tuple[int, int]) -> None:
    mask = lattice_mask(lattice, 13, 24, first).numpy()
    lines = np.argwhere(mask)
    rng = np.random.default_rng(0)
    kept = np.concatenate([lines[rng.random(len(lines)) > 0.2], np.argwhere(~mask)[:2]])
    found, start = find_lattice(kept, lattice.acceleration)
    assert found == lattice
    every = np.argwhere(np.ones_like(mask))
    assert np.array_equal(on_lattice(every, found, start).reshape(mask.shape), mask)


def test_a_shift_along_e2_is_a_lattice_too() -> None:
    """CAIPIRINHA 2 x 2 with a shift of one partition: every partition has every fourth line."""
    mask = np.fromfunction(lambda z, y: (y % 2 == 0) & ((z - y // 2) % 2 == 0), (8, 16))
    assert find_lattice(np.argwhere(mask), (2, 2))[0] == Lattice((4, 1), 2)


def test_a_2d_scan_has_one_partition() -> None:
    assert find_lattice(np.array([(0, y) for y in range(2, 20, 4)]), (4, 1)) == (Lattice((4, 1)), (0, 2))


def test_sources_of_shifted_lattices_are_acquired_lines_around_the_missing_ones() -> None:
    for lattice in (Lattice((2, 2), 1), Lattice((4, 1), 2), Lattice((3, 2), 1)):
        sources = np.array(lattice.neighbours(4, 4))
        assert len(np.unique(sources, axis=0)) == 16 and (0, 0) in map(tuple, sources)
        assert on_lattice(sources, lattice, (0, 0)).all()
        middle = np.array(lattice.missing()).mean(axis=0)
        assert np.linalg.norm(sources.mean(axis=0) - middle) < 1


@pytest.mark.parametrize("lattice", LATTICES)
def test_regular_sampling_covers_everything_and_partial_fourier_does_not(lattice: Lattice) -> None:
    lines = lattice_mask(lattice, 12, 24).float()
    assert covered(lines, lattice).all()
    lines[:, 16:] = 0
    known = covered(lines, lattice)
    assert known[:, :16].all() and not known[:, 20:].any()


def test_the_block_around_the_centre() -> None:
    mask = np.zeros((12, 24), bool)
    mask[3:9, 8:16] = True
    mask[5, 4:20] = True
    assert central_block(mask) == (slice(3, 9), slice(8, 16))
    assert central_block(mask[5:6]) == (slice(0, 1), slice(4, 20))
    mask[:, 14] = False
    assert central_block(mask) == (slice(3, 9), slice(8, 14))  # not the larger one beside the gap
    mask[6, 12] = False
    assert central_block(mask) == (slice(0, 0), slice(0, 0))


def test_lines_of_one_partition_are_taken_to_follow_the_acceleration_that_is_told() -> None:
    lines = np.array([(2, y) for y in range(1, 24, 2)])
    assert find_lattice(lines, (2, 2)) == (Lattice((2, 2)), (0, 1))


@pytest.mark.parametrize(("told", "axis", "step"), [((2, 1), "e1", 4), ((1, 2), "e2", 4)])
def test_more_acceleration_than_the_header_tells(told: tuple[int, int], axis: str, step: int) -> None:
    lines = np.argwhere(lattice_mask(Lattice((4, 1) if axis == "e1" else (1, 4)), 12, 24).numpy())
    with pytest.raises(ScanError, match=f"steps of {step} along {axis}; the header's acceleration expects 2"):
        require_steps(lines, Lattice(told))


def test_only_corners_may_be_left_out() -> None:
    z, y = np.mgrid[:16, :20]
    expected, inside = np.ones((16, 20), bool), np.hypot((z - 8) / 8, (y - 10) / 10) <= 1
    assert len(missing_lines(inside, expected, (8, 10))) == 0
    inside[8, 9] = False
    assert missing_lines(inside, expected, (8, 10)).tolist() == [[8, 9]]
    short = expected.copy()
    short[15] = False
    assert len(missing_lines(short, expected, (8, 10))) == 20


def test_the_central_window_is_the_run_of_lines_nearest_to_the_centre() -> None:
    """For every block around k = 0 of short axes: as many lines as there are, their middle nearest to k = 0."""
    for size in range(1, 13):
        centre = size // 2
        for start, stop, most in itertools.product(range(centre + 1), range(centre + 1, size + 1), (1, 2, 5, 8)):
            n = min(most, stop - start)
            nearest = min(range(start, stop - n + 1), key=lambda first: abs(first + most // 2 - centre))
            assert central_window(slice(start, stop), size, most) == slice(nearest, nearest + n)
