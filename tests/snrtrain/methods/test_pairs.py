"""sN2N pairs: disjoint samples, independent noise, one object."""

import dataclasses

import ismrmrd
import numpy as np
import pytest
import torch
from scipy import ndimage

from snrstream.errors import ConfigurationError, ScanError
from snrstream.recon.fft import to_kspace
from snrstream.recon.lattice import Lattice
from snrtrain.archive import raw
from snrtrain.methods import pairs
from snrtrain.simulation import simulated_pairs
from tests import scans
from tests.recon.simulation import lattice_mask, object_and_coils
from tests.snrtrain.raw_scan import write

SHAPE, N_CHANNELS, SNR = (28, 40, 36), 16, 30.0
ALIASING = 0.1


@pytest.fixture(scope="module")
def clean() -> torch.Tensor:
    """Noise-free k-space of the ellipsoid in 3D, its tissue at `SNR`."""
    image, coils = object_and_coils(N_CHANNELS, SHAPE)
    return to_kspace(SNR * coils * image, dims=(1, 2, 3)).to(torch.complex64)


@pytest.fixture(scope="module")
def volume(clean) -> pairs.VolumeScan:
    return simulated_pairs.scanned(clean, np.random.default_rng(5))


@pytest.fixture(scope="module")
def images(volume, clean) -> pairs.Images:
    return pairs.split(volume, clean, torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def noise_free(volume, clean) -> pairs.Images:
    """The same with the same kernels and maps, which are those of the noisy calibration lines."""
    acquired = (volume.kspace.abs().sum(dim=(0, 3)) > 0)[..., None]
    return pairs.split(dataclasses.replace(volume, kspace=clean * acquired), clean)


@pytest.fixture(scope="module")
def tissue(images) -> np.ndarray:
    """Inside the object, where the magnitude's noise is that of its real part."""
    return ndimage.binary_erosion(images.reference > 0.3 * images.reference.max(), iterations=1)


@pytest.mark.parametrize(
    ("lattice", "sparse"),
    [
        (Lattice((1, 1)), Lattice((1, 2))),
        (Lattice((2, 1)), Lattice((2, 2))),
        (Lattice((2, 2), 1), Lattice((2, 4), 0)),
        (Lattice((3, 2), 1), Lattice((3, 4), 2)),
    ],
)
@pytest.mark.parametrize("first", [(0, 0), (1, 1)])
def test_halves_are_disjoint_and_together_the_lines_of_the_scan(lattice, sparse, first):
    volume = pairs.VolumeScan(torch.zeros(1, 16, 18, 4), lattice, first, torch.zeros(0), (0, 0))
    found, (one, other) = pairs.halves(volume)
    assert found == sparse
    assert not bool((one & other).any())
    assert torch.equal(one | other, lattice_mask(lattice, 16, 18, first))
    partitions = [set(half.any(dim=1).nonzero().flatten().tolist()) for half in (one, other)]
    together = sorted(partitions[0] | partitions[1])
    assert set(together[::2]) in partitions and set(together[1::2]) in partitions  # alternate ones


def test_the_noise_of_the_two_images_is_independent(images, noise_free, tissue):
    first, second = ((getattr(images, n) - getattr(noise_free, n))[tissue] for n in ("first", "second"))
    assert abs(float(np.corrcoef(first, second)[0, 1])) < 0.05
    # The whole scan's image holds the noise of both: else two images of no noise would pass.
    plain = np.abs(images.whole[tissue]) - np.abs(noise_free.whole[tissue])
    assert float(np.corrcoef(first, plain)[0, 1]) > 0.3


def test_each_half_has_the_object(noise_free, tissue):
    reference = noise_free.reference[tissue]
    for half in (noise_free.first, noise_free.second):
        # What a kernel of 2 x 2 lines leaves of fourfold aliasing: 0.086 in one of them.
        assert float(np.linalg.norm(half[tissue] - reference) / np.linalg.norm(reference)) < ALIASING
        assert float((half[tissue] - reference).mean()) == pytest.approx(0, abs=0.05 * SNR)
    plain = np.abs(noise_free.whole[tissue])
    assert float(np.linalg.norm(plain - reference) / np.linalg.norm(reference)) < 0.02


def test_the_image_of_all_lines_is_in_snr_units_and_halves_are_noisier(images, noise_free, tissue):
    both = [(np.abs(getattr(images, n)), np.abs(getattr(noise_free, n))) for n in ("first", "second", "whole")]
    sds = [float((noisy - clean)[tissue].std()) for noisy, clean in both]
    assert 0.9 < sds[2] < 1.6  # g
    assert all(sd > 1.3 * sds[2] for sd in sds[:2])  # sqrt(2), and a g of their own


def test_the_drawn_noise_is_as_strong_as_the_scans_and_of_its_own(images, noise_free, tissue):
    own, drawn = (images.whole - noise_free.whole)[tissue], images.noise[tissue]
    for part in (np.real, np.imag):
        assert float(part(drawn).std()) == pytest.approx(float(part(own).std()), rel=0.05)
    assert abs(float(np.corrcoef(own.real, drawn.real)[0, 1])) < 0.05
    assert noise_free.noise is None and noise_free.pair("a", "b").whole is None, "kept where noise was drawn alone"


def test_noise_is_drawn_of_the_size_that_averages_leave(volume, images, tissue):
    averaged = pairs.split(dataclasses.replace(volume, noise_sd=0.5), noise=torch.Generator().manual_seed(3))
    assert np.allclose(averaged.noise, 0.5 * images.noise, atol=1e-5)


def test_a_scan_without_lines_enough_is_told(volume):
    thin = dataclasses.replace(volume, acs=volume.acs[:, :2])
    with pytest.raises(ScanError, match="ACS has 2 partitions"):
        pairs.split(thin)


@pytest.fixture
def raw_volume(tmp_path, clean):
    """The volume as a raw scan at R = 2 x 1."""
    noisy = (clean + simulated_pairs.white_noise(tuple(clean.shape), np.random.default_rng(5))).numpy()
    block = [(z, y) for z in range(2, 26) for y in range(8, 32)]
    lines = lattice_mask(Lattice((2, 1)), *SHAPE[:2]).nonzero().tolist()
    acquisitions = [
        *scans.acquisitions(noisy, block, [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION], end=False),
        *scans.acquisitions(noisy, [tuple(line) for line in lines]),
    ]
    return write(tmp_path / "volume.h5", scans.header(SHAPE, (2, 1)), acquisitions)


def test_a_raw_scan_gives_the_pair_of_its_lines(raw_volume, tmp_path, noise_free, tissue):
    task = raw.FileTask(tmp_path / "archive/train/knee", raw_volume, "knee", "MIT")
    assert not task.is_done("pairs")
    pairs.store(task)
    assert task.is_done("pairs")
    from snrtrain.archive.archive import Archive

    (pair,) = Archive(tmp_path / "archive", "train").pairs
    assert pair.source == "volume.h5 (MIT)" and pair.reference is None and pair.first.shape == SHAPE
    residuals = [image[tissue] - noise_free.reference[tissue] for image in (pair.first, pair.second, pair.plain)]
    # The same lines, whitened by a measurement of 8192 samples.
    assert float(residuals[2].std()) < 1.7 and float(residuals[0].std()) > 1.2 * float(residuals[2].std())
    assert abs(float(np.mean(residuals[0]))) < 0.05 * SNR
    assert np.allclose(np.abs(pair.whole), pair.plain) and 0.9 < float(pair.noise[tissue].real.std()) < 1.7


def test_a_scan_of_one_partition_is_named(tmp_path):
    kspace = np.ones((N_CHANNELS, 1, 32, 32), np.complex64)
    flat = write(
        tmp_path / "flat.h5", scans.header((1, 32, 32)), scans.acquisitions(kspace, [(0, y) for y in range(32)])
    )
    with pytest.raises(ConfigurationError, match=r"flat\.h5 has one partition"):
        list(pairs.from_raw(flat, "flat", "MIT"))
