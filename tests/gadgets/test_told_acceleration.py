"""Headers that tell another acceleration than that of the lines, or none: the lines decide."""

import ismrmrd
import numpy as np
import pytest

from snrstream.errors import ScanError

from .. import scans
from ..recon.simulation import noisy_kspace
from ..scans import random_complex
from .test_placement import CALIBRATION, SLICE, VOLUME, accumulated, partial, same
from .test_samplings import reconstructed

BOTH = [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING]
SCANS = {
    "slice": (SLICE, (0, 0), (1, 64)),
    "partial Fourier": (SLICE, (0, 16), (1, 64)),
    "volume": (VOLUME, (0, 0), (16, 32)),
}


def taken(told: tuple[int, int], found: tuple[int, int]) -> str:
    names = [f"R={r1}" if r2 == 1 else f"R={r1} x {r2}" for r1, r2 in (told, found)]
    return f"the header tells {names[0]}, the lines are of {names[1]}: that was taken"


@pytest.mark.parametrize("told", [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2)])
@pytest.mark.parametrize("r", [(2, 1), (3, 1), (4, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("name", SCANS)
def test_the_steps_of_the_lines(name: str, r: tuple[int, int], told: tuple[int, int]) -> None:
    shape, first, stop = SCANS[name]
    if name != "volume" and (r[1] > 1 or told[1] > 1):
        return
    kspace = noisy_kspace(8, shape, snr=20).numpy()
    limits = ((shape[0] // 2 - first[0], stop[0] - first[0] - 1), (shape[1] // 2 - first[1], stop[1] - first[1] - 1))
    lines = [
        line
        for number in range(2)
        for line in partial(kspace, first, stop, r, n_acs=0 if number else 20, repetition=number)
    ]
    right = accumulated(scans.header(shape, r, limits=limits), lines)
    found = accumulated(scans.header(shape, told, limits=limits), lines)
    assert len(found) == len(right) == 2
    assert all(same(one, other) for one, other in zip(found, right, strict=True))
    is_another = np.prod(told) != np.prod(r)  # the product counts
    assert found[0].warnings == found[1].warnings == ((taken(told, r),) if is_another else ())


@pytest.mark.parametrize("r", [2, 3, 4])
@pytest.mark.parametrize("flags", [[], CALIBRATION, BOTH, CALIBRATION + BOTH], ids=["none", "one", "image", "both"])
def test_calibration_lines_among_those_of_the_image(flags: list[int], r: int) -> None:
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    block = range(20, 44)
    lines = list(scans.acquisitions(kspace, [(0, y) for y in block], flags, end=False))
    lines += scans.acquisitions(kspace, [(0, y) for y in range(0, 64, r) if y not in block])
    (right,) = accumulated(scans.header(SLICE, (r, 1)), lines)
    (found,) = accumulated(scans.header(SLICE), lines)
    assert same(found, right)
    assert [text for text in found.warnings if text not in right.warnings] == [taken((1, 1), (r, 1))]


@pytest.mark.parametrize("told", [2, 3])
@pytest.mark.parametrize("flags", [[], CALIBRATION, BOTH, CALIBRATION + BOTH], ids=["none", "one", "image", "both"])
def test_whole_k_space_under_a_header_that_tells_acceleration(flags: list[int], told: int) -> None:
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    block = range(20, 44)
    lines = list(scans.acquisitions(kspace, [(0, y) for y in block], flags, end=False))
    lines += scans.acquisitions(kspace, [(0, y) for y in range(64) if y not in block])
    (right,) = reconstructed(scans.header(SLICE), scans.acquisitions(kspace, [(0, y) for y in range(64)]))
    (found,) = reconstructed(scans.header(SLICE, (told, 1)), lines)
    assert np.allclose(found.image, right.image, atol=1e-5 * np.abs(right.image).max())
    assert f"every line came; the header tells R={told}" in found.warnings
    if flags == CALIBRATION:
        return
    del lines[30]
    (found,) = reconstructed(scans.header(SLICE, (told, 1)), lines)
    assert any("1 of 64 image lines never arrived" in text for text in found.warnings)


def test_lines_without_a_pattern_have_no_acceleration() -> None:
    """Partial Fourier under limits that are too wide, lost lines and random ones are what the header tells."""
    kspace = noisy_kspace(8, SLICE, snr=20).numpy()
    rng = np.random.default_rng(0)
    random = sorted({*range(26, 38), *rng.choice(64, 30, replace=False).tolist()})
    for lines in (range(16, 64), [y for y in range(64) if y % 9], random):
        acquisitions = list(scans.acquisitions(kspace, [(0, y) for y in lines]))
        (bucket,) = accumulated(scans.header(SLICE), acquisitions)
        assert bucket.lattice.acceleration == (1, 1)
        assert ["never arrived" in text for text in bucket.warnings] == [True]
    with pytest.raises(ScanError, match="lies between the image lines at R=2; expected none there"):
        accumulated(scans.header(SLICE, (2, 1)), acquisitions)


@pytest.mark.parametrize(("told", "acquired"), [(1, 2), (2, 4), (4, 2)])
def test_without_calibration_lines_they_are_asked_for(told: int, acquired: int) -> None:
    kspace = random_complex(8, *SLICE)
    lines = scans.acquisitions(kspace, [(0, y) for y in range(0, 64, acquired)])
    with pytest.raises(ScanError, match=f"scan at R={acquired} has no ACS"):
        reconstructed(scans.header(SLICE, (told, 1)), lines)
