"""Where lines lie in k-space, whatever header and idx.user say of it: against the same lines under a right header."""

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket
from snrstream.recon.fft import to_image

from .. import scans
from ..recon.simulation import noisy_kspace
from ..scans import random_complex
from .test_samplings import error, reconstructed

CALIBRATION = [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION]
SLICE, VOLUME = (1, 64, 40), (16, 32, 24)


def accumulated(header, acquisitions) -> list[Bucket]:
    return list(run_gadget(accumulate, acquisitions, header, accumulate.Parameters()))


def with_user(acquisitions, centre: tuple[int, int] | None) -> list[ismrmrd.Acquisition]:
    """Counters of the centre (e2, e1), where siemens_to_ismrmrd puts them."""
    acquisitions = list(acquisitions)
    for acquisition in acquisitions:
        if centre is not None:
            acquisition.idx.user[6], acquisition.idx.user[5] = centre
    return acquisitions


def partial(kspace, first, stop, r=(1, 1), n_acs=20, user=None, **idx) -> list[ismrmrd.Acquisition]:
    """Lines from `first` to before `stop` (e2, e1), numbered from 0, every R-th; calibration lines where R > 1."""
    shift = -first[0], -first[1]
    n_e2, n_e1 = kspace.shape[1:3]
    lines = [(z, y) for z in range(first[0], stop[0], r[1]) for y in range(first[1], stop[1], r[0])]
    out = []
    if r != (1, 1):
        acs = [
            (z, y)
            for z in range(max(0, n_e2 // 2 - n_acs // 2), min(n_e2, n_e2 // 2 + n_acs // 2))
            for y in range(n_e1 // 2 - n_acs // 2, n_e1 // 2 + n_acs // 2)
            if z >= first[0] and y >= first[1] and z < stop[0] and y < stop[1]
        ]
        out = list(scans.acquisitions(kspace, acs, CALIBRATION, end=False, shift=shift, **idx))
    return with_user([*out, *scans.acquisitions(kspace, lines, shift=shift, **idx)], user)


def without_limits(header, *axes: int):
    for axis in axes or (1, 2):
        setattr(header.encoding[0].encodingLimits, f"kspace_encoding_step_{axis}", None)
    return header


def same(one: Bucket, other: Bucket) -> bool:
    """Whether lines, calibration and geometry are the same, bit for bit."""
    calibrations = one.calibration, other.calibration
    if None not in calibrations:
        a, b = calibrations
        if a.start != b.start or not torch.equal(a.kspace, b.kspace):
            return False
    return (
        torch.equal(one.kspace, other.kspace)
        and torch.equal(one.line_sd, other.line_sd)
        and (one.grid, one.lattice, one.voxel_mm) == (other.grid, other.lattice, other.voxel_mm)
        and one.head.idx.kspace_encode_step_1 == other.head.idx.kspace_encode_step_1
    )


# Lines of 64, the right limits (centre, last), and what wrong headers tell.
LATE_START, EARLY_END = (16, 64), (0, 48)
HALVES = {
    "late start": (LATE_START, 16, (32, 24, 20)),
    "early end": (EARLY_END, 32, (24, 16)),
    "5/8": ((24, 64), 8, (32, 20)),
    "7/8": ((8, 64), 24, (32, 28)),
}


@pytest.mark.parametrize("r", [1, 2, 3, 4])
@pytest.mark.parametrize("half", HALVES)
def test_partial_fourier_under_wrong_headers(half: str, r: int) -> None:
    """The strongest line tells, and idx.user where it agrees; neither moves the centre of a right header."""
    (first, stop), centre, wrong = HALVES[half]
    n = stop - first
    kspace = noisy_kspace(8, SLICE, snr=20, seed=r).numpy()

    def bucket(told: int | None, user: int | None) -> Bucket:
        header = scans.header(SLICE, (r, 1), limits=((0, 0), (centre if told is None else told, n - 1)))
        header = without_limits(header, 1) if told is None else header
        user_fields = None if user is None else (0, user)
        (found,) = accumulated(header, partial(kspace, (0, first), (1, stop), (r, 1), user=user_fields))
        return found

    right = bucket(centre, None)
    assert right.warnings == ()
    for user in (centre, centre + 7, 3, 40):
        found = bucket(centre, user)
        assert same(found, right) and found.warnings == ()
    for told in wrong:
        for user in (centre, None, 3, told):
            found = bucket(told, user)
            assert same(found, right), (told, user)
            (text,) = found.warnings
            off = abs(told - centre)
            assert f"{off} lines off the header's {told}: {centre} was taken" in text
            assert ("idx.user has" in text) == (user == centre)
    for user in (centre, None):
        found = bucket(None, user)
        assert same(found, right)
        assert (found.warnings == ()) == (centre == 32)


@pytest.mark.parametrize("r", [(1, 1), (2, 1), (2, 2)])
def test_partial_fourier_along_both_axes_of_a_volume(r: tuple[int, int]) -> None:
    kspace = noisy_kspace(8, VOLUME, snr=20).numpy()
    first, stop = (4, 8), (16, 32)

    def bucket(e2: int, e1: int, user) -> Bucket:
        header = scans.header(VOLUME, r, limits=((e2, 11), (e1, 23)))
        (found,) = accumulated(header, partial(kspace, first, stop, r, n_acs=12, user=user))
        return found

    right = bucket(4, 8, None)
    assert right.warnings == ()
    assert same(bucket(4, 8, (9, 15)), right)
    for told in ((8, 8), (4, 16), (8, 16)):
        for user in ((4, 8), None):
            found = bucket(*told, user)
            assert same(found, right)
            assert len(found.warnings) == (told[0] != 4) + (told[1] != 8)


def test_repetitions_without_calibration_lines_lie_alike() -> None:
    """Interleaved sampling: no image has all lines, and in the second the strongest line is another."""
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    header = scans.header(SLICE, (2, 1), limits=((0, 0), (32, 47)), mode="interleaved")
    repetitions = [
        partial(kspace, (0, 16 + number % 2), (1, 64), (2, 1), repetition=number, n_acs=0) for number in range(4)
    ]
    for number, lines in enumerate(repetitions):
        for line in lines:
            line.idx.kspace_encode_step_1 += number % 2  # they count from line 16
    buckets = accumulated(header, [line for lines in repetitions for line in lines])
    full = torch.zeros(8, 1, 64, 40, dtype=torch.complex64)
    for bucket in buckets[:2]:
        bucket.grid.of(full.permute(1, 2, 0, 3))[...] += bucket.kspace.permute(1, 2, 0, 3)
    assert np.array_equal(full[:, :, 16:], kspace[:, :, 16:])
    assert all("16 was taken" in bucket.warnings[0] for bucket in buckets)


@pytest.mark.parametrize("first_is_dark", [False, True])
def test_slices_and_echoes_of_a_scan_lie_alike(first_is_dark: bool) -> None:
    """One decision for all, made by the first image with signal: later ones that have none go by it."""
    bright, dark = noisy_kspace(8, SLICE, snr=20).numpy(), random_complex(8, *SLICE)
    images = [(dark if first_is_dark else bright, 0, 0), (bright, 1, 0), (dark, 2, 0), (bright, 0, 1), (dark, 1, 1)]
    acquisitions = [
        line
        for data, number, contrast in images
        for line in partial(data, (0, 16), (1, 64), slice=number, contrast=contrast)
    ]
    buckets = accumulated(scans.header(SLICE, limits=((0, 0), (32, 47))), acquisitions)
    centres = [int(bucket.line_sd[0].nonzero()[0]) for bucket in buckets]
    assert centres == [0 if first_is_dark else 16, 16, 16, 16, 16]


def phase_of(kind: str, y: np.ndarray) -> np.ndarray:
    return {
        "shear": 2 * np.pi * 2 * y,  # two cycles: the echo is two lines off
        "odd": np.pi / 2 * np.sign(y),  # an object that adds up to nothing: no signal at k = 0 itself
        "flow": 3 * np.sin(2 * np.pi * y),
        "shim": 30 * y**2,
        "none": 0 * y,
    }[kind]


@pytest.mark.parametrize("n_channels", [1, 8])
@pytest.mark.parametrize("kind", ["shear", "odd", "flow", "shim", "none"])
def test_phase_and_noise_of_the_object_do_not_move_k_0(kind: str, n_channels: int) -> None:
    """Partial Fourier, where there is room for a move, at an SNR of 30, 2, 1 and 0, with and without acceleration."""
    y = np.arange(64)[:, None] / 64 - 0.5
    for snr in (30, 2, 1, 0):
        clean = np.fft.ifftshift(noisy_kspace(n_channels, SLICE, snr=snr, seed=1).numpy(), axes=(2, 3))
        image = np.fft.fftshift(np.fft.ifft2(clean), axes=(2, 3)) * np.exp(1j * phase_of(kind, y))
        kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes=(2, 3))), axes=(2, 3)).astype(np.complex64)
        for first, stop in ((16, 64), (0, 48), (8, 56)):
            for r in (1, 2, 3):
                header = scans.header(SLICE, (r, 1), limits=((0, 0), (32 - first, stop - first - 1)))
                (bucket,) = accumulated(header, partial(kspace, (0, first), (1, stop), (r, 1)))
                assert bucket.warnings == (), (snr, first, r)


