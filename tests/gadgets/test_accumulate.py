"""Lines to images: on the shipped brain scan, and on scans made of arrays."""

import copy

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError, ScanError
from snrstream.gadgets import accumulate
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket
from snrstream.recon.combine import Grid
from snrstream.sorting import image_kspace, leaving, spaces

from .. import scans
from ..scans import random_complex

CALIBRATION, BOTH = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING


@pytest.fixture
def brain(read_scan):
    """Header and image acquisitions, which are not whitened."""
    header, acquisitions = read_scan("brain_16ch_r3")
    return header, [a for a in acquisitions if not a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]


def accumulated(header, acquisitions) -> list[Bucket]:
    return list(run_gadget(accumulate, acquisitions, header, accumulate.Parameters()))


def every(step: int, n_lines: int, first: int = 0) -> list[tuple[int, int]]:
    return [(0, y) for y in range(first, n_lines, step)]


def test_bucket_of_the_brain(brain) -> None:
    header, acquisitions = brain
    (bucket,) = accumulated(header, acquisitions)
    assert bucket.kspace.shape == (16, 1, 128, 128)
    assert bucket.calibration.kspace.shape == (16, 1, 24, 128) and bucket.calibration.start == (0, 52)
    assert bucket.grid == Grid((1, 128))  # R = 3 does not divide 128: all lines are stored
    assert bucket.line_sd.nonzero()[:, 1].tolist() == list(range(1, 128, 3))
    assert bucket.lattice.acceleration == (3, 1)
    assert bucket.voxel_mm == (2.0, 2.0, 3.0) and bucket.warnings == ()
    assert bucket.head.idx.kspace_encode_step_1 == 64
    assert torch.equal(bucket.sample_sd, torch.ones(128))
    acs = {a.idx.kspace_encode_step_1: a.data for a in acquisitions}
    assert np.allclose(bucket.calibration.kspace[:, 0, 3], acs[55], atol=1e-6 * np.abs(acs[55]).max())
    assert torch.count_nonzero(bucket.kspace[:, 0, 55]) > 0 and torch.count_nonzero(bucket.kspace[:, 0, 54]) == 0


def test_navigators_and_other_lines_are_left_out(brain) -> None:
    header, acquisitions = brain
    extra = copy.deepcopy(acquisitions[5])
    extra.set_flag(ismrmrd.ACQ_IS_NAVIGATION_DATA)
    (with_extra,), (without,) = accumulated(header, [extra, *acquisitions]), accumulated(header, acquisitions)
    assert torch.equal(with_extra.kspace, without.kspace)


def test_each_repetition_is_an_image_of_its_own(brain) -> None:
    header, acquisitions = brain
    second = copy.deepcopy(acquisitions)
    for acquisition in second:
        acquisition.idx.repetition = 1
    buckets = accumulated(header, [*acquisitions, *second])
    assert [b.head.idx.repetition for b in buckets] == [0, 1]
    assert torch.equal(buckets[0].kspace, buckets[1].kspace)


def test_acquisitions_that_do_not_fit(brain) -> None:
    header, acquisitions = brain
    short = acquisitions[9].data[:, :100]
    with pytest.raises(ScanError, match="has 100 samples around sample 64; the image began with 128 around 64"):
        accumulated(header, scans.changed(acquisitions, 9, data=short, number_of_samples=100))
    with pytest.raises(ScanError, match="has 15 channels; the image began with 16"):
        accumulated(header, scans.changed(acquisitions, 9, data=acquisitions[9].data[:15], active_channels=15))
    with pytest.raises(ScanError, match="NaN"):
        accumulated(header, scans.changed(acquisitions, 9, data=acquisitions[9].data * np.float32("nan")))
    with pytest.raises(ScanError, match="dwell time of 40 us; the image began with 20"):
        accumulated(header, scans.changed(acquisitions, 9, sample_time_us=40))
    with pytest.raises(ScanError, match="has 128 samples, of which 100 before and 28 after are to be discarded"):
        accumulated(header, scans.changed(acquisitions, 9, discard_pre=100, discard_post=28))
    with pytest.raises(ScanError, match="holds samples beyond 1e"):
        accumulated(header, scans.changed(acquisitions, 9, data=acquisitions[9].data * np.float32(1e20)))
    (right,) = accumulated(header, acquisitions)
    for numbers in (range(9, 10), range(len(acquisitions))):  # of a header that has one
        changed = acquisitions
        for number in numbers:
            changed = scans.changed(changed, number, encoding_space_ref=1)
        (bucket,) = accumulated(header, changed)
        (text,) = bucket.warnings
        assert torch.equal(bucket.kspace, right.kspace) and bucket.head.encoding_space_ref == 0
        assert text.startswith("lines have encoding_space_ref 1 where the header has one encoding")
    for field, value in (("kspace_encode_step_1", 200), ("kspace_encode_step_2", 1)):
        outside = copy.deepcopy(acquisitions)
        setattr(outside[9].idx, field, value)
        with pytest.raises(ScanError, match=f"{field} {value} lies outside k-space"):
            accumulated(header, outside)


