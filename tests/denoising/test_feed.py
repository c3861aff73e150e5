"""A network for any number of frames, fed through the gadget by what the scan is."""

import dataclasses

import numpy as np
import pytest
from ismrmrd import xsd

from snrstream.denoising import answer
from snrstream.denoising.loaded import load_model
from snrstream.denoising.model import Model
from snrstream.denoising.streams import FAILED, LATE, MISSING, MOVED
from snrstream.errors import ModelError, ModelTimeout
from snrstream.gadgets import denoise
from snrstream.gadgets.gadget import Scan, stream
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from snrstream.wire.messages import Pause
from tests.scans import header

from .conftest import warnings_of
from .frame_model import FrameMean
from .images import recon_image
from .networks import REMEMBERS, remembering_file

pytest.importorskip("onnxscript")
CLOSE = 1e-3  # of values up to 40: what a stream may differ from the whole causal series
FAR = 0.05
SHAPE = 1, 20, 27
SEEN = REMEMBERS["window"] - 1


@pytest.fixture
def model(install) -> Model:
    """That the gadget will load; what it is asked is counted by `asked`."""
    install(remembering_file(), **REMEMBERS)
    return load_model("tiny", denoise.TIMEOUT_S)


@pytest.fixture
def asked(model, monkeypatch) -> list[tuple[int, int]]:
    """(frames run, frames kept before them) of each run of the network."""
    runs: list[tuple[int, int]] = []
    backend = model._devices.setup.backend
    together, remembering = backend.run, backend.run_remembering

    def run_together(x, stop):
        runs.append((x.shape[2], 0))
        return together(x, stop)

    def run_remembering(x, causal, past, stop):
        runs.append((x.shape[2], past[0].shape[1]))
        return remembering(x, causal, past, stop)

    monkeypatch.setattr(backend, "run", run_together)
    monkeypatch.setattr(backend, "run_remembering", run_remembering)
    return runs


def scan_of(n_slices=1, n_repetitions=1, n_phases=1) -> xsd.ismrmrdHeader:
    head = header(SHAPE)
    limits = head.encoding[0].encodingLimits
    limits.slice, limits.repetition, limits.phase = (
        xsd.limitType(minimum=0, center=0, maximum=n - 1) for n in (n_slices, n_repetitions, n_phases)
    )
    return head


def image(seed=0, shape=SHAPE, **others) -> ReconImage:
    """Of signal and noise, with a g-map of its own."""
    found = recon_image(seed, shape, **others)
    gmap = (1 + 0.5 * np.random.default_rng(seed).random(shape)).astype(np.float32)
    return dataclasses.replace(found, image=8 * found.image, gmap=gmap, voxel_mm=(1.0, 1.0, 5.0))


def repetitions(n: int, seed=0, **others) -> list[ReconImage]:
    return [image(seed + r, repetition=r, **others) for r in range(n)]


def stack(n: int, apart_mm=5.0, repetition=0) -> list[ReconImage]:
    return [image(50 * repetition + s, slice=s, position=(0, 0, s * apart_mm), repetition=repetition) for s in range(n)]


def run(images, head=None, **properties) -> list[ReconImage]:
    """The denoised images and stand-ins, in order."""
    parameters = denoise.Parameters(model="tiny", **{"alpha": 0.0, **properties})
    out = list(run_gadget(denoise, images, head or scan_of(), parameters))
    return [item for item in out if item.kind in (ImageKind.DENOISED, ImageKind.STAND_IN)]


def together(model: Model, images: list[ReconImage], causal=False) -> np.ndarray:
    """The answer to all partitions of all images as one stack of frames."""
    frames, gmaps = (np.concatenate([getattr(i, name) for i in images]) for name in ("image", "gmap"))
    return answer.denoise(model, frames, gmaps, 30.0, causal)


def assert_close(seconds: list[ReconImage], expected: np.ndarray) -> None:
    found = np.concatenate([second.image for second in seconds])
    assert all(second.kind is ImageKind.DENOISED for second in seconds)
    assert found.shape == expected.shape and np.abs(found - expected).max() < CLOSE


def told(seconds: list[ReconImage]) -> list[tuple[str, ...]]:
    return [second.warnings for second in seconds]


def frames_of(seconds: list[ReconImage]) -> list[tuple[str, int]]:
    return [(s.meta["SNRSTREAM_frames"], int(s.meta["SNRSTREAM_frames_used"])) for s in seconds]