def test_a_spike_is_no_echo() -> None:
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    for line in (17, 25, 40, 63):
        spiked = kspace.copy()
        spiked[:, 0, line, 20] += 1e5
        spiked[:, 0, line, 5] += 1e5
        (bucket,) = accumulated(scans.header(SLICE, limits=((0, 0), (16, 47))), partial(spiked, (0, 16), (1, 64)))
        assert bucket.warnings == ()


@pytest.mark.parametrize("n_lines", [20, 26, 31, 40])
def test_a_scan_that_ends_early_keeps_the_header_s_centre(n_lines: int) -> None:
    """Its strongest line is the last, or lies close to it."""
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    (bucket,) = accumulated(scans.header(SLICE), partial(kspace, (0, 0), (1, n_lines)))
    assert np.array_equal(bucket.kspace[:, :, :n_lines], kspace[:, :, :n_lines])
    assert len(bucket.warnings) == 1 and f"{64 - n_lines} of 64 image lines never arrived" in bucket.warnings[0]


@pytest.mark.parametrize(("r", "axis", "off"), [(2, 2, 8), (3, 2, 4), (3, 2, -4), (4, 2, 4), (2, 3, 5), (3, 3, -9)])
def test_an_echo_off_k_0_in_whole_k_space(r: int, axis: int, off: int) -> None:
    """By phase of the object: the kernel sees the strongest lines all the same, and the image is no worse."""
    shape = (1, 96, 64)
    reference = np.linalg.norm(to_image(noisy_kspace(12, shape, snr=1e4), dims=(1, 2, 3)).numpy(), axis=0)

    def error_of(kspace) -> tuple[float, tuple[str, ...]]:
        acs = scans.acquisitions(kspace, [(0, y) for y in range(36, 60)], CALIBRATION, end=False)
        lines = [*acs, *scans.acquisitions(kspace, [(0, y) for y in range(0, 96, r)])]
        (recon,) = reconstructed(scans.header(shape, (r, 1)), lines)
        return error(recon, reference), recon.warnings

    kspace = noisy_kspace(12, shape, snr=50).numpy()
    usual, _ = error_of(kspace)
    moved, warnings = error_of(np.roll(kspace, off, axis=axis))
    assert moved < 1.25 * usual
    strongest = f"the strongest line is {48 + off}, {abs(off)} lines off the header's; it leaves the lines no room"
    assert [strongest in text for text in warnings] == ([True] if axis == 2 else [])


