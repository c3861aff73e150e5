"""Accelerated images wait for calibration lines: those that come behind them, or of another encoding of the header."""

import copy
import math

import ismrmrd
import numpy as np
import pytest
import torch
from ismrmrd import xsd

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate, coil_combine, grappa, resize
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Bucket, ReconImage
from snrstream.recon.fft import to_image, to_kspace
from snrstream.sorting import calibrations

from .. import scans
from ..recon.simulation import noisy_kspace, object_and_coils

CALIBRATION = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION
NY, NX = 64, 48
KSPACE = noisy_kspace(6, (1, NY, NX), snr=100).numpy()
IMAGE_LINES, BLOCK = range(0, NY, 2), range(20, 44)


def image_lines(r: int = 2, end: bool = True, **idx: int) -> list[ismrmrd.Acquisition]:
    return list(scans.acquisitions(KSPACE, [(0, y) for y in range(0, NY, r)], end=end, **idx))


def acs(end: bool = False, **idx: int) -> list[ismrmrd.Acquisition]:
    return list(scans.acquisitions(KSPACE, [(0, y) for y in BLOCK], [CALIBRATION], end=end, **idx))


def buckets_of(header, acquisitions) -> list[Bucket]:
    return list(run_gadget(accumulate, acquisitions, header))


def recons_of(header, acquisitions) -> list[ReconImage]:
    items = run_gadget(accumulate, acquisitions, header)
    for gadget in (grappa, coil_combine, resize):
        items = run_gadget(gadget, items, header)
    return list(items)


def order_of(buckets: list[Bucket], *names: str) -> list[tuple[int, ...]]:
    return [tuple(getattr(b.head.idx, name) for name in names) for b in buckets]


# Calibration lines behind the images.


@pytest.mark.parametrize("end", [True, False])
def test_calibration_lines_at_the_scan_s_end(end: bool) -> None:
    images = [a for n in range(3) for s in range(2) for a in image_lines(end=end, slice=s, repetition=n)]
    behind = [a for s in range(2) for a in acs(end=end, slice=s)]
    before = buckets_of(scans.header((1, NY, NX), (2, 1)), [*behind, *images])
    buckets = buckets_of(scans.header((1, NY, NX), (2, 1)), [*images, *behind])
    assert sorted(order_of(buckets, "slice", "repetition")) == [(s, n) for s in range(2) for n in range(3)]
    for bucket in buckets:
        same = next(
            b for b in before if order_of([b], "slice", "repetition") == order_of([bucket], "slice", "repetition")
        )
        assert torch.equal(bucket.kspace, same.kspace) and bucket.warnings == ()
        assert torch.equal(bucket.calibration.kspace, same.calibration.kspace)
    assert len({id(bucket.calibration) for bucket in buckets}) == 2  # one for each slice


def test_images_of_a_slice_go_on_once_its_calibration_lines_have_come() -> None:
    acquisitions = [
        *image_lines(),
        *image_lines(repetition=1),
        *acs(end=True),
        *image_lines(repetition=2),
        *acs(slice=1),
    ]
    taken = []

    def source():
        for acquisition in acquisitions:
            taken.append(acquisition)
            yield acquisition

    left = [len(taken) for _ in run_gadget(accumulate, source(), scans.header((1, NY, NX), (2, 1)))]
    n_before = 2 * len(IMAGE_LINES) + len(BLOCK)
    assert left == [n_before, n_before, n_before + len(IMAGE_LINES)]


def test_calibration_lines_of_another_contrast() -> None:
    """They end with no flag, and the images that they are for have counters of their own."""
    for acquisitions in ([*acs(contrast=1), *image_lines()], [*image_lines(), *acs(contrast=1)]):
        (bucket,) = buckets_of(scans.header((1, NY, NX), (2, 1)), acquisitions)
        assert np.array_equal(bucket.calibration.kspace, KSPACE[:, :, BLOCK.start : BLOCK.stop])


@pytest.mark.parametrize("end", [True, False], ids=["flagged", "at the end"])
def test_an_image_that_waited_leaves_though_the_one_that_brings_the_calibration_fails(end: bool) -> None:
    header = scans.header((1, NY, NX), (2, 1))
    stray = list(scans.acquisitions(KSPACE, [(0, 1), (0, 2), (0, 5)], end=end, repetition=1))  # lines off the lattice
    made = run_gadget(accumulate, [*image_lines(), *acs(repetition=1), *stray], header)
    assert order_of([next(made)], "repetition") == [(0,)]
    with pytest.raises(ScanError, match="lies between the image lines"):
        next(made)


