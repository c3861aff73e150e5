"""Which images are denoised together, and when they leave."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from snrstream.denoising.group import Frame
from snrstream.denoising.neighbours import Neighbours, Stack
from snrstream.items import ReconImage

from .images import recon_image

N_BYTES = Frame(recon_image()).n_bytes
INTERLEAVED = (0, 2, 4, 1, 3)  # positions, in the order of acquisition: slice counters are 0, 1, 2, 3, 4


def frames_of(stack: Stack) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """(slice, repetition, phase) of the frames of a stack, and of those that leave."""
    places = [(idx.slice, idx.repetition, idx.phase) for idx in (frame.image.head.idx for frame in stack.frames)]
    return places, [places[n] for n in stack.leaving]


def neighbours(
    axis: str, n_frames: int, mode: str, n_slices: int | None = None, most_bytes: int = 1000 * N_BYTES
) -> Neighbours:
    return Neighbours(axis, n_frames, mode, n_slices, most_bytes, n_times=20)


def given(collected: Neighbours, images: list[ReconImage]) -> list[list[tuple[list, list]]]:
    """The stacks after each image, and at last those at the end."""
    steps = [collected.add(Frame(image)) for image in images] + [collected.end()]
    return [[frames_of(stack) for stack in stacks] for stacks in steps]


def slices(repetition: int = 0, positions=INTERLEAVED, **others) -> list[ReconImage]:
    return [
        recon_image(slice=n, repetition=repetition, position=(0, 0, 5.0 * z), **others) for n, z in enumerate(positions)
    ]


def order(*positions: int, repetition: int = 0) -> list[tuple[int, int, int]]:
    """Frames at these positions of the interleaved slices."""
    return [(INTERLEAVED.index(position), repetition, 0) for position in positions]


@pytest.mark.parametrize("axis", ["none", "depth"])
@pytest.mark.parametrize("mode", ["streaming", "series"])
def test_a_model_that_wants_no_other_image_gets_each_by_itself_at_once(axis, mode) -> None:
    images = [recon_image(shape=(3, 4, 5), repetition=n) for n in range(3)]
    steps = given(neighbours(axis, 4, mode), images)
    assert steps == [*([([(0, n, 0)], [(0, n, 0)])] for n in range(3)), []]


def test_in_time_the_newest_image_leaves_with_those_before_it() -> None:
    images = [recon_image(slice=s, repetition=n) for n in range(5) for s in range(2)]
    steps = given(neighbours("time", 3, "streaming"), images)
    for image, (stack,) in zip(images, steps[:-1], strict=True):
        idx = image.head.idx
        frames = [(idx.slice, n, 0) for n in range(max(0, idx.repetition - 2), idx.repetition + 1)]
        assert stack == (frames, frames[-1:])
    assert steps[-1] == []


def test_time_is_repetition_then_phase_whenever_an_image_comes() -> None:
    arrival = [(0, 0), (0, 2), (0, 1), (1, 0)]
    steps = given(neighbours("time", 3, "streaming"), [recon_image(repetition=r, phase=p) for r, p in arrival])
    stacks = [stack for (stack,) in steps[:-1]]
    assert stacks[2] == ([(0, 0, 0), (0, 0, 1)], [(0, 0, 1)])
    assert stacks[3] == ([(0, 0, 1), (0, 0, 2), (0, 1, 0)], [(0, 1, 0)])


def test_a_stack_in_time_of_any_number_of_frames_is_bounded() -> None:
    steps = given(neighbours("time", 0, "streaming"), [recon_image(repetition=n) for n in range(20)])
    assert [len(stack[0]) for (stack,) in steps[:-1]] == [min(n, 8) for n in range(1, 21)]


def test_slices_leave_in_order_of_position_once_all_are_there_and_later_with_their_neighbours() -> None:
    steps = given(neighbours("slice", 3, "streaming", n_slices=5), slices(0) + slices(1))
    assert steps[:4] == [[]] * 4
    assert steps[4] == [(order(0, 1, 2, 3, 4), order(0, 1, 2, 3, 4))]
    second = [[(order(*frames, repetition=1), order(*leaving, repetition=1)) for frames, leaving in step] for step in (
        [], [], [], [((0, 1, 2), (0, 1))], [((1, 2, 3, 4), (2, 3, 4))],
    )]  # fmt: skip
    assert steps[5:] == [*second, []]


def test_unknown_slices_leave_when_the_next_repetition_begins_or_the_scan_ends() -> None:
    steps = given(neighbours("slice", 3, "streaming"), [*slices(0), *slices(1)[:2]])
    whole = order(0, 1, 2, 3, 4)
    assert steps == [[], [], [], [], [], [(whole, whole)], [], [(order(0, 2, repetition=1),) * 2]]


def test_a_slice_that_comes_again_begins_a_repetition_though_no_counter_tells() -> None:
    steps = given(neighbours("slice", 3, "streaming"), slices(0) + slices(0))
    whole = order(0, 1, 2, 3, 4)
    assert steps[5] == [(whole, whole)] and steps[8] == [(order(0, 1, 2), order(0, 1))]


def test_slices_that_the_header_does_not_know_wait_for_the_repetitions_end() -> None:
    steps = given(neighbours("slice", 3, "streaming", n_slices=1), slices(0, positions=(0, 1, 2)))
    assert steps == [[([(0, 0, 0)], [(0, 0, 0)])], [], [], [([(1, 0, 0), (2, 0, 0)], [(1, 0, 0), (2, 0, 0)])]]


def test_without_positions_slices_are_in_order_of_their_counter() -> None:
    images = [recon_image(slice=n, normal=(0, 0, 0)) for n in (2, 0, 1)]
    steps = given(neighbours("slice", 0, "streaming", n_slices=3), images)
    assert steps[2] == [([(0, 0, 0), (1, 0, 0), (2, 0, 0)], [(0, 0, 0), (1, 0, 0), (2, 0, 0)])]


def test_partitions_are_the_slices_of_a_volume() -> None:
    steps = given(neighbours("slice", 3, "series"), [recon_image(shape=(4, 5, 6))])
    assert steps == [[([(0, 0, 0)], [(0, 0, 0)])], []]


def other_directions() -> ReconImage:
    image = recon_image(slice=1, repetition=1)
    image.head.read_dir[:] = (0, 1, 0)
    return image


OTHERS = [
    recon_image(slice=1, repetition=1, shape=(1, 13, 20)),
    recon_image(slice=1, repetition=1, contrast=1),
    recon_image(slice=1, repetition=1, set=1),
    recon_image(slice=1, repetition=1, normal=(0, 1, 0)),
    recon_image(slice=1, repetition=1, position=(3, 0, 0)),
    other_directions(),
    dataclasses.replace(recon_image(slice=1, repetition=1), voxel_mm=(1.0, 2.0, 1.0)),
]


@pytest.mark.parametrize("axis", ["time", "slice"])
@pytest.mark.parametrize("other", OTHERS, ids=["shape", "contrast", "set", "normal", "place", "directions", "pixels"])
def test_images_of_other_shape_geometry_or_counters_do_not_mix(axis, other) -> None:
    """The other one is a neighbour by all else."""
    if axis == "time":
        other.head.idx.slice, first = 0, recon_image(repetition=0)
        like = recon_image(repetition=1)
    else:
        first, like = recon_image(repetition=1), recon_image(slice=1, repetition=1, position=(0, 0, 5))
    series = neighbours(axis, 3, "series")
    assert [len(frames) for frames, _ in given(series, [first, like])[-1]] == [2]
    assert [len(frames) for frames, _ in given(neighbours(axis, 3, "series"), [first, other])[-1]] == [1, 1]


@pytest.mark.parametrize("axis", ["time", "slice"])
def test_a_series_leaves_whole_and_in_order_at_its_end(axis) -> None:
    images = slices(0) + slices(1)
    *before, last = given(neighbours(axis, 3, "series", n_slices=5), images)
    assert before == [[]] * 10
    if axis == "slice":
        expected = [order(0, 1, 2, 3, 4, repetition=r) for r in (0, 1)]
    else:
        expected = [[(s, 0, 0), (s, 1, 0)] for s in range(5)]
    assert last == [(frames, frames) for frames in expected]


@pytest.mark.parametrize("axis", ["time", "slice"])
def test_a_series_beyond_the_bound_goes_on_with_the_frames_at_hand_and_a_warning(axis, caplog) -> None:
    collected = neighbours(axis, 3, "series", n_slices=5, most_bytes=7 * N_BYTES)
    images = slices(0) + slices(1) + slices(2) if axis == "slice" else [recon_image(repetition=n) for n in range(15)]
    left = []
    for image in images:
        stacks = collected.add(Frame(image))
        left += [(len(left), stack.mode, stack.warnings) for stack in stacks for _ in stack.leaving]
        assert collected._n_bytes <= 7 * N_BYTES
    for stack in collected.end():
        left += [(0, stack.mode, stack.warnings) for _ in stack.leaving]
    assert len(left) == 15, "each once"
    assert [(mode, len(told)) for _, mode, told in left] == [("series", 0)] * 8 + [("streaming", 1)] * 7
    assert "until the series ends: denoised with the frames at hand from here on" in left[-1][2][0]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("axis", "n_frames"), [("time", 9), ("slice", 3)])
def test_streaming_holds_no_more_than_the_bound_either(axis, n_frames, caplog) -> None:
    collected = neighbours(axis, n_frames, "streaming", n_slices=20, most_bytes=4 * N_BYTES)
    images = slices(0, range(20)) if axis == "slice" else [recon_image(repetition=n) for n in range(20)]
    stacks = []
    for image in images:
        stacks += collected.add(Frame(image))
        assert collected._n_bytes <= 4 * N_BYTES
    stacks += collected.end()
    leaving = [places for stack in stacks for places in frames_of(stack)[1]]
    counters = [(n, 0, 0) if axis == "slice" else (0, n, 0) for n in range(20)]
    assert leaving == counters
    assert max(len(stack.frames) for stack in stacks) <= 5
    assert "as neighbours: denoised with fewer from here on" in stacks[-1].warnings[0]
    assert len(caplog.records) == 1


def test_a_random_stream_leaves_each_image_once_with_neighbours_of_its_own_kind() -> None:
    """Whatever the order of arrival."""
    rng = np.random.default_rng(1)
    for axis in ("time", "slice"):
        for n_frames in (0, 1, 2, 5):
            images = [image for r in range(4) for image in slices(r, range(6))]
            collected = neighbours(
                axis, n_frames, "streaming", n_slices=6, most_bytes=int(rng.integers(1, 20)) * N_BYTES
            )
            steps = given(collected, [images[n] for n in rng.permutation(len(images))])
            stacks = [stack for step in steps for stack in step]
            assert sorted(place for _, leaving in stacks for place in leaving) == sorted(
                (s, r, 0) for s in range(6) for r in range(4)
            )
            for frames, _ in stacks:
                assert all(a < b for a, b in pairwise(frames))
                assert len({place[0 if axis == "time" else 1] for place in frames}) == 1