def test_a_later_repetition_with_other_channels(brain) -> None:
    header, acquisitions = brain
    later = [ismrmrd.Acquisition(a.getHead(), data=a.data[:8]) for a in acquisitions]
    for acquisition in later:
        acquisition.idx.repetition = 1
    with pytest.raises(ScanError, match="has 8 channels; the scan began with 16"):
        accumulated(header, [*acquisitions, *later])


def test_lines_off_the_grid(brain) -> None:
    """Calibration lines that are flagged as image lines too are no image lines between the others."""
    header, acquisitions = brain
    (expected,) = accumulated(header, acquisitions)
    both = copy.deepcopy(acquisitions)
    for acquisition in both:
        if acquisition.is_flag_set(CALIBRATION):
            acquisition.clear_flag(CALIBRATION)
            acquisition.set_flag(BOTH)
    (bucket,) = accumulated(header, both)
    assert torch.equal(bucket.kspace, expected.kspace)
    unflagged = copy.deepcopy(acquisitions)
    lost = next(a for a in unflagged if a.is_flag_set(CALIBRATION))
    lost.clear_all_flags()
    with pytest.raises(ScanError, match=f"line {lost.idx.kspace_encode_step_1} lies between the image lines at R=3"):
        accumulated(header, unflagged)


def test_data_that_nobody_whitened(read_scan) -> None:
    header, acquisitions = read_scan("brain_16ch_r3")
    with pytest.raises(ScanError, match="not whitened; expected noise_adjust before"):
        accumulated(header, acquisitions)


def test_nothing_to_make_an_image_of(brain) -> None:
    with pytest.raises(ScanError, match="no image acquisitions"):
        accumulated(brain[0], [])
    reference = list(scans.acquisitions(random_complex(2, 1, 16, 8), every(1, 12, first=4), [CALIBRATION]))
    with pytest.raises(ScanError, match="no image acquisitions"):
        accumulated(scans.header((1, 16, 8), (2, 1)), reference)


def test_a_scan_cut_short_is_an_image_with_a_warning(brain) -> None:
    header, acquisitions = brain
    (bucket,) = accumulated(header, acquisitions[:-4])
    assert bucket.warnings == ("4 of 43 image lines never arrived: 118, 121, 124, 127",)


def test_doubled_and_surplus_lines_are_images_with_a_warning() -> None:
    kspace = random_complex(3, 1, 16, 8)
    lines = list(scans.acquisitions(kspace, every(1, 16), end=False))
    again = scans.changed(lines, 5, data=2 * lines[5].data)[5]
    header = scans.header((1, 16, 8), limits=((0, 0), (8, 13)))
    (bucket,) = accumulated(header, [*lines, again])
    assert bucket.warnings == (
        "1 lines were acquired again in the same average: the latest of each was used",
        "2 lines lie beyond the header's limits: 14, 15",
    )
    assert torch.allclose(bucket.kspace[:, 0, 5], torch.from_numpy(2 * kspace[:, 0, 5]))
    assert torch.allclose(bucket.kspace[:, 0, 6:], torch.from_numpy(kspace[:, 0, 6:]))


