"""Every sampling through accumulate, compress_channels, grappa and coil_combine, as a scan brings it."""

import math

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ScanError
from snrstream.gadgets import accumulate, coil_combine, compress_channels, grappa, partial_fourier, resize, taper
from snrstream.gadgets.gadget import run as run_gadget
from snrstream.items import ReconImage
from snrstream.recon.fft import to_image, to_kspace
from snrstream.recon.lattice import Lattice

from .. import scans
from ..recon.simulation import lattice_mask, noisy_kspace, object_and_coils, white_noise

CALIBRATION = [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION]
SLICE, VOLUME = (1, 60, 48), (24, 36, 20)


def reconstructed(header, acquisitions, n_channels=None, **combine) -> list[ReconImage]:
    items = run_gadget(accumulate, acquisitions, header, accumulate.Parameters())
    if n_channels is not None:
        items = run_gadget(compress_channels, items, header, compress_channels.Parameters(channels=n_channels))
    items = run_gadget(grappa, items, header, grappa.Parameters())
    return list(run_gadget(coil_combine, items, header, coil_combine.Parameters(**combine)))


def block(shape, n_partitions: int, n_lines: int) -> list[tuple[int, int]]:
    z0, y0 = shape[0] // 2 - n_partitions // 2, shape[1] // 2 - n_lines // 2
    return [(z, y) for z in range(z0, z0 + n_partitions) for y in range(y0, y0 + n_lines)]


def lines_of(lattice: Lattice, shape, first=(0, 0), keep=lambda z, y: True) -> list[tuple[int, int]]:
    return [(z, y) for z, y in lattice_mask(lattice, *shape[:2], first).nonzero().tolist() if keep(z, y)]


def scan(kspace, lattice: Lattice, repetitions=(), keep=lambda z, y: True, first=(0, 0), acceleration=None, **header):
    """The image lines of `kspace` with calibration lines ahead; each of `repetitions` is k-space that follows."""
    shape = tuple(kspace.shape[1:])
    lines = lines_of(lattice, shape, first, keep)
    n_acs = (1, 36) if shape[0] == 1 else (min(16, shape[0]), 20)
    acquisitions = []
    if math.prod(lattice.acceleration) > 1:
        acquisitions += scans.acquisitions(kspace.numpy(), block(shape, *n_acs), CALIBRATION, end=False)
    for number, data in enumerate((kspace, *repetitions)):
        acquisitions += scans.acquisitions(data.numpy(), lines, repetition=number)
    return scans.header(shape, acceleration or lattice.acceleration, **header), acquisitions


def error(recon: ReconImage, reference: np.ndarray) -> float:
    """NRMSE of the magnitude, its scale fitted."""
    image = np.abs(recon.image)
    image = image * (image * reference).sum() / np.square(image).sum()
    return float(np.linalg.norm(image - reference) / np.linalg.norm(reference))


def full(kspace) -> np.ndarray:
    return np.abs(reconstructed(*scan(kspace, Lattice((1, 1))))[0].image)


# What the header says, and the lattice that the lines follow: the second shift is along e2.
SAMPLINGS = {
    "R=2": (8, SLICE, (2, 1), Lattice((2, 1)), 0.02),
    "R=3, odd": (12, (1, 61, 47), (3, 1), Lattice((3, 1)), 0.04),
    "R=4": (16, SLICE, (4, 1), Lattice((4, 1)), 0.1),
    "2 x 2": (16, VOLUME, (2, 2), Lattice((2, 2)), 0.06),
    "2 x 2, shift": (16, VOLUME, (2, 2), Lattice((2, 2), 1), 0.06),
    "2 x 2, shift along e2": (16, VOLUME, (2, 2), Lattice((4, 1), 2), 0.06),
    "R=2 of a volume": (8, (23, 35, 20), (2, 1), Lattice((2, 1)), 0.03),
}


