"""The gadget with models that look at several frames."""

import dataclasses

import numpy as np
import pytest
from ismrmrd import xsd

from snrstream.denoising.local_means import keep_local_means
from snrstream.denoising.smooth_phase import smooth_phase
from snrstream.errors import ModelError, ModelTimeout
from snrstream.gadgets import denoise, image_finish
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.image_kind import ImageKind
from snrstream.items import ReconImage
from tests.scans import NO_HEADER

from .frame_model import FrameMean, frame_mean_model
from .images import recon_image

CONDITIONS = xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_000_000)
TOLERANCE = 1e-6  # of sums of a few float32 numbers around 1


def header(n_slices: int) -> xsd.ismrmrdHeader:
    limits = xsd.encodingLimitsType(slice=xsd.limitType(maximum=n_slices - 1))
    space = xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=18, y=13, z=1), fieldOfView_mm=xsd.fieldOfViewMm(x=18, y=13, z=1)
    )
    encoding = xsd.encodingType(
        encodedSpace=space, reconSpace=space, encodingLimits=limits, trajectory=xsd.trajectoryType.CARTESIAN
    )
    return xsd.ismrmrdHeader(experimentalConditions=CONDITIONS, encoding=[encoding])


def run(images, head=NO_HEADER, **properties) -> list[ReconImage]:
    return list(run_gadget(denoise, images, head, denoise.Parameters(model="mean", **properties)))


def mean(images) -> np.ndarray:
    return np.mean([image.image for image in images], axis=0)


def place(image: ReconImage) -> tuple[int, int]:
    return image.head.idx.repetition, image.head.idx.slice


def test_in_time_each_original_is_followed_by_its_mean_with_those_before(use) -> None:
    model = use(FrameMean())
    images = [recon_image(n, repetition=n) for n in range(6)]
    out = run(images)
    assert out[::2] == images
    for n, denoised in enumerate(out[1::2]):
        assert np.allclose(denoised.image, mean(images[max(0, n - 2) : n + 1]), atol=TOLERANCE)
        assert denoised.head is images[n].head and denoised.kind is ImageKind.DENOISED
        assert denoised.meta["SNRSTREAM_frames"] == "time, streaming"
        assert denoised.meta["SNRSTREAM_frames_used"] == str(min(n + 1, 3))
    assert model.given == [1, 2, 3, 3, 3, 3]


def test_originals_of_a_series_leave_before_the_next_image_is_taken(use) -> None:
    model = use(FrameMean())
    images = [recon_image(n, repetition=n) for n in range(4)]
    taken = []

    def stream():
        for image in images:
            taken.append(image)
            yield image

    out = run_gadget(denoise, stream(), NO_HEADER, denoise.Parameters(model="mean", frames="series"))
    for n, image in enumerate(images):
        assert next(out) is image and len(taken) == n + 1
    for n, denoised in enumerate(out):
        assert np.allclose(denoised.image, mean(images), atol=TOLERANCE)
        assert denoised.head is images[n].head and denoised.meta["SNRSTREAM_frames"] == "time, series"
    assert n == 3 and model.given == [4]


def test_volumes_in_time_are_denoised_partition_by_partition(use) -> None:
    model = use(FrameMean(n_frames=2))
    images = [recon_image(n, (3, 5, 6), repetition=n) for n in range(2)]
    *_, denoised = run(images)
    assert np.allclose(denoised.image, mean(images), atol=TOLERANCE)
    assert model.given == [1, 1, 1, 2, 2, 2] and denoised.meta["SNRSTREAM_frames_used"] == "2"


@pytest.mark.parametrize("axis", ["depth", "slice"])
def test_partitions_of_a_volume_are_denoised_together(use, axis) -> None:
    model = use(FrameMean(frames=axis, n_frames=0))
    (image, denoised) = run([recon_image(0, (4, 5, 6))])
    assert np.allclose(denoised.image, image.image.mean(axis=0, keepdims=True), atol=TOLERANCE)
    assert model.given == [4]
    assert denoised.meta["SNRSTREAM_frames"] == axis and denoised.meta["SNRSTREAM_frames_used"] == "4"