def test_without_any_calibration_lines_the_scan_ends_with_the_error_of_old() -> None:
    with pytest.raises(ScanError, match=r"scan at R=2 has no ACS: no line of slice 1 has carried a parallel"):
        recons_of(scans.header((1, NY, NX), (2, 1)), [*acs(), *image_lines(), *image_lines(slice=1)])


def test_slices_with_calibration_lines_do_not_wait_for_those_without() -> None:
    acquisitions = [*image_lines(slice=1), *acs(), *image_lines(), *image_lines(repetition=1)]
    items = run_gadget(accumulate, acquisitions, scans.header((1, NY, NX), (2, 1)))
    made = run_gadget(grappa, items, scans.NO_HEADER)
    assert order_of([next(made), next(made)], "slice", "repetition") == [(0, 0), (0, 1)]
    with pytest.raises(ScanError, match="no line of slice 1"):
        next(made)


def test_images_wait_in_bounded_memory(monkeypatch) -> None:
    monkeypatch.setattr(calibrations, "MOST_WAITING_BYTES", 3 * KSPACE[:, :, ::2].nbytes)
    images = [a for n in range(4) for a in image_lines(repetition=n)]
    assert len(buckets_of(scans.header((1, NY, NX), (2, 1)), [*images[:96], *acs()])) == 3
    with pytest.raises(ScanError, match="images without calibration lines hold more than 0 GiB .* slice 0 has none"):
        buckets_of(scans.header((1, NY, NX), (2, 1)), [*images, *acs()])


# Calibration lines of a second encoding.


def header_of(*encodings: xsd.ismrmrdHeader) -> xsd.ismrmrdHeader:
    """One header with the encodings of several."""
    header = copy.deepcopy(encodings[0])
    header.encoding.extend(copy.deepcopy(other.encoding[0]) for other in encodings[1:])
    return header