@pytest.mark.parametrize("name", SAMPLINGS)
def test_accelerated_images_are_the_full_one(name: str) -> None:
    n_channels, shape, acceleration, lattice, bound = SAMPLINGS[name]
    kspace = noisy_kspace(n_channels, shape, snr=1000)
    (recon,) = reconstructed(*scan(kspace, lattice, acceleration=acceleration))
    assert error(recon, full(kspace)) < bound
    assert recon.spectrum.correlation == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("name", ["2 x 2", "2 x 2, shift", "R=2 of a volume"])
def test_slabs_make_the_same_image(name: str, monkeypatch) -> None:
    n_channels, shape, acceleration, lattice, _ = SAMPLINGS[name]
    header, acquisitions = scan(noisy_kspace(n_channels, shape, snr=100), lattice, acceleration=acceleration)
    for maps in ("inati", "walsh"):
        (whole,) = reconstructed(header, acquisitions, maps=maps)
        with monkeypatch.context() as patch:
            patch.setattr(coil_combine, "MOST_PLAN_BYTES", 0)
            patch.setattr("snrstream.recon.volume.MOST_SLAB_BYTES", 0)
            (slabs,) = reconstructed(header, acquisitions, maps=maps)
        assert np.allclose(slabs.image, whole.image, atol=1e-5 * np.abs(whole.image).max())
        assert np.allclose(slabs.gmap, whole.gmap, rtol=1e-4)


def test_walsh_and_inati_differ_in_phase_alone() -> None:
    header, acquisitions = scan(noisy_kspace(8, SLICE, snr=100), Lattice((2, 1)))
    (inati,), (walsh,) = (reconstructed(header, acquisitions, maps=maps, grid=1) for maps in ("inati", "walsh"))
    assert np.allclose(np.abs(inati.image), np.abs(walsh.image), atol=1e-4 * np.abs(inati.image).max())
    assert np.allclose(inati.gmap, walsh.gmap, rtol=1e-4)
    inside = object_and_coils(8, SLICE)[0].abs().numpy() > 0.9
    assert np.abs(np.angle(inati.image[inside])).mean() < 0.1 < np.abs(np.angle(walsh.image[inside])).mean()


def test_compressed_channels_keep_the_image_and_its_noise() -> None:
    header, acquisitions = scan(noisy_kspace(32, SLICE, snr=100), Lattice((2, 1)))
    (plain,), (fewer,) = reconstructed(header, acquisitions), reconstructed(header, acquisitions, n_channels=12)
    assert error(fewer, np.abs(plain.image)) < 0.02
    inside = object_and_coils(32, SLICE)[0].abs().numpy() > 0.9
    # These coils overlap much: a kernel of 32 channels has more unknowns than it needs, and fits them to noise.
    assert 0.8 < np.median(fewer.gmap[inside] / plain.gmap[inside]) < 1.0


@pytest.mark.parametrize("r", [2, 3, 4])
def test_interleaved_repetitions(r: int) -> None:
    """A repetition with other lines is reconstructed by the same kernel and maps, and looks the same."""
    kspace = noisy_kspace(12, (1, 62, 48), snr=1000)
    header = scans.header((1, 62, 48), (r, 1), mode="interleaved")
    acquisitions = [
        line
        for repetition in range(2 * r)
        for line in scans.acquisitions(
            kspace.numpy(), [(0, y) for y in range(repetition % r, 62, r)], repetition=repetition
        )
    ]
    recons = reconstructed(header, acquisitions)
    assert [recon.head.idx.repetition for recon in recons] == list(range(2 * r))
    reference = full(kspace)
    assert max(error(recon, reference) for recon in recons) < 0.03 * r
    assert all(recon.gmap is recons[0].gmap for recon in recons)
    assert np.allclose(recons[0].image, recons[r].image)


def replica_ratio(header, acquisitions, n_replicas: int, share: float | None = None) -> np.ndarray:
    """SD over g of repetitions of pure noise, which the kernel and maps of the first repetition reconstruct.

    share: of `taper`, which is left out without it."""
    power, count = 0.0, 0
    items = run_gadget(accumulate, acquisitions, header, accumulate.Parameters())
    items = run_gadget(grappa, items, header, grappa.Parameters())
    if share is not None:
        items = run_gadget(taper, items, header, taper.Parameters(share=share))
    for recon in run_gadget(coil_combine, items, header, coil_combine.Parameters()):
        if recon.head.idx.repetition > 0:
            power, count = power + np.square(np.abs(recon.image)), count + 1
    assert count == n_replicas
    return np.sqrt(power / (2 * count)) / recon.gmap


