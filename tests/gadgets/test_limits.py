"""Limits and matrices that contradict the lines: the lines decide, with a warning."""

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate, coil_combine, grappa, resize
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket, ReconImage

from .. import scans
from ..recon.simulation import noisy_kspace
from ..scans import random_complex
from .test_placement import accumulated, partial, same, without_limits

SLICE, VOLUME = (1, 64, 40), (16, 32, 24)


def images(header, acquisitions) -> list[ReconImage]:
    items = accumulated(header, acquisitions)
    for gadget in (grappa, coil_combine, resize):
        items = run_gadget(gadget, items, header, gadget.Parameters())
    return list(items)


def limited(header, e1=None, e2=None):
    """Limits (minimum, centre, maximum) along e1 and e2; as they are where None."""
    for axis, values in ((1, e1), (2, e2)):
        if values is not None:
            limit = getattr(header.encoding[0].encodingLimits, f"kspace_encoding_step_{axis}")
            limit.minimum, limit.center, limit.maximum = values
    return header


@pytest.mark.parametrize("limits", [(0, 32, 15), (0, 0, 5), (0, 10, 20), (40, 50, 63), (5, 32, 50)])
def test_lines_beyond_the_limits_are_lines_all_the_same(limits: tuple[int, int, int]) -> None:
    """A whole k-space has room about its middle alone."""
    kspace = noisy_kspace(4, SLICE, snr=20).numpy()
    header = scans.header(SLICE) if limits[1] > limits[2] else limited(scans.header(SLICE), limits)
    if limits[1] > limits[2]:
        header = without_limits(header, 1)
    (bucket,) = accumulated(header, partial(kspace, (0, 0), (1, 64)))
    assert np.array_equal(bucket.kspace, kspace)
    n_beyond = 0 if limits[1] > limits[2] else 64 - (limits[2] - limits[0] + 1)
    assert any(f"{n_beyond} lines lie beyond" in text for text in bucket.warnings) == (n_beyond > 0)
    assert any("32 was taken" in text for text in bucket.warnings) == (n_beyond > 0 and limits[1] != 32)


@pytest.mark.parametrize(("shift", "limits"), [(1, (1, 33, 63)), (1, (0, 32, 63)), (100, (0, 32, 63))])
def test_lines_that_count_from_another_number(shift: int, limits) -> None:
    kspace = noisy_kspace(4, SLICE, snr=20).numpy()
    (bucket,) = accumulated(limited(scans.header(SLICE), limits), scans.acquisitions(
        kspace, [(0, y) for y in range(64)], shift=(0, shift)))  # fmt: skip
    assert np.array_equal(bucket.kspace, kspace)
    assert any("beyond the header's limits" in text for text in bucket.warnings)


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize("n_more", [1, 16])
def test_more_lines_than_the_matrix(n_more: int, r: int) -> None:
    """They are of a larger k-space over the same field of view."""
    shape = (1, 64 + n_more, 40)
    kspace = noisy_kspace(8, shape, snr=20).numpy()
    header = scans.header(SLICE, (r, 1), fov_mm=(40.0, 64.0, 1.0))
    acquisitions = partial(kspace, (0, 0), (1, 64 + n_more), (r, 1))
    for told in (header, without_limits(header, 1)):
        (bucket,) = accumulated(told, acquisitions)
        (right,) = accumulated(scans.header(shape, (r, 1)), acquisitions)
        assert torch.equal(bucket.kspace, right.kspace) and bucket.grid == right.grid
        assert bucket.voxel_mm == (1, 64 / (64 + n_more), 1)
        assert any(f"k-space of {64 + n_more} lines was taken" in text for text in bucket.warnings)
    (image,) = images(header, acquisitions)
    assert image.image.shape == SLICE


def test_a_matrix_of_the_acquired_lines_alone() -> None:
    """Partial Fourier of 48 of 64 lines, whose header has a matrix of 48: idx.user and the data tell of 64."""
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    (right,) = accumulated(scans.header(SLICE, limits=((0, 0), (16, 47))), partial(kspace, (0, 16), (1, 64)))
    header = scans.header((1, 48, 40))
    (bucket,) = accumulated(header, partial(kspace, (0, 16), (1, 64), user=(0, 16)))
    assert torch.equal(bucket.kspace, right.kspace) and bucket.voxel_mm[1] == 0.75
    assert "16 was taken" in bucket.warnings[0] and "k-space of 64 lines was taken" in bucket.warnings[1]
    (bucket,) = accumulated(header, partial(kspace, (0, 16), (1, 64)))
    (text,) = bucket.warnings
    assert "the strongest line is 16, 8 lines off the header's" in text and "the header's 24 was taken" in text