@pytest.mark.parametrize("device", ["cuda:17", "tpu"])
def test_unknown_devices(brain, device: str) -> None:
    header, acquisitions = brain
    with pytest.raises(ConfigurationError, match=f"device is '{device}'; here there are: auto, cpu"):
        list(run_gadget(accumulate, acquisitions, header, accumulate.Parameters(device=device)))


def test_averages_are_the_mean_with_less_noise() -> None:
    first, second = random_complex(2, 1, 16, 8), random_complex(2, 1, 16, 8, seed=1)
    header = scans.header((1, 16, 8), n_averages=2)
    averages = [
        *scans.acquisitions(first, every(1, 16), average=0),
        *scans.acquisitions(second, every(1, 16), average=1),
    ]
    del averages[20]
    (bucket,) = accumulated(header, averages)
    mean, sd = (first + second) / 2, np.full((1, 16), np.sqrt(0.5))
    mean[:, :, 4], sd[:, 4] = first[:, :, 4], 1
    assert np.allclose(bucket.kspace, mean, atol=1e-6) and np.allclose(bucket.line_sd, sd)
    assert bucket.warnings == ("some lines have 1 averages; the header lets expect 2",)


def test_reversed_asymmetric_and_discarded_samples() -> None:
    kspace = random_complex(2, 1, 16, 32)
    kspace[..., :6] = 0
    header = scans.header((1, 16, 32))
    (expected,) = accumulated(header, scans.acquisitions(kspace, every(1, 16)))
    odd = []
    for number, acquisition in enumerate(scans.acquisitions(kspace, every(1, 16))):
        head, data = acquisition.getHead(), acquisition.data[:, 6:]
        head.number_of_samples, head.center_sample = 26, 10
        if number % 2:  # read in reverse, with three samples of rubbish at the end
            data = np.concatenate([data[:, ::-1], np.full((2, 3), 99)], axis=1).astype(np.complex64)
            head.number_of_samples, head.center_sample, head.discard_post = 29, 15, 3
            head.flags |= 1 << (ismrmrd.ACQ_IS_REVERSE - 1)
        odd.append(ismrmrd.Acquisition(head, data=np.ascontiguousarray(data)))
    (bucket,) = accumulated(header, odd)
    assert torch.allclose(bucket.kspace, expected.kspace, atol=1e-5)
    assert bucket.sample_sd.tolist() == [0.0] * 6 + [1.0] * 26


def test_interleaved_slices_leave_one_by_one() -> None:
    kspace = random_complex(2, 1, 8, 8)
    header = scans.header((1, 8, 8))
    slices = [list(scans.acquisitions(kspace * (s + 1), every(1, 8), slice=s)) for s in range(3)]
    taken = []

    def stream():
        for number, acquisition in enumerate(line for together in zip(*slices, strict=True) for line in together):
            taken.append(number)
            yield acquisition

    left = [
        (bucket.head.idx.slice, len(taken))
        for bucket in run_gadget(accumulate, stream(), header, accumulate.Parameters())
    ]
    assert left == [(0, 22), (1, 23), (2, 24)]


def test_without_flags_a_repetition_leaves_when_the_next_begins() -> None:
    kspace = random_complex(2, 1, 8, 8)
    taken = []

    def stream():
        for repetition in range(3):
            for acquisition in scans.acquisitions(kspace, every(1, 8), end=False, repetition=repetition):
                taken.append(acquisition)
                yield acquisition

    buckets = run_gadget(accumulate, stream(), scans.header((1, 8, 8)), accumulate.Parameters())
    assert [(b.head.idx.repetition, len(taken)) for b in buckets] == [(0, 9), (1, 17), (2, 24)]