@pytest.mark.parametrize("head", [scan_of(n_repetitions=12), scan_of()], ids=["announced", "not announced"])
def test_a_streamed_series_is_the_whole_causal_one_and_runs_each_image_once(model, asked, head) -> None:
    images = repetitions(12)
    seconds = run(images, head)
    assert asked == [(1, min(n, SEEN)) for n in range(12)]
    expected = together(model, images, causal=True)
    assert_close(seconds, expected)
    assert np.abs(together(model, images[:1]) - expected[:1]).max() < CLOSE
    assert np.abs(together(model, images[5:6]) - expected[5:6]).max() > FAR, "those before have a say"
    assert frames_of(seconds) == [("none", 1), *(("time, streaming", min(n, SEEN) + 1) for n in range(1, 12))]
    assert told(seconds) == [()] * 12


def test_each_image_leaves_before_the_next_is_taken(model) -> None:
    taken, images = [], repetitions(5)

    def source():
        for item in images:
            taken.append(item)
            yield item

    out = run_gadget(denoise, source(), scan_of(n_repetitions=5), denoise.Parameters(model="tiny"))
    for n, item in enumerate(out):
        assert (item.kind is ImageKind.DENOISED) == (n % 2 == 1) and len(taken) == n // 2 + 1


def test_the_first_series_does_not_wait_for_what_a_warm_up_can_do(model, asked) -> None:
    denoise.warm_up(denoise.Parameters(model="tiny"))
    assert asked == [(1, 0), (1, 0), (1, 1)]


def test_images_that_are_reconstructed_beside_the_network_are_the_same_in_order(model) -> None:
    images = [i for r in range(6) for s in range(2) for i in [image(10 * r + s, slice=s, repetition=r)]]
    head = scan_of(2, 6)
    items = [Pause(), *images, Pause()]
    parameters = denoise.Parameters(model="tiny", alpha=0.0)
    out = [i for i in stream(denoise, items, Scan(head), parameters) if not isinstance(i, Pause)]
    assert [i for i in out if i.kind is ImageKind.ORIGINAL] == images
    beside = [i for i in out if i.kind is ImageKind.DENOISED]
    for found, expected in zip(beside, run(images, head), strict=True):
        assert np.array_equal(found.image, expected.image) and found.head is expected.head


def test_a_stream_does_not_depend_on_what_others_do(model) -> None:
    """Slices, contrasts and another place, one of which lacks an image."""
    several = [repetitions(6, 100 * s, slice=s) for s in range(3)] + [repetitions(6, 400, contrast=1)]
    mixed = [series[r] for r in range(6) for series in several if not (series is several[1] and r == 3)]
    seconds = run(mixed, scan_of(3, 6))
    for number, series in enumerate(several):
        mine = [s for s in seconds if any(s.head is original.head for original in series)]
        if number == 1:
            assert_close(mine[:3], together(model, series[:3], causal=True))
            assert_close(mine[3:], together(model, series[4:], causal=True))
            assert told(mine) == [(), (), (), (MISSING,), ()]
        else:
            assert_close(mine, together(model, series, causal=True))
            assert told(mine) == [()] * 6


def test_a_cine_is_a_stream(model) -> None:
    images = [image(n, phase=n) for n in range(8)]
    assert_close(run(images, scan_of(n_phases=8)), together(model, images, causal=True))


def test_a_stack_is_denoised_whole_once_it_is_there(model, asked) -> None:
    first, second = stack(6), stack(6, repetition=1)
    seconds = run([*first, *second], scan_of(n_slices=6, n_repetitions=2))
    assert asked == [(6, 0), (6, 0)]
    assert_close(seconds[:6], together(model, first))
    assert_close(seconds[6:], together(model, second))
    assert frames_of(seconds) == [("slice, streaming", 6)] * 12 and told(seconds) == [()] * 12
    assert np.abs(together(model, first, causal=True) - together(model, first)).max() > FAR, "both sides have a say"


@pytest.mark.parametrize(("apart_mm", "n_runs"), [(7.5, 1), (10.0, 1), (10.5, 4)])
def test_slices_that_lack_one_between_them_are_no_neighbours(model, asked, apart_mm, n_runs) -> None:
    images = stack(4, apart_mm)
    seconds = run(images, scan_of(n_slices=4))
    assert len(asked) == n_runs
    if n_runs > 1:
        assert_close(seconds, np.concatenate([together(model, [one]) for one in images]))
        assert frames_of(seconds) == [("none", 1)] * 4