def test_a_tapered_scan_cannot_go_through_partial_fourier() -> None:
    kspace = noisy_kspace(8, (1, 48, 40), snr=100)
    header, acquisitions = scan(kspace, Lattice((2, 1)), keep=lambda z, y: y >= 12)
    items = run_gadget(accumulate, acquisitions, header, accumulate.Parameters())
    items = run_gadget(grappa, items, header, grappa.Parameters())
    items = run_gadget(taper, items, header, taper.Parameters())
    (recon,) = run_gadget(coil_combine, items, header, coil_combine.Parameters())
    with pytest.raises(ScanError, match="expected a pipeline without taper"):
        list(run_gadget(partial_fourier, [recon], header, partial_fourier.Parameters()))


NOISE_CASES = {
    "R=2, partial e1": (8, (1, 47, 40), Lattice((2, 1)), lambda z, y: y >= 12),
    "R=3, 32 channels": (32, (1, 48, 33), Lattice((3, 1)), lambda z, y: True),
    "R=4": (16, (1, 48, 40), Lattice((4, 1)), lambda z, y: True),
    "2 x 2, partial e1 and e2": (8, (16, 24, 12), Lattice((2, 2)), lambda z, y: z >= 3 and y < 18),
    "2 x 2, shift along e2, odd": (8, (15, 24, 11), Lattice((4, 1), 2), lambda z, y: True),
    "elliptical": (8, (16, 20, 12), Lattice((2, 1)), lambda z, y: math.hypot((z - 8) / 8, (y - 10) / 10) <= 1),
}


@pytest.mark.parametrize(
    ("name", "share"),
    [*((name, None) for name in NOISE_CASES), *((name, 0.3) for name in NOISE_CASES if "partial" in name)],
)
def test_pseudo_replica_through_the_gadgets(name: str, share: float | None) -> None:
    """Robson et al., MRM 60:895 (2008)."""
    n_channels, shape, lattice, keep = NOISE_CASES[name]
    n_replicas = 64
    generator = torch.Generator().manual_seed(1)
    noise = [white_noise(generator, n_channels, *shape) for _ in range(n_replicas)]
    header, acquisitions = scan(noisy_kspace(n_channels, shape, snr=50), lattice, noise, keep)
    ratio = replica_ratio(header, acquisitions, n_replicas, share)
    assert float(ratio.mean()) == pytest.approx(1, abs=0.01)
    # 2 n_replicas real numbers a pixel: the SD of the SD is 1/sqrt(4 n_replicas)
    assert float(ratio.std()) < 1.1 / math.sqrt(4 * n_replicas)


def test_an_asymmetric_echo_keeps_the_noise_at_g_and_says_how_it_is_correlated() -> None:
    n_replicas, n_missing = 64, 12
    generator = torch.Generator().manual_seed(1)
    noise = [white_noise(generator, 8, *SLICE) for _ in range(n_replicas)]
    header, acquisitions = scan(noisy_kspace(8, SLICE, snr=50), Lattice((2, 1)), noise)
    short = []
    for acquisition in acquisitions:
        head = acquisition.getHead()
        head.number_of_samples, head.center_sample = SLICE[2] - n_missing, SLICE[2] // 2 - n_missing
        short.append(ismrmrd.Acquisition(head, data=np.ascontiguousarray(acquisition.data[:, n_missing:])))
    for share in (None, 0.3):
        ratio = replica_ratio(header, short, n_replicas, share)
        assert float(ratio.mean()) == pytest.approx(1, abs=0.01)
    last = reconstructed(header, short)[-1]
    assert last.spectrum.samples.tolist()[:n_missing] == [0.0] * n_missing
    noise_image = last.image[0] / last.gmap[0]
    measured = (noise_image[:, 1:] * noise_image[:, :-1].conj()).mean().real / np.square(np.abs(noise_image)).mean()
    assert last.spectrum.correlation[2] == pytest.approx(measured, abs=0.05)  # 2800 pixels: 0.02


