"""Which memory an image goes on with, and how much is kept."""

import numpy as np
import pytest

from snrstream.denoising import streams as module
from snrstream.denoising.group import Frame
from snrstream.denoising.state import State
from snrstream.denoising.streams import LATE, MISSING, MOVED, Streams
from snrstream.items import ReconImage

from .images import recon_image

WINDOW = 3  # frames kept of a stream
N_BYTES = 4 * 10  # of each


class Told:
    """Streams whose states hold the numbers of the images that they are of, as those of a network do."""

    def __init__(self, phases=(0, 0), most_bytes=1 << 20) -> None:
        self.streams = Streams(phases, most_bytes)
        self.n_images = 0

    def __call__(self, image: ReconImage, fails: bool = False) -> tuple[list[int], str]:
        """The numbers of the images before it that the network sees, and the warning."""
        number, self.n_images = self.n_images, self.n_images + 1
        (stack,) = self.streams.add(Frame(image))
        assert stack.axis == "time" and stack.mode == "streaming" and stack.leaving == (0,)
        memory = stack.memory
        seen = [int(frame[0]) for frame in memory.states[0].past[0]] if memory.states else []
        told = "; ".join(text for text in (*stack.warnings, memory.lost) if text)
        if fails:
            self.streams.lose(memory)
        else:
            past = np.repeat(np.float32([*seen, number])[-WINDOW:, None], 10, axis=1)
            self.streams.keep(memory, (State((1, 1), "", (past,)),))
        return seen, told


def given(images: list[ReconImage], **changes) -> list[tuple[list[int], str]]:
    told = Told(**changes)
    return [told(image) for image in images]


def repetitions(*numbers: int, **others) -> list[ReconImage]:
    return [recon_image(repetition=n, **others) for n in numbers]


def test_each_image_sees_those_before_it() -> None:
    assert given(repetitions(*range(6))) == [([], ""), ([0], ""), ([0, 1], ""), ([0, 1, 2], ""), ([1, 2, 3], ""),
                                             ([2, 3, 4], "")]  # fmt: skip


def test_phases_go_on_into_the_next_cycle() -> None:
    cine = [recon_image(repetition=r, phase=p) for r in range(3) for p in range(4)]
    for phases in (None, (0, 3), (0, 0)):
        assert all(told == "" and len(seen) == min(n, 3) for n, (seen, told) in enumerate(given(cine, phases=phases)))
    short = [image for image in cine if image.head.idx.phase < 3]
    told = [told for _, told in given(short, phases=(0, 3))]
    assert told == [MISSING if n in (3, 6) else "" for n in range(9)], "the last phase of each cycle"