def test_separate_calibration_and_later_repetitions_share_one_object() -> None:
    kspace = random_complex(2, 1, 16, 8)
    header = scans.header((1, 16, 8), (2, 1), mode="separate")
    reference = scans.acquisitions(kspace, every(1, 12, first=4), flags=[CALIBRATION])
    repetitions = [line for r in range(2) for line in scans.acquisitions(kspace, every(2, 16, first=1), repetition=r)]
    first, second = accumulated(header, [*reference, *repetitions])
    assert first.calibration is second.calibration and first.calibration.start == (0, 4)
    assert np.array_equal(first.calibration.kspace, kspace[:, :, 4:12])
    assert first.grid == Grid((1, 16), (0, 1), (1, 2)) and first.warnings == ()


def test_calibrations_of_several_contrasts_stay_apart() -> None:
    header = scans.header((1, 16, 8), (2, 1))
    lines = []
    for contrast in range(2):
        kspace = random_complex(2, 1, 16, 8, seed=contrast)
        lines += scans.acquisitions(kspace, every(1, 12, first=4), [CALIBRATION], end=False, contrast=contrast)
        lines += scans.acquisitions(kspace, every(2, 16), contrast=contrast)
    lines += scans.acquisitions(kspace, every(2, 16), contrast=0, repetition=1)
    a, b, again = accumulated(header, lines)
    assert a.calibration is not b.calibration and again.calibration is a.calibration


def test_interleaved_repetitions_wait_for_their_calibration() -> None:
    kspace = random_complex(2, 1, 64, 8)
    header = scans.header((1, 64, 8), (4, 1), mode="interleaved")
    taken = []

    def stream(n_repetitions: int):
        for repetition in range(n_repetitions):
            for line in scans.acquisitions(kspace, every(4, 64, first=repetition % 4), repetition=repetition):
                taken.append(line)
                yield line

    left = [(bucket, len(taken)) for bucket in run_gadget(accumulate, stream(6), header, accumulate.Parameters())]
    assert [n for _, n in left] == [64, 64, 64, 64, 80, 96]
    calibration = left[0][0].calibration
    assert all(bucket.calibration is calibration for bucket, _ in left)
    assert np.allclose(calibration.kspace, kspace[:, :, 8:56]) and calibration.start == (0, 8)
    with pytest.raises(ScanError, match="slice 0: 3 repetitions never cover the centre of k-space; expected 4"):
        list(run_gadget(accumulate, stream(3), header, accumulate.Parameters()))