def test_a_gap_parts_a_stack_in_two(model) -> None:
    images = stack(5)
    for one in images[2:]:
        one.head.position[2] += 40
    seconds = run(images, scan_of(n_slices=5))
    assert_close(seconds, np.concatenate([together(model, images[:2]), together(model, images[2:])]))


@pytest.mark.parametrize("mode", ["streaming", "series"])
def test_a_volume_is_denoised_along_its_partitions(model, asked, mode) -> None:
    volumes = [image(n, (7, 20, 27), repetition=n) for n in range(2)]
    seconds = run(volumes, scan_of(n_repetitions=8), frames=mode)
    assert asked == [(7, 0), (7, 0)], "each by itself, at once"
    assert_close(seconds, np.concatenate([together(model, [volume]) for volume in volumes]))
    assert frames_of(seconds) == [("depth", 7)] * 2


def test_a_single_image_is_alone(model, asked) -> None:
    (second,) = run([image()])
    assert asked == [(1, 0)] and frames_of([second]) == [("none", 1)] and second.warnings == ()
    assert_close([second], together(model, [image()]))


def test_a_series_that_is_waited_for_sees_both_sides(model, asked) -> None:
    images = repetitions(9)
    seconds = run(images, scan_of(n_repetitions=9), frames="series")
    assert asked == [(9, 0)]
    assert_close(seconds, together(model, images))
    assert frames_of(seconds) == [("time, series", 9)] * 9


def test_a_series_too_large_to_hold_goes_on_as_a_stream(model, asked, monkeypatch) -> None:
    n_held, images = 26, repetitions(32)
    monkeypatch.setattr(denoise, "MOST_BYTES", (n_held - 1) * (images[0].image.nbytes + images[0].gmap.nbytes))
    seconds = run(images, scan_of(n_repetitions=len(images)), frames="series")
    assert asked[1:] == [(1, min(n, SEEN)) for n in range(6)]
    assert_close(seconds[:n_held], together(model, images[:n_held]))
    assert_close(seconds[n_held:], together(model, images[n_held:], causal=True))
    assert all("denoised with the frames at hand from here on" in text for (text,) in told(seconds[n_held:]))


def test_late_repeated_and_missing_images_and_another_size(model, caplog) -> None:
    images = repetitions(4)
    late, gap, larger = image(20, repetition=1), image(21, repetition=6), image(22, (1, 24, 20), repetition=7)
    goes_on = image(23, repetition=4)
    seconds = run([*images, late, goes_on, gap, larger], scan_of(n_repetitions=8))
    assert told(seconds) == [(), (), (), (), (LATE,), (), (MISSING,), (MOVED,)]
    assert warnings_of(caplog) == [LATE, MISSING, MOVED]
    assert_close([*seconds[:4], seconds[5]], together(model, [*images, goes_on], causal=True))
    for alone in (4, 6, 7):
        original = (late, None, gap, larger)[alone - 4]
        assert_close([seconds[alone]], together(model, [original]))
        assert frames_of([seconds[alone]]) == [("none", 1)]


def test_what_is_remembered_counts_to_the_bound(model, monkeypatch, caplog) -> None:
    series = [repetitions(6, 100 * s, slice=s) for s in range(3)]
    images = [images[r] for r in range(6) for images in series]
    of_a_frame = 4 * (2 * 32 * 10 * 14 + 64 * 5 * 7)
    monkeypatch.setattr(denoise, "MOST_BYTES", 2 * SEEN * of_a_frame)
    seconds = run(images, scan_of(3, 6))
    bound = f"more than {2 * SEEN * of_a_frame / 2**20:.4g} MiB would be kept of them"
    assert warnings_of(caplog) == [f"denoised without the images before it: {bound}"]
    for s in range(3):
        mine = seconds[s::3]
        anew = [n for n, texts in enumerate(told(mine)) if texts]
        for first, end in zip([0, *anew], [*anew, 6], strict=True):
            assert_close(mine[first:end], together(model, series[s][first:end], causal=True))
    assert any(told(seconds)) and sum(not any(told(seconds[s::3])) for s in range(3)) == 2, "two keep theirs"