@pytest.mark.parametrize("stray", [200, 5000, 65535])
def test_lines_gone_astray_are_no_larger_matrix(stray: int) -> None:
    acquisitions = partial(noisy_kspace(4, SLICE, snr=20).numpy(), (0, 0), (1, 64))
    acquisitions[10].idx.kspace_encode_step_1 = stray
    with pytest.raises(
        ScanError, match=f"kspace_encode_step_1 {stray} lies outside k-space of 64 lines with its centre"
    ):
        accumulated(scans.header(SLICE), acquisitions)
    acquisitions[10].idx.kspace_encode_step_1, acquisitions[10].idx.kspace_encode_step_2 = 10, 3
    with pytest.raises(ScanError, match="kspace_encode_step_2 3 lies outside k-space of 1 lines with its centre at 0"):
        accumulated(scans.header(SLICE), acquisitions)


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize(
    ("n_partitions", "limits", "partition"),
    [(2, (0, 1, 1), 0), (2, (0, 0, 0), 0), (2, (0, 1, 1), 1), (5, (0, 2, 4), 0), (1, (0, 0, 0), 3), (64, None, 7)],
)
def test_a_slice_that_the_header_calls_a_volume(n_partitions: int, limits, partition: int, r: int) -> None:
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    header = scans.header((n_partitions, 64, 40), (r, 1), fov_mm=(40.0, 64.0, 5.0))
    header.encoding[0].encodedSpace.fieldOfView_mm.z = 5.0
    header = limited(header, e2=limits) if limits not in (None, (0, 0, 0)) else without_limits(header, 2)
    lines = partial(kspace, (0, 0), (1, 64), (r, 1))
    (right,) = images(scans.header(SLICE, (r, 1)), lines)
    for line in lines:
        line.idx.kspace_encode_step_2 = partition
    (image,) = images(header, lines)
    assert np.array_equal(image.image, right.image) and image.voxel_mm == (1, 1, 5)
    what = f"the header has {n_partitions} partitions" if n_partitions > 1 else "all lines have kspace_encode_step_2 3"
    assert any(what in text for text in image.warnings)


def test_slices_that_are_counted_as_partitions_too() -> None:
    kspace = [noisy_kspace(8, SLICE, snr=20, seed=number).numpy() for number in range(3)]
    right = images(scans.header(SLICE), [a for n in range(3) for a in partial(kspace[n], (0, 0), (1, 64), slice=n)])
    lines = [a for n in range(3) for a in partial(kspace[n], (0, 0), (1, 64), slice=n)]
    for line in lines:
        line.idx.kspace_encode_step_2 = line.idx.slice
    found = images(scans.header(SLICE), lines)
    assert len(found) == 3
    for one, other in zip(found, right, strict=True):
        assert np.array_equal(one.image, other.image)
    told = [any("other slices another; expected 0" in text for text in image.warnings) for image in found]
    assert told == [False, True, True]


def test_a_volume_that_the_header_calls_a_slice() -> None:
    """It keeps its partitions where one stands out as k = 0; slices that are counted as partitions alone have none."""
    kspace = noisy_kspace(8, VOLUME, snr=20).numpy()
    lines = partial(kspace, (0, 0), (16, 32))
    header = scans.header((1, *VOLUME[1:]), fov_mm=(24.0, 32.0, 16.0))
    header.encoding[0].encodedSpace.fieldOfView_mm.z = 16.0
    (right,) = images(scans.header(VOLUME), lines)
    (image,) = images(header, lines)
    assert np.array_equal(image.image, right.image) and image.voxel_mm == right.voxel_mm
    assert any("k-space of 16 lines was taken" in text for text in image.warnings)
    slices = [noisy_kspace(8, SLICE, snr=20, seed=number).numpy() for number in range(6)]
    lines = [a for n in range(6) for a in partial(slices[n], (0, 0), (1, 64))]
    for number, line in enumerate(lines):
        line.idx.kspace_encode_step_2 = number // 64
        line.clear_all_flags()
    with pytest.raises(ScanError, match="kspace_encode_step_2 0 to 5 where the header has one, and none stands out"):
        images(scans.header(SLICE), lines)


def test_partitions_that_a_volume_lacks_are_told() -> None:
    kspace = noisy_kspace(4, VOLUME, snr=20).numpy()
    lines = [(z, y) for z in range(4, 16) for y in range(32)]
    (bucket,) = accumulated(scans.header(VOLUME), scans.acquisitions(kspace, lines))
    assert bucket.grid.size == (16, 32)
    assert any("128 of 512 image lines never arrived" in text for text in bucket.warnings)
    whole = partial(kspace, (0, 0), (16, 32))
    cut = partial(kspace, (0, 0), (1, 32), repetition=1)
    first, second = accumulated(scans.header(VOLUME), [*whole, *cut])
    assert first.warnings == () and second.grid.size == (16, 32)
    assert any("480 of 512 image lines never arrived" in text for text in second.warnings)