VOLUMES = {
    "2 x 2": ((2, 2), lambda z, y: z % 2 == 1 and y % 2 == 0, Grid((8, 12), (1, 0), (2, 2))),
    "shift along e1": ((2, 2), lambda z, y: z % 2 == 0 and (y - z // 2) % 2 == 0, Grid((8, 12), (0, 0), (2, 1))),
    "shift along e2": ((2, 2), lambda z, y: y % 2 == 0 and (z - y // 2) % 2 == 0, Grid((8, 12))),
    "e2 alone": ((1, 2), lambda z, y: z % 2 == 0, Grid((8, 12), (0, 0), (2, 1))),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes(name: str) -> None:
    acceleration, acquired, grid = VOLUMES[name]
    kspace = random_complex(2, 8, 12, 6)
    lines = [(z, y) for z in range(8) for y in range(12) if acquired(z, y)]
    block = [(z, y) for z in range(2, 7) for y in range(3, 9)]
    (bucket,) = accumulated(
        scans.header((8, 12, 6), acceleration),
        [*scans.acquisitions(kspace, block, [CALIBRATION], end=False), *scans.acquisitions(kspace, lines)],
    )
    assert bucket.grid == grid and bucket.warnings == ()
    (z0, y0), (dz, dy) = grid.first, grid.step
    sampled = np.zeros((8, 12), bool)
    sampled[tuple(np.array(lines).T)] = True
    expected = (kspace * sampled[..., None])[:, z0::dz, y0::dy]
    assert np.array_equal(bucket.kspace, expected) and np.array_equal(bucket.line_sd, sampled[z0::dz, y0::dy])
    assert bucket.calibration.start == (2, 3) and np.array_equal(bucket.calibration.kspace, kspace[:, 2:7, 3:9])


def test_elliptical_scanning_leaves_out_corners_without_a_warning() -> None:
    kspace = random_complex(2, 16, 20, 4)
    inside = [(z, y) for z in range(16) for y in range(20) if np.hypot((z - 8) / 8, (y - 10) / 10) <= 1]
    (bucket,) = accumulated(scans.header((16, 20, 4)), scans.acquisitions(kspace, inside))
    assert bucket.warnings == () and int(bucket.line_sd.sum()) == len(inside)
    inside.remove((8, 9))
    (bucket,) = accumulated(scans.header((16, 20, 4)), scans.acquisitions(kspace, inside))
    assert "image lines never arrived" in bucket.warnings[0]


def test_line_numbers_count_from_the_header_s_centre() -> None:
    """Partial Fourier: 4 lines before the centre, 8 from it on; numbers start at 0."""
    kspace = random_complex(2, 1, 16, 8)
    header = scans.header((1, 16, 8), limits=((0, 0), (4, 11)))
    (bucket,) = accumulated(header, scans.acquisitions(kspace, every(1, 16, first=4), shift=(0, -4)))
    assert bucket.line_sd.tolist() == [[0] * 4 + [1] * 12] and bucket.warnings == ()
    assert np.array_equal(bucket.kspace[:, :, 4:], kspace[:, :, 4:])


def test_readout_beyond_the_encoded_field_of_view() -> None:
    header = scans.header((1, 8, 16), fov_mm=(32.0, 8.0, 1.0))
    (bucket,) = accumulated(header, scans.acquisitions(random_complex(2, 1, 8, 16), every(1, 8)))
    assert bucket.kspace.shape == (2, 1, 8, 16) and bucket.voxel_mm == (1.0, 1.0, 1.0)
    assert "reconSpace.fieldOfView_mm.x 32, which is more than was encoded: 16 is taken" in "".join(bucket.warnings)


def test_items_are_not_changed(brain) -> None:
    header, acquisitions = brain
    before = [a.data.copy() for a in acquisitions]
    accumulated(header, acquisitions)
    assert all(np.array_equal(a.data, b) for a, b in zip(acquisitions, before, strict=True))


def test_calibration_lines_with_a_gap(brain) -> None:
    """Without one line of 24, the block beside the gap that holds the centre calibrates, and the image says so."""
    header, acquisitions = brain
    for lost, extent in ((60, (61, 76)), (70, (52, 70))):
        (bucket,) = accumulated(header, [a for a in acquisitions if a.idx.kspace_encode_step_1 != lost])
        assert bucket.calibration.start == (0, extent[0])
        assert bucket.calibration.kspace.shape[2] == extent[1] - extent[0]
        assert "calibration lines 52 to 75 have gaps: not all were used" in bucket.calibration.warnings
    with pytest.raises(ScanError, match="calibration lines 52 to 75 do not hold the centre of k-space, 64"):
        accumulated(header, [a for a in acquisitions if a.idx.kspace_encode_step_1 != 64])
    shifted = [a for a in acquisitions if not (a.is_flag_set(CALIBRATION) and a.idx.kspace_encode_step_1 >= 60)]
    with pytest.raises(ScanError, match="do not hold the centre"):
        accumulated(header, [a for a in shifted if not a.is_flag_set(BOTH) or a.idx.kspace_encode_step_1 < 60])


def test_image_lines_stand_in_for_calibration_lines_that_are_not_flagged(brain) -> None:
    """Some scanners flag only the calibration lines between the image lines."""
    header, acquisitions = brain
    (expected,) = accumulated(header, acquisitions)
    unflagged = copy.deepcopy(acquisitions)
    for acquisition in unflagged:
        acquisition.clear_flag(BOTH)
    (bucket,) = accumulated(header, unflagged)
    block = slice(53 - 52, 75 + 1 - 52)  # the first flagged line to the last
    assert bucket.calibration.start == (0, 53)
    assert torch.equal(bucket.calibration.kspace, expected.calibration.kspace[:, :, block]) and bucket.warnings == ()


def test_a_volume_cut_short_goes_by_the_lattice_of_the_repetition_before() -> None:
    kspace = 10 * random_complex(4, 8, 12, 16)  # brighter than noise
    block = [(z, y) for z in range(1, 7) for y in range(2, 10)]
    lines = [(z, y) for z in range(8) for y in range(12) if y % 4 == 2 * (z % 2)]
    header = scans.header((8, 12, 16), (2, 2))
    both = [
        *scans.acquisitions(kspace, block, [CALIBRATION], end=False),
        *scans.acquisitions(kspace, lines),
        *scans.acquisitions(kspace, lines[:3], repetition=1),
    ]
    first, second = accumulated(header, both)
    assert first.lattice == second.lattice and first.warnings == ()
    assert "21 of 24 image lines never arrived" in second.warnings[0]


def test_matrices_beyond_memory(monkeypatch) -> None:
    lines = list(scans.acquisitions(random_complex(2, 2, 8, 8), [(z, y) for z in range(2) for y in range(8)]))
    with pytest.raises(ScanError, match="encoded matrix has 65535 x 65535 lines; expected at most"):
        accumulated(scans.header((65535, 65535, 8)), lines)
    with pytest.raises(ScanError, match="16 of [0-9]{5} image lines came; expected at least 2 % of them"):
        accumulated(scans.header((16, 4096, 65535)), lines)
    monkeypatch.setattr(image_kspace, "LEAST_SHARE", 0)
    with pytest.raises(ScanError, match="k-space of 2 channels, 65536 lines and 65535 samples takes 63 GiB"):
        accumulated(scans.header((16, 4096, 65535)), lines)


def test_calibration_lines_without_end_ahead_of_the_first_image_line(monkeypatch) -> None:
    monkeypatch.setattr(spaces, "MOST_WAITING_BYTES", 2**12)
    kspace = random_complex(2, 1, 16, 32)
    header = scans.header((1, 16, 32), recon=(16, 16, 1))
    with pytest.raises(ScanError, match="MiB of calibration lines and navigators came ahead of the first image line"):
        accumulated(header, scans.acquisitions(kspace, every(1, 16), [CALIBRATION]))


def test_images_that_never_end_are_bounded_in_memory(monkeypatch) -> None:
    """Those that began first leave without the lines that they lack; where they hold few, there is no telling."""
    monkeypatch.setattr(leaving, "MOST_BYTES", 2**16)
    kspace = random_complex(2, 1, 16, 16)
    lines = [a for n in range(40) for a in scans.acquisitions(kspace, every(1, 15), end=False, repetition=n)]
    taken = []

    def stream():
        for line in lines:
            taken.append(line)
            yield line

    left = [(b, len(taken)) for b in run_gadget(accumulate, stream(), scans.header((1, 16, 16)))]
    assert [b.head.idx.repetition for b, _ in left] == list(range(40))
    assert all(b.warnings == ("1 of 16 image lines never arrived: 15",) for b, _ in left)
    most = 2**16 // lines[0].data.nbytes
    assert [n for _, n in left[:20]] == [most + 1 + 15 * n for n in range(20)]
    few = [a for n in range(40) for a in scans.acquisitions(kspace, every(1, 8), end=False, repetition=n)]
    with pytest.raises(ScanError, match="33 incomplete images hold .*expected at most 0 MiB, and flags that end"):
        accumulated(scans.header((1, 16, 16)), few)
    monkeypatch.setattr(leaving, "MOST_OPEN_IMAGES", 20)
    with pytest.raises(ScanError, match="more than 20 images are incomplete; expected flags that end them"):
        accumulated(scans.header((1, 16, 16)), few)


def test_signals_that_single_precision_cannot_hold() -> None:
    kspace = random_complex(2, 1, 8, 8)
    with pytest.raises(ScanError, match="the central line has a signal of .*; expected 1e-12 or more"):
        accumulated(scans.header((1, 8, 8)), scans.acquisitions(1e-20 * kspace, every(1, 8)))
    (bucket,) = accumulated(scans.header((1, 8, 8)), scans.acquisitions(0 * kspace, every(1, 8)))
    assert bucket.warnings == ("the central line is zero: there is no signal",)