@pytest.mark.parametrize("told", [32, 24, None])
def test_calibration_lines_that_end_before_the_image_begins(told: int | None) -> None:
    """They lie where the image will, by their own echo."""
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()

    def bucket(centre: int | None) -> Bucket:
        header = scans.header(SLICE, (2, 1), limits=((0, 0), (centre or 16, 47)))
        acs = [(0, y) for y in range(22, 42)]
        lines = [
            *scans.acquisitions(kspace, acs, CALIBRATION, shift=(0, -16)),
            *scans.acquisitions(kspace, [(0, y) for y in range(16, 64, 2)], shift=(0, -16)),
        ]
        (found,) = accumulated(header if centre else without_limits(header, 1), lines)
        return found

    assert same(bucket(told), bucket(16))
    assert bucket(16).calibration.start == (0, 22)


def test_an_image_that_was_cut_short_decides_nothing_for_later_ones() -> None:
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    header = scans.header(SLICE, limits=((0, 0), (32, 47)))
    cut, whole = (partial(kspace, (0, 16), (1, stop), slice=n) for n, stop in enumerate((46, 64)))
    first, second = accumulated(header, [*cut, *whole])
    assert "the strongest line is 16, 16 lines off the header's; fewer than half of the lines came" in first.warnings[0]
    assert int(first.line_sd[0].nonzero()[0]) == 0 and int(second.line_sd[0].nonzero()[0]) == 16


def test_images_that_do_not_fit_the_first_are_an_error() -> None:
    kspace = noisy_kspace(4, SLICE, snr=20).numpy()
    later = partial(kspace, (0, 0), (1, 64), repetition=1)
    later[-1].idx.kspace_encode_step_1 = 64
    with pytest.raises(ScanError, match="kspace_encode_step_1 64 lies outside k-space of 64 lines"):
        accumulated(scans.header(SLICE), [*partial(kspace, (0, 0), (1, 64)), *later])