def test_images_without_limits_and_flags_leave_with_the_next_repetition() -> None:
    """48 of 64 lines in order, then the next 48: nothing else tells that an image is complete."""
    kspace = noisy_kspace(4, SLICE, snr=20).numpy()
    header = without_limits(scans.header(SLICE))
    left: list[int] = []

    def repetitions():
        for repetition in range(3):
            lines = partial(kspace, (0, 16), (1, 64), repetition=repetition)
            lines[-1].clear_all_flags()
            yield from lines
            left.append(len(made))

    made: list[Bucket] = []
    for bucket in run_gadget(accumulate, repetitions(), header, accumulate.Parameters()):
        made.append(bucket)
    assert left == [0, 1, 2] and len(made) == 3
    assert all(same(bucket, made[0]) for bucket in made)
    # In turn, line by line: none is complete before the end.
    turns = [partial(kspace, (0, 16), (1, 64), repetition=repetition) for repetition in range(2)]
    for lines in turns:
        lines[-1].clear_all_flags()
    buckets = accumulated(header, [line for pair in zip(*turns, strict=True) for line in pair])
    assert all(same(bucket, made[0]) for bucket in buckets)


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize("told", [0, 3, 60, 79, 80, 200])
@pytest.mark.parametrize("oversampled", [False, True])
def test_center_sample_of_full_readouts(told: int, r: int, oversampled: bool) -> None:
    shape = (1, 64, 80)
    kspace = noisy_kspace(8, shape, snr=20).numpy()
    recon = (40, 64, 1) if oversampled else (80, 64, 1)
    header = scans.header(shape, (r, 1), recon=recon)
    (right,) = accumulated(header, partial(kspace, (0, 0), (1, 64), (r, 1)))
    lines = partial(kspace, (0, 0), (1, 64), (r, 1))
    for line in lines:
        line.center_sample = told
    (bucket,) = accumulated(header, lines)
    assert same(bucket, right)
    assert bucket.warnings == (
        f"center_sample is {told} of 80 samples: k = 0 was taken at the middle of a full readout, 40",
    )


def test_center_sample_of_readouts_whose_oversampling_is_gone() -> None:
    kspace = noisy_kspace(4, SLICE, snr=20).numpy()
    header = scans.header((1, 64, 80), recon=(40, 64, 1))
    lines = partial(kspace, (0, 0), (1, 64))
    for line in lines:
        line.center_sample = 0
    (bucket,) = accumulated(header, lines)
    assert np.array_equal(bucket.kspace, kspace) and "taken at the middle of a full readout, 20" in bucket.warnings[0]


@pytest.mark.parametrize("told", [0, 47, 48, 300])
@pytest.mark.parametrize("reverse", [False, True])
def test_center_sample_of_an_asymmetric_echo(told: int, reverse: bool) -> None:
    """48 of 64 samples, k = 0 at the 16th."""
    kspace = noisy_kspace(8, (1, 64, 64), snr=20).numpy()

    def lines(centre: int, scale: float = 1):
        out = partial(kspace, (0, 0), (1, 64))
        for number, line in enumerate(out):
            data = scale * line.data[:, 16:] + (scale == 0) * random_complex(8, 48, seed=number)
            head = line.getHead()
            head.number_of_samples, head.center_sample = 48, centre
            data = data[:, ::-1] if reverse else data
            out[number] = ismrmrd.Acquisition(head, data=np.ascontiguousarray(data, np.complex64))
            if reverse:
                out[number].set_flag(ismrmrd.ACQ_IS_REVERSE)
        return out

    header = scans.header((1, 64, 64))
    (right,) = accumulated(header, lines(31 if reverse else 16))
    assert right.warnings == ()
    (bucket,) = accumulated(header, lines(told))
    assert same(bucket, right) and torch.equal(bucket.sample_sd, right.sample_sd)
    assert bucket.warnings == (f"center_sample is {told} of 48 samples: k = 0 was taken at the echo, 16",)
    with pytest.raises(ScanError, match="has 48 samples around sample .*; expected no more than 64 around 32"):
        accumulated(header, lines(told, scale=0))


@pytest.mark.parametrize("told", [24, 32])
@pytest.mark.parametrize("r", [1, 2])
def test_center_sample_as_of_a_full_readout(told: int, r: int) -> None:
    """48 of 64 samples have room about several; one from which the echo is far is none. Noise alone moves nothing."""
    kspace = noisy_kspace(8, (1, 64, 64), snr=20).numpy()

    def bucket(centre: int, data: np.ndarray = kspace) -> Bucket:
        lines = partial(data, (0, 0), (1, 64), (r, 1))
        for number, line in enumerate(lines):
            head = line.getHead()
            head.number_of_samples, head.center_sample = 48, centre
            lines[number] = ismrmrd.Acquisition(head, data=np.ascontiguousarray(line.data[:, 16:]))
        (found,) = accumulated(scans.header((1, 64, 64), (r, 1)), lines)
        return found

    right = bucket(16)
    assert right.warnings == ()
    found = bucket(told)
    assert same(found, right) and torch.equal(found.sample_sd, right.sample_sd)
    assert f"center_sample is {told} of 48 samples: k = 0 was taken at the echo, 16" in found.warnings
    assert bucket(told, random_complex(8, 1, 64, 64)).warnings == ()
    # Phase of the object moves the echo, not k = 0: by three samples here.
    assert bucket(16, np.roll(kspace, 3, axis=-1)).warnings == ()
