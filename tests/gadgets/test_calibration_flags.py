"""Embedded calibration lines, whatever flags they carry: the image is that of the flags as they should be."""

from collections.abc import Callable

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket

from .. import scans
from ..recon.simulation import noisy_kspace

CALIBRATION, BOTH = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
Flags = Callable[[bool, bool], list[int]]  # of a line, by whether it is on the lattice and in the block

# Name, flags, and what the image's warnings begin with.
WAYS: dict[str, tuple[Flags, tuple[str, ...]]] = {
    "one flag each": (lambda on, acs: ([BOTH] if on else [CALIBRATION]) if acs else [], ()),
    "both flags on image lines": (lambda on, acs: ([CALIBRATION, BOTH] if on else [CALIBRATION]) if acs else [], ()),
    "both flags on all": (lambda on, acs: [CALIBRATION, BOTH] if acs else [], ()),
    "image flag on all": (lambda on, acs: [BOTH] if acs else [], ()),
    "calibration flag on all": (
        lambda on, acs: [CALIBRATION] if acs else [],
        (" image lines carry the flag of calibration lines alone: they were taken for both",),
    ),
    "no flags": (
        lambda on, acs: [],
        (" lines lie between the image lines and carry no flag: they fill the centre",),
    ),
}
# k-space, R, first line, and the block's first and last line (e2, e1).
SAMPLINGS = {
    "R=2": ((1, 64, 16), (2, 1), (0, 0), ((0, 20), (0, 43))),
    "R=3, off the beginning": ((1, 64, 16), (3, 1), (0, 1), ((0, 19), (0, 44))),
    "R=4": ((1, 96, 16), (4, 1), (0, 2), ((0, 36), (0, 59))),
    "R=2, few": ((1, 64, 16), (2, 1), (0, 0), ((0, 28), (0, 36))),
    "2 x 2": ((24, 32, 8), (2, 2), (1, 0), ((7, 9), (16, 22))),
    "R=2 of a volume": ((12, 32, 8), (2, 1), (0, 1), ((2, 9), (9, 22))),
}


def lines(name: str, way: str, keep: Callable[[bool, bool], bool] = lambda on, acs: True) -> list[ismrmrd.Acquisition]:
    shape, (r1, r2), (z0, y0), (low, high) = SAMPLINGS[name]
    kspace, out = KSPACE[name], []
    for z in range(shape[0]):
        for y in range(shape[1]):
            on = (z - z0) % r2 == 0 and (y - y0) % r1 == 0
            acs = low[0] <= z <= high[0] and low[1] <= y <= high[1]
            if (on or acs) and keep(on, acs):
                out += scans.acquisitions(kspace, [(z, y)], WAYS[way][0](on, acs), end=False)
    out[-1].set_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    return out


KSPACE = {name: noisy_kspace(6, sampling[0], snr=100).numpy() for name, sampling in SAMPLINGS.items()}


def bucket_of(name: str, acquisitions: list[ismrmrd.Acquisition], **header: str) -> Bucket:
    shape, r, _, _ = SAMPLINGS[name]
    (bucket,) = run_gadget(accumulate, acquisitions, scans.header(shape, r, **header), accumulate.Parameters())
    return bucket


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SAMPLINGS)
def test_the_image_and_its_calibration_are_the_same(name: str, way: str) -> None:
    expected = bucket_of(name, lines(name, "one flag each"))
    bucket = bucket_of(name, lines(name, way))
    assert torch.equal(bucket.kspace, expected.kspace) and torch.equal(bucket.line_sd, expected.line_sd)
    assert (bucket.grid, bucket.lattice) == (expected.grid, expected.lattice)
    (z0, y0), block = bucket.calibration.start, bucket.calibration.kspace
    assert np.allclose(block, KSPACE[name][:, z0 : z0 + block.shape[1], y0 : y0 + block.shape[2]])
    assert block[0, ..., 0].numel() >= expected.calibration.kspace[0, ..., 0].numel()
    assert len(bucket.warnings) == len(WAYS[way][1])
    assert all(text in told for text, told in zip(WAYS[way][1], bucket.warnings, strict=True))