@pytest.mark.parametrize("counters", [{"slice": 1}, {"contrast": 1}, {"set": 1}, {"average": 1}])
def test_other_slices_contrasts_sets_and_averages_are_streams_of_their_own(counters) -> None:
    images = [image for n in range(4) for image in (recon_image(repetition=n), recon_image(repetition=n, **counters))]
    for which in (0, 1):
        seen = [[number // 2 for number in seen] for seen, told in given(images)[which::2] if not told]
        assert seen == [[], [0], [0, 1], [0, 1, 2]]
    other = images[2]
    other.head.encoding_space_ref = 1
    assert given([images[0], other]) == [([], ""), ([], "")]


def test_a_gap_begins_a_stream_anew() -> None:
    assert given(repetitions(0, 1, 3, 4)) == [([], ""), ([0], ""), ([], MISSING), ([2], "")]


def test_a_late_or_repeated_image_is_alone_and_the_stream_goes_on_without_it() -> None:
    assert given(repetitions(4, 5, 5, 6)) == [([], ""), ([0], ""), ([], LATE), ([0, 1], "")]
    assert given(repetitions(4, 5, 2, 6)) == [([], ""), ([0], ""), ([], LATE), ([0, 1], "")]


def test_counters_that_begin_again_are_followed() -> None:
    expected = [([], ""), ([0], ""), ([0, 1], ""), ([], LATE), ([3], ""), ([3, 4], ""), ([3, 4, 5], "")]
    assert given(repetitions(0, 1, 2, 0, 1, 2, 3)) == expected


def test_another_size_or_place_begins_a_stream_anew() -> None:
    larger = recon_image(repetition=2, shape=(1, 16, 18))
    moved = recon_image(repetition=2, position=(0, 0, 5))
    for other in (larger, moved):
        assert given([*repetitions(0, 1), other])[-1] == ([], MOVED)
    back = given([*repetitions(0, 1), larger, *repetitions(3, 4)])
    assert back[3:] == [([], MISSING), ([3], "")], "what came in between is not to be passed over"


def test_places_without_a_counter_are_streams_of_their_own() -> None:
    images = [recon_image(repetition=n, position=(0, 0, 5 * z)) for n in range(3) for z in range(2)]
    assert given(images) == [([], ""), ([], ""), ([0], ""), ([1], ""), ([0, 2], ""), ([1, 3], "")]


def test_places_that_do_not_come_back_are_forgotten() -> None:
    told = Told()
    for n in range(3 * module.MOST_PLACES):
        told(recon_image(repetition=n, position=(0, 0, 5 * n)))
        told(recon_image(repetition=max(0, n - 1), position=(0, 0, 5 * n)))  # a late one each
    assert sum(len(streams) for streams in told.streams._streams.values()) == module.MOST_PLACES
    assert len(told.streams._kept) <= 2 * module.MOST_PLACES


def test_after_a_failure_the_next_image_begins_anew_and_says_so_once(caplog) -> None:
    told = Told()
    images = repetitions(*range(8))
    assert [told(image, fails=n in (2, 3, 6)) for n, image in enumerate(images)] == [
        ([], ""), ([0], ""), ([0, 1], ""), ([], module.FAILED), ([], module.FAILED), ([4], ""), ([4, 5], ""),
        ([], module.FAILED),
    ]  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == [module.FAILED]


def test_each_reason_is_logged_once(caplog) -> None:
    given(repetitions(0, 2, 4, 4, 4, 6))
    assert [record.getMessage() for record in caplog.records] == [MISSING, LATE]


def test_beyond_the_bound_what_waited_longest_goes_first(caplog) -> None:
    """One slice after the other, with all of its repetitions."""
    told = Told(most_bytes=4 * N_BYTES)
    images = [recon_image(slice=s, repetition=r) for s in range(3) for r in range(5)]
    seen = [told(image) for image in images]
    assert [len(numbers) for numbers, _ in seen] == [0, 1, 2, 3, 3] * 3 and all(not text for _, text in seen)
    assert sum(memory.n_bytes for memory in told.streams._kept) <= 4 * N_BYTES
    assert told(recon_image(slice=0, repetition=5)) == ([], "denoised without the images before it: more than "
                                                        "0.0001526 MiB would be kept of them")  # fmt: skip
    assert len(caplog.records) == 1


def test_of_more_slices_than_fit_the_others_keep_theirs(caplog) -> None:
    """Were it always the oldest that goes, none of them would be there when its slice comes again."""
    told = Told(most_bytes=(3 * WINDOW + 1) * N_BYTES)
    seen = [[told(recon_image(slice=s, repetition=r)) for s in range(4)] for r in range(12)]
    anew = [{number for number, (_, text) in enumerate(row) if "would be kept" in text} for row in seen]
    assert len(set.union(*anew)) == 1, "but one slice"
    assert all(sorted(len(numbers) for numbers, _ in row)[1:] == [WINDOW] * 3 for row in seen[WINDOW:])
    assert sum(memory.n_bytes for memory in told.streams._kept) <= (3 * WINDOW + 1) * N_BYTES
    assert len(caplog.records) == 1


def test_no_memory_at_all_is_no_error() -> None:
    seen = given(repetitions(*range(4)), most_bytes=N_BYTES - 1)
    assert [numbers for numbers, _ in seen] == [[]] * 4 and [bool(text) for _, text in seen] == [False, *[True] * 3]