def reference(n_lines: int, n_samples: int, fov: float = 1.0, centre: int | None = None) -> list[ismrmrd.Acquisition]:
    """The scan's own lines with other numbers and other readouts, of encoding 1.

    fov: along the readout, in units of that of the images; the image is embedded in it, or cut.
    """
    centre = n_lines // 2 if centre is None else centre
    y0 = NY // 2 - centre
    kspace = torch.from_numpy(KSPACE)
    n_wide = round(NX * fov)
    wide = torch.zeros(*kspace.shape[:-1], n_wide, dtype=kspace.dtype)
    image = to_image(kspace, dims=(-1,))
    n = min(n_wide, NX)
    cut = [slice(size // 2 - n // 2, size // 2 - n // 2 + n) for size in (n_wide, NX)]
    wide[..., cut[0]] = image[..., cut[1]]
    readouts = to_kspace(wide, dims=(-1,))
    start = n_wide // 2 - n_samples // 2
    if start < 0:  # of a finer resolution: nothing there
        readouts = torch.nn.functional.pad(readouts, (-start, n_samples + start - n_wide))
        start = 0
    data = readouts[..., start : start + n_samples].numpy()
    numbers = [(0, y0 + y) for y in range(n_lines)]
    out = list(scans.acquisitions(data, numbers, [CALIBRATION], end=False, shift=(0, -y0)))
    for line in out:
        line.encoding_space_ref = 1
    return out


# Matrix of the reference scan (readout, lines), field of view along the readout, and the centre line's number.
REFERENCES = {
    "the same": (NX, NY, 1.0, 32),
    "fewer lines": (NX, 24, 1.0, 12),
    "fewer lines and samples": (32, 24, 1.0, 12),
    "odd sizes": (33, 25, 1.0, 12),
    "more samples": (64, 24, 1.0, 12),
    "oversampled": (2 * NX, 24, 2.0, 12),
    "oversampled, coarser": (48, 24, 2.0, 12),
    "wider": (NX, 24, 1.25, 12),
    "a centre of its own": (NX, 24, 1.0, 10),
}


def encodings(name: str, r: int = 2, fov_y: float = 1.0) -> xsd.ismrmrdHeader:
    n_samples, n_lines, fov, centre = REFERENCES[name]
    own = scans.header((1, n_lines, n_samples), (r, 1), limits=((0, 0), (centre, n_lines - 1)))
    size = own.encoding[0].encodedSpace.fieldOfView_mm, own.encoding[0].reconSpace.fieldOfView_mm
    for length in size:
        length.x, length.y = fov * NX, fov_y * NY
    return header_of(scans.header((1, NY, NX), (r, 1)), own)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_scan_in_a_second_encoding(name: str, behind: bool) -> None:
    n_samples, n_lines, fov, centre = REFERENCES[name]
    lines = reference(n_lines, n_samples, fov, centre)
    scan = [*image_lines(), *lines] if behind else [*lines, *image_lines()]
    (bucket,) = buckets_of(encodings(name), scan)
    (z0, y0), block = bucket.calibration.start, bucket.calibration.kspace
    assert (z0, y0) == (0, NY // 2 - centre) and block.shape == (6, 1, n_lines, NX)
    # Inside of what both resolve, the very samples; interpolated ones where the fields of view differ.
    n = min(NX, int(n_samples / fov)) - 2
    inside = slice(NX // 2 - n // 2, NX // 2 + n // 2)
    expected = KSPACE[:, :, y0 : y0 + n_lines]
    wrong = np.linalg.norm(block.numpy()[..., inside] - expected[..., inside]) / np.linalg.norm(expected)
    assert wrong < (1e-6 if n_samples >= round(NX * fov) else 0.03 if fov > 1 else 1e-6)
    (recon,) = recons_of(encodings(name), scan)
    (full,) = recons_of(scans.header((1, NY, NX)), image_lines(1))
    inside = object_and_coils(6, (1, NY, NX))[0].abs().numpy() > 0.9
    scale = np.abs(full.image[inside]).mean() / np.abs(recon.image[inside]).mean()
    error = np.linalg.norm(np.abs(recon.image * scale - full.image)[inside]) / np.linalg.norm(full.image[inside])
    assert error < 0.05 and scale == pytest.approx(math.sqrt(2), rel=0.02)  # R = 2 of as many lines


def test_a_reference_scan_with_a_dwell_time_of_its_own_serves() -> None:
    lines = reference(24, NX, centre=12)
    for line in lines:
        head = line.getHead()
        head.sample_time_us = 2.5
        line.setHead(head)
    assert buckets_of(encodings("fewer lines"), [*lines, *image_lines()])[0].calibration is not None


def test_later_images_share_the_reference_scan() -> None:
    images = [a for n in range(3) for a in image_lines(repetition=n)]
    buckets = buckets_of(encodings("fewer lines"), [*reference(24, NX, centre=12), *images])
    assert len(buckets) == 3 and len({id(bucket.calibration) for bucket in buckets}) == 1


def test_an_image_s_own_calibration_lines_come_first() -> None:
    scan = Scan(encodings("fewer lines"))
    (bucket,) = buckets_of(scan, [*reference(24, NX, centre=12), *acs(), *image_lines()])
    assert bucket.calibration.start == (0, BLOCK.start) and scan.warnings == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"y": 80.0}, "their field of view is 80 mm along e1, that of the images 64 mm"),
        ({"x": 24.0}, "their field of view is 24 mm along the readout; the images want 48 mm"),
        ({"z": None}, "ISMRMRD header has encodedSpace with matrix"),
    ],
)
def test_a_reference_scan_that_does_not_fit_is_left_out_with_a_line_that_names_both(change, text: str) -> None:
    header = encodings("fewer lines")
    for name, value in change.items():
        setattr(header.encoding[1].encodedSpace.fieldOfView_mm, name, value)
        if name == "x":
            header.encoding[1].reconSpace.fieldOfView_mm.x = value
    lines, scan = reference(24, NX, centre=12), Scan(header)
    (bucket,) = buckets_of(scan, [*lines, *acs(), *image_lines()])
    (warning,) = scan.warnings
    assert warning.startswith(f"calibration lines of encoding 1 do not fit images of encoding 0: {text}")
    assert bucket.warnings == (warning,)
    with pytest.raises(ScanError, match=f"images at R > 1 have no calibration lines: .*of encoding 1 .* {text}"):
        buckets_of(header, [*lines, *image_lines()])


