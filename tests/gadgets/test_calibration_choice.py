"""Scans that bring calibration lines with each image, in every way in which these can be used."""

import contextlib
import itertools
import math
import time

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate, coil_combine, compress_channels, grappa
from snrstream.gadgets.gadget import Scan, stream
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import Calibration, ReconImage
from snrstream.recon.fft import to_kspace
from snrstream.sorting.calibration_choice import CHOICES
from snrstream.sorting.calibration_mean import CalibrationMean

from .. import scans
from ..recon.simulation import noisy_kspace, object_and_coils, white_noise
from .test_samplings import block

SHAPE, R = (1, 60, 48), 2
CALIBRATION = [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION]
WAYS = sorted(CHOICES)
PATIENCE_S = 60


def images(header, acquisitions, way="first", n_channels=None, **combine) -> list[ReconImage]:
    items = run_gadget(accumulate, acquisitions, header, accumulate.Parameters())
    if n_channels is not None:
        items = run_gadget(compress_channels, items, header, compress_channels.Parameters(channels=n_channels))
    items = run_gadget(grappa, items, header, grappa.Parameters(calibration=way))
    return list(run_gadget(coil_combine, items, header, coil_combine.Parameters(**combine)))


def repeated(acs, data, r=R, **counters) -> list[ismrmrd.Acquisition]:
    """Calibration lines of `acs[n]`, then image lines of `data[n]`, for each repetition n."""
    out = []
    for n, (reference, kspace) in enumerate(zip(acs, data, strict=True)):
        own = {"repetition": n, **{name: values[n] for name, values in counters.items()}}
        if r > 1:
            out += scans.acquisitions(reference.numpy(), block(SHAPE, 1, 36), CALIBRATION, end=False, **own)
        out += scans.acquisitions(kspace.numpy(), [(0, y) for y in range(0, SHAPE[1], r)], **own)
    return out


@pytest.mark.parametrize("way", WAYS)
def test_noise_has_the_sd_that_its_g_map_tells(way: str) -> None:
    """Images of noise alone, by kernels and maps of calibration lines with noise of their own."""
    n = 24
    generator = torch.Generator().manual_seed(1)
    acs = [noisy_kspace(8, SHAPE, snr=50, seed=seed) for seed in range(n)]
    found = images(scans.header(SHAPE, (R, 1)), repeated(acs, [white_noise(generator, 8, *SHAPE) for _ in acs]), way)
    power = np.mean([np.square(np.abs(recon.image / recon.gmap)) for recon in found]) / 2
    # 24 x 2880 pixels of two parts: 0.3 % of SD.
    assert math.sqrt(power) == pytest.approx(1, abs=0.01)


def turned(n: int, snr: float, seed: int) -> torch.Tensor:
    """The object with a phase that rises along x and y with n, and drifts."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]] / np.array(SHAPE[1:])[:, None, None] - 0.5
    image, csm = object_and_coils(8, SHAPE)
    turn = torch.from_numpy(np.exp(1j * n * (1.5 * x + y + 0.5)))
    signal = to_kspace(snr * csm * image * turn, dims=(1, 2, 3)).to(torch.complex64)
    return signal + white_noise(torch.Generator().manual_seed(seed), 8, *SHAPE)


def slopes(first: ReconImage, later: ReconImage) -> np.ndarray:
    """Of the phase between two images along x and y, and its mean in the middle."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]] / np.array(SHAPE[1:])[:, None, None] - 0.5
    inside = object_and_coils(8, SHAPE)[0][0].abs().numpy() > 0.9
    phase = np.angle(later.image[0] * first.image[0].conj())[inside]
    columns = np.stack([x[inside], y[inside], np.ones(inside.sum())], axis=1)
    return np.linalg.lstsq(columns, phase, rcond=None)[0]


@pytest.mark.parametrize("counter", ["repetition", "set", "contrast"])
@pytest.mark.parametrize("n_channels", [None, 5])
@pytest.mark.parametrize(("r", "way"), [(1, "first"), *((R, way) for way in WAYS), (3, "first"), (3, "each")])
def test_the_phase_between_images_is_that_of_the_object(counter: str, n_channels, r: int, way: str) -> None:
    """Field maps, flow and drift: maps and channels of each image's own leave it as it is."""
    kspaces = [turned(n, snr=100, seed=n) for n in range(2)]
    header = scans.header(SHAPE, (r, 1))
    first, second = images(header, repeated(kspaces, kspaces, r, **{counter: [0, 1]}), way, n_channels)
    assert slopes(first, second) == pytest.approx([1.5, 1.0, 0.5], abs=0.015)


def test_inati_takes_each_images_own_phase_out() -> None:
    kspaces = [turned(n, snr=100, seed=n) for n in range(2)]
    first, second = images(scans.header(SHAPE), repeated(kspaces, kspaces, 1), maps="inati")
    assert slopes(first, second) == pytest.approx([0, 0, 0], abs=0.05)