def test_noise_without_acceleration_is_1_where_there_is_signal() -> None:
    """Each image has maps of its own there, so repetitions of an object tell, at an SNR that the maps need not fear."""
    n_repetitions = 24
    kspaces = [noisy_kspace(8, SLICE, snr=50, seed=seed) for seed in range(n_repetitions)]
    header, acquisitions = scan(kspaces[0], Lattice((1, 1)), kspaces[1:])
    images = np.stack([recon.image for recon in reconstructed(header, acquisitions)])
    inside = object_and_coils(8, SLICE)[0].abs().numpy() > 0.9
    power = np.square(np.abs(images - images.mean(axis=0))).sum(axis=0) / (2 * (n_repetitions - 1))
    # The maps' phase follows the noise of 49 pixels' mean, and takes 1/49 of the noise in quadrature along.
    assert math.sqrt(power[inside].mean()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("share", [None, 0.3])
def test_echoes_of_one_calibration_keep_their_own_noise_and_spectrum(order: tuple[int, int], share) -> None:
    """The second echo lacks its first quarter: 4/3 of the noise scale of the first, whichever comes first."""
    n_replicas = 16
    generator = torch.Generator().manual_seed(1)
    kspace, n_missing = noisy_kspace(8, SLICE, snr=50), SLICE[2] // 4
    header, lines = scans.header(SLICE, (2, 1)), [(0, y) for y in range(0, SLICE[1], 2)]
    acs = scans.acquisitions(kspace.numpy(), block(SLICE, 1, 36), CALIBRATION, end=False, contrast=order[0])
    acquisitions = list(acs)
    for repetition in range(n_replicas + 1):
        for contrast in order:
            data = white_noise(generator, 8, *SLICE) if repetition else kspace
            for line in scans.acquisitions(data.numpy(), lines, contrast=contrast, repetition=repetition):
                acquisitions.append(without_its_first(n_missing, line) if contrast else line)
    items = run_gadget(
        grappa, run_gadget(accumulate, acquisitions, header, accumulate.Parameters()), header, grappa.Parameters()
    )
    if share is not None:
        items = run_gadget(taper, items, header, taper.Parameters(share=share))
    recons = list(run_gadget(coil_combine, items, header, coil_combine.Parameters()))
    assert all(recon.gmap is recons[0].gmap for recon in recons)
    for contrast in order:
        own = [recon for recon in recons if recon.head.idx.contrast == contrast and recon.head.idx.repetition]
        power = sum(np.square(np.abs(recon.image / recon.gmap)).mean() for recon in own) / (2 * n_replicas)
        # 16 x 2880 pixels of two parts, three quarters of them independent: 0.3 % of SD.
        assert math.sqrt(power) == pytest.approx(1, abs=0.01)
        assert {int((recon.spectrum.samples == 0).sum()) for recon in own} == {contrast * n_missing}


def without_its_first(n_missing: int, acquisition: ismrmrd.Acquisition) -> ismrmrd.Acquisition:
    """An asymmetric echo: k = 0 stays at its sample of the whole."""
    head = acquisition.getHead()
    head.number_of_samples -= n_missing
    head.center_sample -= n_missing
    return ismrmrd.Acquisition(head, data=np.ascontiguousarray(acquisition.data[:, n_missing:]))


DARK = {"noise alone": 0.0, "an SNR of 1": 0.02}


@pytest.mark.parametrize("share", DARK.values(), ids=DARK)
@pytest.mark.parametrize("n_channels", [None, 4])
def test_without_acceleration_a_dark_first_image_takes_nothing_from_the_next(share: float, n_channels) -> None:
    """An inversion null, a dummy: its maps and its channel compression are its own."""
    bright = noisy_kspace(8, SLICE, snr=50)
    dark = share * bright + white_noise(torch.Generator().manual_seed(3), 8, *SLICE)
    lines = [(0, y) for y in range(SLICE[1])]
    header = scans.header(SLICE)
    after, alone = [
        reconstructed(
            header,
            [line for c, k in enumerate(ks) for line in scans.acquisitions(k.numpy(), lines, contrast=c)],
            n_channels,
        )[-1]
        for ks in ((dark, bright), (bright,))
    ]
    # Its phase is that of the scan's first image that is not dark.
    assert np.allclose(np.abs(after.image), np.abs(alone.image), atol=1e-6 * np.abs(alone.image).max())
    assert np.allclose(after.gmap, alone.gmap, atol=1e-5)


@pytest.mark.parametrize("n_channels", [8, 32])
@pytest.mark.parametrize(("snr", "is_dark"), [(0, True), (0.5, True), (3, False)])
def test_a_dark_calibration_is_told_by_each_image_that_goes_by_it(n_channels: int, snr: float, is_dark: bool) -> None:
    shape = (1, 96, 48)
    dark, bright = noisy_kspace(n_channels, shape, snr=snr), noisy_kspace(n_channels, shape, snr=50)
    header, acquisitions = scan(dark, Lattice((2, 1)), [bright])
    for recon in reconstructed(header, acquisitions):
        told = "calibration lines 30 to 65 hold hardly more than noise: images that are reconstructed by them may lose"
        assert [text.startswith(told) for text in recon.warnings] == [True] * is_dark


def test_dark_first_repetitions_of_an_interleaved_scan_are_told() -> None:
    kspaces = [noisy_kspace(8, SLICE, snr=snr, seed=n) for n, snr in enumerate((0, 0, 50, 50))]
    header = scans.header(SLICE, (2, 1), mode="interleaved")
    acquisitions = [
        line
        for number, k in enumerate(kspaces)
        for line in scans.acquisitions(k.numpy(), [(0, y) for y in range(number % 2, 60, 2)], repetition=number)
    ]
    recons = reconstructed(header, acquisitions)
    told = "central lines of the first 2 repetitions of slice 0 hold hardly more than noise"
    assert len(recons) == 4 and all(len(r.warnings) == 1 and r.warnings[0].startswith(told) for r in recons)


def test_averages_raise_the_snr() -> None:
    kspaces = [noisy_kspace(8, SLICE, snr=50, seed=seed) for seed in range(4)]
    lines = [(0, y) for y in range(SLICE[1])]
    header = scans.header(SLICE, n_averages=4)
    acquisitions = [
        line for number, k in enumerate(kspaces) for line in scans.acquisitions(k.numpy(), lines, average=number)
    ]
    (averaged,), single = reconstructed(header, acquisitions), full(kspaces[0])
    inside = object_and_coils(8, SLICE)[0].abs().numpy() > 0.9
    assert np.median(np.abs(averaged.image)[inside] / single[inside]) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("r", [1, 3])
def test_oversampling_goes_and_pixels_come(r: int) -> None:
    """Twofold readout and 1.5-fold phase oversampling, to twice the pixels: the image of the small field of view."""
    shape, small = (1, 72, 96), (1, 48, 48)
    image, csm = object_and_coils(12, small)
    padded = torch.zeros(12, *shape, dtype=torch.complex64)
    padded[:, :, 12:60, 24:72] = (1000 * image * csm).to(torch.complex64)
    kspace = to_kspace(padded, dims=(2, 3))
    header, acquisitions = scan(kspace, Lattice((r, 1)), recon=(96, 96, 1), fov_mm=(48.0, 48.0, 1.0))
    (recon,) = run_gadget(resize, reconstructed(header, acquisitions), header, resize.Parameters())
    assert recon.image.shape == (1, 96, 96) and recon.voxel_mm == (0.5, 0.5, 1.0)
    coils = to_kspace((1000 * image * csm).to(torch.complex64))
    fine = to_image(torch.nn.functional.pad(coils, (24, 24, 24, 24)))
    assert error(recon, torch.linalg.vector_norm(fine, dim=0).numpy()) < 0.03