def test_a_reference_scan_of_a_volume() -> None:
    kspace = noisy_kspace(6, (16, 24, 12), snr=100).numpy()
    header = header_of(scans.header((16, 24, 12), (2, 2)), scans.header((10, 14, 12), (2, 2)))
    for space in (header.encoding[1].encodedSpace, header.encoding[1].reconSpace):
        space.fieldOfView_mm.y, space.fieldOfView_mm.z = 24.0, 16.0
    block = [(z, y) for z in range(3, 13) for y in range(5, 19)]
    own = list(scans.acquisitions(kspace, block, [CALIBRATION], end=False, shift=(-3, -5)))
    for line in own:
        line.encoding_space_ref = 1
    images = scans.acquisitions(kspace, [(z, y) for z in range(0, 16, 2) for y in range(0, 24, 2)])
    (bucket,) = buckets_of(header, [*own, *images])
    assert bucket.calibration.start == (3, 5) and np.array_equal(bucket.calibration.kspace, kspace[:, 3:13, 5:19])


# Images of a second encoding.


def of_encoding(number: int, acquisitions: list[ismrmrd.Acquisition]) -> list[ismrmrd.Acquisition]:
    for acquisition in acquisitions:
        acquisition.encoding_space_ref = number
    return acquisitions


@pytest.mark.parametrize("behind", [False, True])
def test_the_reference_scan_is_the_first_encoding_and_the_images_the_second(behind: bool) -> None:
    own, images = encodings("fewer lines").encoding[::-1]
    header = encodings("fewer lines")
    header.encoding = [own, images]
    lines = of_encoding(0, reference(24, NX, centre=12))
    scan = [*of_encoding(1, image_lines()), *lines] if behind else [*lines, *of_encoding(1, image_lines())]
    (recon,) = recons_of(header, scan)
    (expected,) = recons_of(encodings("fewer lines"), [*reference(24, NX, centre=12), *image_lines()])
    assert np.array_equal(recon.image, expected.image) and recon.voxel_mm == expected.voxel_mm


def test_images_of_two_encodings_are_each_reconstructed_by_their_own() -> None:
    """The second has another matrix and oversampling, and the same counters."""
    second = noisy_kspace(6, (1, 40, 2 * 32), snr=100).numpy()
    header = header_of(scans.header((1, NY, NX)), scans.header((1, 40, 64), recon=(32, 40, 1)))
    lines = of_encoding(1, list(scans.acquisitions(second, [(0, y) for y in range(40)])))
    recons = recons_of(header, [*image_lines(1), *lines])
    assert [recon.image.shape for recon in recons] == [(1, NY, NX), (1, 40, 32)]
    alone = [recons_of(scans.header((1, NY, NX)), image_lines(1))]
    alone += [recons_of(scans.header((1, 40, 64), recon=(32, 40, 1)), of_encoding(0, copy.deepcopy(lines)))]
    for recon, (expected,) in zip(recons, alone, strict=True):
        # One slice has one phase of its coil maps, that of its first image.
        assert np.allclose(np.abs(recon.image), np.abs(expected.image), rtol=1e-4, atol=1e-3)
        assert recon.voxel_mm == expected.voxel_mm


def test_each_of_two_accelerated_encodings_has_calibration_lines_of_its_own() -> None:
    header = header_of(scans.header((1, NY, NX), (2, 1)), scans.header((1, NY, NX), (4, 1)))
    ahead = [*acs(), *of_encoding(1, acs())]
    first, second = buckets_of(header, [*ahead, *image_lines(), *of_encoding(1, image_lines(4))])
    assert (first.lattice.acceleration, second.lattice.acceleration) == ((2, 1), (4, 1))
    assert first.calibration is not second.calibration
    assert torch.equal(first.calibration.kspace, second.calibration.kspace)


def test_an_encoding_that_the_header_lacks() -> None:
    with pytest.raises(
        ScanError, match="acquisitions have encoding_space_ref 2; the ISMRMRD header has encodings 0 to 1"
    ):
        buckets_of(encodings("the same", 1), of_encoding(2, image_lines(1)))


def test_lines_are_not_changed() -> None:
    acquisitions = [*reference(24, 64, centre=12), *image_lines()]
    before = copy.deepcopy(acquisitions)
    buckets_of(encodings("more samples"), acquisitions)
    assert all(a.getHead() == b.getHead() for a, b in zip(acquisitions, before, strict=True))