def test_the_phase_of_a_single_channel_is_the_images() -> None:
    phase = torch.polar(torch.ones(SHAPE), torch.linspace(-3, 3, SHAPE[2]).expand(SHAPE))
    kspace = to_kspace(50 * phase[None], dims=(1, 2, 3)).to(torch.complex64)
    (recon,) = images(scans.header(SHAPE), scans.acquisitions(kspace.numpy(), block(SHAPE, 1, 60)))
    assert np.allclose(recon.image, 50 * phase.numpy(), atol=1e-3)


def test_a_dark_first_image_sets_no_phase() -> None:
    kspaces = [white_noise(torch.Generator().manual_seed(9), 8, *SHAPE), *(turned(n, 100, n) for n in range(2))]
    for r in (1, R):
        alone = images(scans.header(SHAPE, (r, 1)), repeated(kspaces[1:], kspaces[1:], r), "each")
        after = images(scans.header(SHAPE, (r, 1)), repeated(kspaces, kspaces, r), "each")[1:]
        for one, other in zip(alone, after, strict=True):
            assert np.array_equal(one.image, other.image)


def test_the_first_complete_calibration_serves_all_later_images_of_its_contrast() -> None:
    dark, *bright = (noisy_kspace(8, SHAPE, snr=snr, seed=n) for n, snr in enumerate((0, 50, 50, 50, 50, 50)))
    data = [bright[0]] * 6
    header = scans.header(SHAPE, (R, 1))
    found = images(header, repeated([dark, *bright], data, contrast=[0, 0, 0, 0, 1, 1]))
    assert [len(recon.warnings) for recon in found] == [1, 0, 0, 0, 0, 0]
    distinct = [next(n for n, other in enumerate(found) if other.gmap is recon.gmap) for recon in found]
    assert distinct == [0, 1, 1, 1, 4, 4]
    (own,) = images(header, repeated(bright[:1], data[:1]))
    assert np.array_equal(found[3].image, own.image), "that of the second repetition"


def test_calibrations_that_nobody_uses_are_not_put_together(monkeypatch) -> None:
    asked = []
    block_of = Calibration.block.fget
    monkeypatch.setattr(Calibration, "block", property(lambda self: asked.append(self) or block_of(self)))
    kspaces = [noisy_kspace(8, SHAPE, snr=50, seed=n) for n in range(4)]
    found = images(scans.header(SHAPE, (R, 1)), repeated(kspaces, kspaces))
    assert len(found) == 4 and len(set(map(id, asked))) == 1


def test_the_mean_of_all_is_that_of_the_scan_and_ignores_what_does_not_fit() -> None:
    kspaces = [noisy_kspace(8, SHAPE, snr=20, seed=n) for n in range(4)]
    data = [kspaces[0]] * 5
    header = scans.header(SHAPE, (R, 1))
    dark = white_noise(torch.Generator().manual_seed(9), 8, *SHAPE)
    turns = [1, 1j, -1, -1j]  # a drift, over which a mean would fade
    acs = [dark, *(turn * kspace for turn, kspace in zip(turns, kspaces, strict=True))]
    *_, found = images(header, repeated(acs, data), "all")
    mean = torch.stack(kspaces).mean(dim=0)
    (wanted,) = images(header, repeated([mean], data[:1]))
    assert np.allclose(np.abs(found.image), np.abs(wanted.image), atol=1e-3 * np.abs(wanted.image).max())
    assert np.allclose(found.gmap, wanted.gmap, rtol=1e-3) and found.warnings == ()


@pytest.mark.parametrize("fails", [False, True])
def test_all_lets_images_go_at_the_end_of_the_scan_or_where_it_breaks_off(fails: bool) -> None:
    kspaces = [noisy_kspace(8, SHAPE, snr=20, seed=n) for n in range(3)]
    header, n_taken, n_left = scans.header(SHAPE, (R, 1)), [0], 0
    lines = repeated(kspaces, kspaces)

    def source():
        for line in lines:
            n_taken[0] += 1
            yield line
        if fails:
            raise ScanError("no more")

    scan = Scan(header)
    items = stream(accumulate, source(), scan, accumulate.Parameters())
    items = stream(grappa, items, scan, grappa.Parameters(calibration="all"))
    with pytest.raises(ScanError, match="no more") if fails else contextlib.nullcontext():
        for _ in items:
            n_left += 1
            assert n_taken == [len(lines)]
    assert n_left == 3


def test_too_much_that_waits_for_the_end_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr(grappa, "MOST_WAITING_BYTES", 1 << 17)
    kspaces = [noisy_kspace(8, SHAPE, snr=20, seed=n) for n in range(3)]
    with pytest.raises(ScanError, match=r"wait for the end of the scan, for calibration=all, hold more than"):
        images(scans.header(SHAPE, (R, 1)), repeated(kspaces, kspaces), "all")