def test_lines_in_any_order() -> None:
    expected = bucket_of("R=2", lines("R=2", "one flag each"))
    for way in WAYS:
        shuffled = lines("R=2", way)
        shuffled[-1].clear_flag(ismrmrd.ACQ_LAST_IN_SLICE)
        order = np.random.default_rng(0).permutation(len(shuffled))
        bucket = bucket_of("R=2", [shuffled[n] for n in order])
        assert torch.equal(bucket.kspace, expected.kspace) and bucket.calibration is not None


def test_few_lines_off_the_lattice_are_no_calibration() -> None:
    """What a kernel of four lines cannot be trained on is a fault of the sampling."""
    shape = SAMPLINGS["R=2"][0]
    numbers = [(0, y) for y in range(0, 64, 2)] + [(0, 31)]
    with pytest.raises(ScanError, match="line 31 lies between the image lines at R=2"):
        list(run_gadget(accumulate, scans.acquisitions(KSPACE["R=2"], numbers), scans.header(shape, (2, 1))))


def test_lines_without_flags_that_miss_the_centre() -> None:
    shape = SAMPLINGS["R=2"][0]
    numbers = [(0, y) for y in range(64) if y % 2 == 0 or 2 <= y <= 20]
    with pytest.raises(ScanError, match="calibration lines 2 to 20 do not hold the centre of k-space, 32"):
        list(run_gadget(accumulate, scans.acquisitions(KSPACE["R=2"], numbers), scans.header(shape, (2, 1))))


@pytest.mark.parametrize("name", ["R=2", "2 x 2"])
def test_all_lines_under_a_header_that_tells_acceleration(name: str) -> None:
    shape, r, _, _ = SAMPLINGS[name]
    every = [(z, y) for z in range(shape[0]) for y in range(shape[1])]
    (bucket,) = run_gadget(accumulate, scans.acquisitions(KSPACE[name], every), scans.header(shape, r))
    assert bucket.lattice.acceleration == (1, 1) and np.array_equal(bucket.kspace, KSPACE[name])
    assert bucket.warnings == (f"every line came; the header tells R={' x '.join(map(str, r)) if r[1] > 1 else r[0]}",)


def test_an_image_whose_lines_without_flags_are_still_coming_is_not_complete() -> None:
    """A repetition is flagged to end while another slice has but one of them."""
    shape, r, _, _ = SAMPLINGS["R=2"]
    first = lines("R=2", "no flags")
    first[-1].set_flag(ismrmrd.ACQ_LAST_IN_REPETITION)
    first[-1].clear_flag(ismrmrd.ACQ_LAST_IN_SLICE)
    even = list(scans.acquisitions(KSPACE["R=2"], [(0, y) for y in range(0, 64, 2)], end=False, slice=1))
    odd = list(scans.acquisitions(KSPACE["R=2"], [(0, y) for y in range(21, 44, 2)], slice=1))
    acquired = [first[0], *even, odd[0], *first[1:], *odd[1:]]
    buckets = list(run_gadget(accumulate, acquired, scans.header(shape, r)))
    assert [bucket.head.idx.slice for bucket in buckets] == [0, 1]
    assert torch.equal(buckets[0].kspace, buckets[1].kspace)
    assert torch.equal(buckets[0].calibration.kspace, buckets[1].calibration.kspace)


def test_calibration_lines_of_another_contrast_are_not_lent_to_the_image() -> None:
    """A separate calibration, and an image that was cut short ahead of the centre."""
    name = "R=2"
    shape, r, _, _ = SAMPLINGS[name]
    acs = list(scans.acquisitions(9 * KSPACE[name], [(0, y) for y in range(20, 44)], [CALIBRATION], end=False))
    image = list(scans.acquisitions(KSPACE[name], [(0, y) for y in range(0, 24, 2)]))
    (bucket,) = run_gadget(accumulate, [*acs, *image], scans.header(shape, r, mode="separate"))
    assert int(bucket.line_sd.sum()) == 12 and bucket.warnings[0].startswith("20 of 32 image lines never arrived")