def test_a_network_that_fails_costs_its_image_and_what_was_before(model, monkeypatch, caplog) -> None:
    images, inner, calls = repetitions(7), Model.stream, []

    def fails(self, *given):
        calls.append(None)
        if len(calls) == 4:
            raise ModelError("it broke")
        return inner(self, *given)

    monkeypatch.setattr(Model, "stream", fails)
    seconds = run(images, scan_of(n_repetitions=7))
    assert seconds[3].kind is ImageKind.STAND_IN and np.array_equal(seconds[3].image, images[3].image)
    assert told(seconds) == [(), (), (), ("not denoised: it broke",), (FAILED,), (), ()]
    assert warnings_of(caplog) == ["not denoised: it broke", FAILED]
    assert_close(seconds[:3], together(model, images[:3], causal=True))
    assert_close(seconds[4:], together(model, images[4:], causal=True))


def test_an_image_that_the_safety_net_refuses_does_not_spoil_the_next(model) -> None:
    images = repetitions(5)
    images[2] = dataclasses.replace(images[2], image=images[2].image * np.float32(np.nan))
    seconds = run(images, scan_of(n_repetitions=5))
    assert [second.kind is ImageKind.DENOISED for second in seconds] == [True, True, False, True, True]
    assert_close(seconds[3:], together(model, images[3:], causal=True))
    assert told(seconds)[3:] == [(FAILED,), ()]


def test_after_a_timeout_no_further_image_waits(model, monkeypatch) -> None:
    def hangs(*_):
        raise ModelTimeout("too long")

    monkeypatch.setattr(Model, "stream", hangs)
    seconds = run(repetitions(4), scan_of(n_repetitions=4))
    assert told(seconds) == [("not denoised: too long",)] * 4
    assert all(second.kind is ImageKind.STAND_IN for second in seconds)


def test_images_without_snr_units_are_missing_from_the_stream(model) -> None:
    images = repetitions(4)
    images[1] = dataclasses.replace(images[1], snr_units=False)
    seconds = run(images, scan_of(n_repetitions=4))
    assert told(seconds) == [(), ("not denoised: the image is not in SNR units",), (MISSING,), ()]
    assert_close(seconds[2:], together(model, images[2:], causal=True))


def test_strength_and_alpha_are_those_of_all_other_images(model) -> None:
    images = repetitions(5)
    stronger = [dataclasses.replace(one, image=one.image * np.float32(0.5)) for one in images]
    expected = 0.25 * np.concatenate([one.image for one in images]) + 0.75 * 2 * together(model, stronger, causal=True)
    seconds = run(images, scan_of(n_repetitions=5), strength=0.5, alpha=0.25)
    assert_close(seconds, expected)


def test_a_network_of_time_alone_streams_a_volume_partition_by_partition(install) -> None:
    install(remembering_file(), **{**REMEMBERS, "frames": "time"})
    model = load_model("tiny", denoise.TIMEOUT_S)
    volumes = [image(n, (2, 20, 27), repetition=n) for n in range(5)]
    seconds = run(volumes, scan_of(n_repetitions=5))
    for z in range(2):
        part = [dataclasses.replace(v, image=v.image[z : z + 1], gmap=v.gmap[z : z + 1]) for v in volumes]
        found = np.concatenate([second.image[z : z + 1] for second in seconds])
        assert np.abs(found - together(model, part, causal=True)).max() < CLOSE
    assert frames_of(seconds) == [("time, streaming", min(n, SEEN) + 1) for n in range(5)]


@pytest.mark.parametrize(
    ("images", "head", "given", "frames"),
    [
        ([image(n, repetition=n) for n in range(3)], scan_of(n_repetitions=9), [1, 2, 3], "time, streaming"),
        (stack(3), scan_of(n_slices=3), [3], "slice, streaming"),
        ([image(0, (4, 20, 27))], scan_of(), [4], "depth"),
        ([image(0)], scan_of(), [1], "none"),
    ],
    ids=["time", "slices", "volume", "single"],
)
def test_a_network_of_several_axes_that_does_not_remember(use, images, head, given, frames) -> None:
    model = use(FrameMean("time, slice, depth", n_frames=0))
    seconds = run(images, head)
    assert model.given == given and seconds[-1].meta["SNRSTREAM_frames"] == frames
    for n, second in enumerate(seconds):
        parts = images[: n + 1] if frames.startswith("time") else images
        assert np.allclose(second.image, np.concatenate([i.image for i in parts]).mean(axis=0), atol=1e-5)


def test_a_single_image_for_a_network_of_eight_frames_is_told(use) -> None:
    use(FrameMean("slice, depth", n_frames=8))
    (second,) = run([image()])
    assert second.warnings == ("the model is made for 8 images, and there is 1: edges may be taken for noise",)