def test_running_renews_the_plan_beside_the_stream() -> None:
    """Each plan is of a mean of twice as many, and comes with its own g-map; images in between go by the one before."""
    kspaces = [noisy_kspace(8, SHAPE, snr=20, seed=n) for n in range(9)]
    header = scans.header(SHAPE, (R, 1))
    buckets = list(run_gadget(accumulate, repeated(kspaces, [kspaces[0]] * 9), header, accumulate.Parameters()))
    kernels = grappa.start(Scan(header), grappa.Parameters(calibration="running"))
    combine = coil_combine.start(Scan(header), coil_combine.Parameters())

    def reconstruct(bucket) -> tuple[int, ReconImage]:
        (with_kernel,) = kernels.take(bucket)
        (recon,) = combine.take(with_kernel)
        for gadget in (kernels, combine):
            assert not list(gadget.pause())
        return with_kernel.calibration.n_averaged, recon

    used, recon = reconstruct(buckets[0])
    gmaps, sizes = [recon.gmap], [used]
    for number, bucket in enumerate(buckets[1:], start=2):
        deadline, wanted, is_new = time.monotonic() + PATIENCE_S, 2 ** int(math.log2(number)), False
        while True:
            used, recon = reconstruct(bucket)
            sizes.append(used)
            is_new = is_new or recon.gmap is not gmaps[-1]
            if used == wanted and is_new == (wanted == number):
                break
            assert time.monotonic() < deadline, f"no plan of {wanted}, the last is of {used}"
        if is_new:
            gmaps.append(recon.gmap)
    kernels.close()
    combine.close()
    assert [size for size, _ in itertools.groupby(sizes)] == [1, 2, 4, 8] and len(gmaps) == 4
    mean = CalibrationMean(buckets[0].calibration)
    for bucket in buckets[1:8]:
        mean.add(bucket.calibration)
    assert mean.calibration().n_averaged == 8
    (wanted,) = images(header, repeated([torch.stack(kspaces[:8]).mean(dim=0)], [kspaces[0]]))
    assert np.allclose(gmaps[-1], wanted.gmap, rtol=1e-3)


@pytest.mark.parametrize("n_channels", [None, 5])
@pytest.mark.parametrize("way", WAYS)
def test_after_a_dark_first_image_no_image_is_wrong_without_a_word(way: str, n_channels) -> None:
    """Kernel, maps and k-space are of the same channels, and a dark calibration serves nobody unsaid."""
    kspaces = [white_noise(torch.Generator().manual_seed(9), 8, *SHAPE)]
    kspaces += [noisy_kspace(8, SHAPE, snr=50, seed=n) for n in range(5)]
    data = [kspaces[1]] * 6
    header = scans.header(SHAPE, (R, 1))
    (wanted,) = images(header, repeated(kspaces[1:2], data[:1]), "first", n_channels)
    inside = object_and_coils(8, SHAPE)[0].abs().numpy() > 0.9
    for number, recon in enumerate(images(header, repeated(kspaces, data), way, n_channels)):
        difference = (
            np.abs(np.abs(recon.image) - np.abs(wanted.image))[inside].mean() / np.abs(wanted.image)[inside].mean()
        )
        assert difference < 0.05 or (number == 0 and recon.warnings)


def test_phases_that_take_turns_are_counted_once() -> None:
    kspaces = [noisy_kspace(8, SHAPE, snr=20, seed=n) for n in range(2)]
    header = scans.header(SHAPE, (R, 1))
    lines = []
    for repetition in range(6):
        for phase, kspace in enumerate(kspaces):
            own = {"repetition": repetition, "phase": phase}
            if repetition == 0:
                lines += scans.acquisitions(kspace.numpy(), block(SHAPE, 1, 36), CALIBRATION, end=False, **own)
            lines += scans.acquisitions(kspace.numpy(), [(0, y) for y in range(0, SHAPE[1], R)], **own)
    for n_channels in (None, 5):
        items = run_gadget(accumulate, lines, header, accumulate.Parameters())
        if n_channels is not None:
            items = run_gadget(compress_channels, items, header, compress_channels.Parameters(channels=n_channels))
        found = list(run_gadget(grappa, items, header, grappa.Parameters(calibration="all")))
        assert {bucket.calibration.n_averaged for bucket in found} == {2}


def test_an_error_of_the_scan_is_not_covered_by_one_of_images_that_wait() -> None:
    lines = scans.acquisitions(noisy_kspace(8, SHAPE, snr=20).numpy(), [(0, y) for y in range(0, SHAPE[1], R)])

    def source():
        yield from lines
        raise ScanError("the real cause")

    scan = Scan(scans.header(SHAPE, (R, 1)))
    items = stream(accumulate, source(), scan, accumulate.Parameters())
    with pytest.raises(ScanError, match="the real cause"):
        list(stream(grappa, items, scan, grappa.Parameters(calibration="all")))