def test_a_model_without_frames_takes_images_and_partitions_one_by_one(use) -> None:
    model = use(FrameMean(frames="none", n_frames=0))
    out = run([recon_image(0, repetition=0), recon_image(1, repetition=1)], frames="series")
    assert [image.kind is ImageKind.DENOISED for image in out] == [False, True, False, True], "nothing to wait for"
    assert model.given == [1, 1] and out[1].meta["SNRSTREAM_frames_used"] == "1"


def test_slices_are_neighbours_by_position_and_leave_in_the_order_of_their_originals(use) -> None:
    use(FrameMean(frames="slice"))
    positions = (0, 2, 4, 1, 3)
    images = [
        recon_image(10 * r + n, repetition=r, slice=n, position=(0, 0, 4.0 * z))
        for r in range(2)
        for n, z in enumerate(positions)
    ]
    out = run(images, header(5))
    originals, seconds = ([i for i in out if (i.kind is ImageKind.DENOISED) is denoised] for denoised in (False, True))
    assert list(map(place, originals)) == list(map(place, seconds)) == list(map(place, images))
    by_position = {(n // 5, positions[n % 5]): image for n, image in enumerate(images)}
    fourth = next(image for image in seconds if place(image) == (1, positions.index(1)))
    assert np.allclose(fourth.image, mean([by_position[1, z] for z in (0, 1, 2)]), atol=TOLERANCE)
    assert fourth.meta["SNRSTREAM_frames_used"] == "3"
    assert [image.kind is ImageKind.DENOISED for image in out[:10]] == [False] * 5 + [True] * 5
    assert [image.kind is ImageKind.DENOISED for image in out[10:]] == [False] * 4 + [True, False] + [True] * 4


def test_numbers_and_windows_of_a_series_are_those_of_the_originals_however_late_it_comes(use) -> None:
    use(FrameMean())
    images = [dataclasses.replace(image, image=image.image * (n + 1)) for n, image in enumerate(
        recon_image(n, repetition=n) for n in range(4)
    )]  # fmt: skip
    finish = image_finish.Parameters(output="magnitude")
    out = list(run_gadget(image_finish, run(images, frames="series", residual=True), NO_HEADER, finish))
    series = {n: [image for image in out if image.image_series_index == n] for n in (1, 2, 3)}
    for number in (1, 2, 3):
        assert [image.image_index for image in series[number]] == [1, 2, 3, 4]
        assert [image.repetition for image in series[number]] == [0, 1, 2, 3]
    widths = [[image.meta["WindowWidth"] for image in series[n]] for n in (1, 2)]
    assert widths[0] == widths[1] and len(set(widths[0])) == 4


def test_images_not_in_snr_units_are_no_neighbours_and_keep_their_place(use) -> None:
    model = use(FrameMean())
    images = [dataclasses.replace(recon_image(n, repetition=n), snr_units=n != 1) for n in range(4)]
    out = run(images, frames="series")
    assert out[:4] == images and model.given == [3]
    denoised, stand_in = ImageKind.DENOISED, ImageKind.STAND_IN
    assert [image.kind for image in out[4:]] == [denoised, stand_in, denoised, denoised]
    assert np.allclose(out[4].image, mean([images[n] for n in (0, 2, 3)]), atol=TOLERANCE)
    assert out[5].warnings == ("not denoised: the image is not in SNR units",)
    assert all(image.warnings == () for image in (*out[4:5], *out[6:]))


def test_a_failure_gives_stand_ins_for_all_images_of_its_stack(use) -> None:
    use(FrameMean(failures=[ModelError("it broke")]))
    images = [recon_image(n, slice=s, repetition=n) for s in range(2) for n in range(3)]
    out = run(images, frames="series")[6:]
    assert [image.kind is ImageKind.STAND_IN for image in out] == [True] * 3 + [False] * 3
    for image, original in zip(out[:3], images, strict=False):
        assert np.array_equal(image.image, original.image) and image.head is original.head
        assert image.warnings == ("not denoised: it broke",)
    assert all(image.kind is ImageKind.DENOISED for image in out[3:])


def test_after_a_timeout_nothing_waits_for_neighbours_any_more(use, caplog) -> None:
    model = use(FrameMean(frames="slice", failures=[None, ModelTimeout("too long")]))
    images = [recon_image(n, repetition=n // 3, slice=n % 3, position=(0, 0, n % 3)) for n in range(12)]
    out = run(images, header(3))
    seconds = [image for image in out if image.kind is not ImageKind.ORIGINAL]
    assert list(map(place, seconds)) == list(map(place, images))
    assert [image.kind is ImageKind.DENOISED for image in seconds] == [True] * 3 + [False] * 9
    assert all(image.warnings == ("not denoised: too long",) for image in seconds[3:])
    assert model.given == [3, 2] and len(caplog.records) == 1


def test_a_series_too_large_to_hold_is_denoised_with_a_warning(use, monkeypatch) -> None:
    use(FrameMean())
    images = [recon_image(n, repetition=n) for n in range(6)]
    bytes_of_one = images[0].image.nbytes + images[0].gmap.nbytes
    monkeypatch.setattr(denoise, "MOST_BYTES", 3 * bytes_of_one)
    out = run(images, frames="series")
    assert [image.kind is ImageKind.DENOISED for image in out] == [False] * 4 + [True] * 4 + [False, True] * 2
    seconds = [image for image in out if image.kind is ImageKind.DENOISED]
    assert [image.meta["SNRSTREAM_frames"] for image in seconds] == ["time, series"] * 4 + ["time, streaming"] * 2
    assert np.allclose(seconds[4].image, mean(images[2:5]), atol=TOLERANCE)
    assert [len(image.warnings) for image in seconds] == [0] * 4 + [1] * 2
    assert "denoised with the frames at hand from here on" in seconds[5].warnings[0]


@pytest.fixture
def real_mean(install) -> None:
    """A model that answers with the mean of its frames, as `denoise` loads it."""
    install(frame_mean_model(), name="mean", frames="time", n_frames=3)
    try:
        denoise.load_model("mean")
    except ModelError as exc:
        pytest.skip(f"this runtime takes no models of several frames: {exc}")


@pytest.mark.usefixtures("real_mean")
def test_a_real_model_that_mixes_frames_denoises_a_series_in_time() -> None:
    images = [recon_image(n, repetition=n) for n in range(6)]
    phases = [smooth_phase(image.image, image.gmap) for image in images]  # which the network does not see
    flat = [image.image * phase.conj() for image, phase in zip(images, phases, strict=True)]
    seconds = run(images, alpha=0.0)[1::2]
    for n in range(2, 6):
        mean = np.mean(flat[n - 2 : n + 1], axis=0) * phases[n]
        expected = keep_local_means(images[n].image, mean, images[n].gmap)
        assert np.allclose(seconds[n].image, expected, atol=TOLERANCE)


@pytest.mark.usefixtures("real_mean")
def test_frames_whose_phase_drifts_do_not_fade_and_keep_their_own() -> None:
    still = recon_image(0).image
    still = (np.abs(still) + 5 + 2j * np.linspace(0, 1, still.shape[-1])).astype(np.complex64)
    turns = np.exp(1j * np.arange(6) * 2.1).astype(np.complex64)
    images = [dataclasses.replace(recon_image(n, repetition=n), image=still * turn) for n, turn in enumerate(turns)]
    seconds = run(images, alpha=0.0)[1::2]
    for second, image in zip(seconds, images, strict=True):
        assert np.allclose(second.image, image.image, atol=10 * TOLERANCE)
