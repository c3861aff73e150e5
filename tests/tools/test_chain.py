"""What simulated training images look like after the reconstruction, and the archive they are kept in."""

import numpy as np
import pytest
import torch

from tools.simulate import shepp_logan
from tools.training import archive, chain

SIZE = 64


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    """A disc of magnitude 1 with a brighter core."""
    y, x = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE), indexing="ij")
    return (1.0 * (np.hypot(x, y) < 0.7) + 0.3 * (np.hypot(x, y) < 0.3)).astype(np.float32)


@pytest.fixture(scope="module")
def scan(disc) -> chain.Scan:
    """A flat scan of the disc with a smooth object phase, at SNR 40."""
    rng = np.random.default_rng(3)
    image = torch.polar(torch.from_numpy(disc), chain.object_phase(disc.shape, rng))
    return chain.fully_sampled(image, rng, 40.0, None, 8, p_zero_filled=0.0, flat=True)


def test_a_flat_scan_has_the_objects_magnitude(disc, scan):
    inside = torch.from_numpy(disc) > 0
    ratio = scan.clean.abs()[inside] / torch.from_numpy(disc)[inside]
    # Maps from data at SNR 40, 49 pixels each, lose up to a few percent at the edge.
    assert float(ratio.std() / ratio.mean()) < 0.03


def test_coil_maps_take_the_smooth_phase_away(disc, scan):
    core = torch.from_numpy(disc) > 1
    assert float(scan.clean[core].angle().abs().median()) < 0.05


def test_noise_has_an_sd_of_one_in_the_object(disc, scan):
    inside = torch.from_numpy(disc) > 0
    # 1500 pixels of two parts: 1.8 %, and maps fitted to the noise take up to 1 in 49 of it.
    assert float(torch.view_as_real(scan.noise)[inside].std()) == pytest.approx(1, rel=0.06)


def test_a_crop_is_of_the_size_asked_for(disc):
    scan = chain.fully_sampled(torch.from_numpy(disc).to(torch.complex64), np.random.default_rng(0), 20.0, 32, 4)
    assert scan.clean.shape == scan.noise.shape == (32, 32)


def test_g_is_one_without_acceleration_and_grows_with_it(disc):
    image = torch.from_numpy(disc).to(torch.complex64)
    maps = chain.gmaps(image, (1, 2, 4), np.random.default_rng(1), 60.0, 12)
    inside = torch.from_numpy(disc) > 0
    medians = [float(gmap[inside].median()) for gmap in maps]
    assert medians[0] == pytest.approx(1, abs=1e-5)
    assert 0.95 < medians[1] < medians[2]


def test_resampling_keeps_the_intensity_of_tissue():
    image = shepp_logan(128).to(torch.complex64)
    coarse = chain.resample(image, (64, 80))
    assert coarse.shape == (64, 80)
    # The mean is the centre of k-space, which cropping keeps.
    assert float(coarse.real.mean()) == pytest.approx(float(image.real.mean()), rel=1e-5)


def test_air_is_added_around_the_centre():
    image = torch.zeros(10, 12)
    image[5, 6] = 1
    padded = chain.pad_air(image, (16, 8))
    assert padded.shape == (16, 12) and float(padded[8, 6]) == 1


def test_an_archive_comes_from_its_seed_and_survives_the_disk(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    data = np.repeat((200 * shepp_logan(140)).numpy()[:, :, None], 4, axis=2)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1.0, 5.0, 1.0])), tmp_path / "b_t2.nii.gz")
    built = archive.build(tmp_path, ("b_t2",), 2, 1, 5, 1, synthetic=False)
    assert built.clean.shape == (2, archive.CROP, archive.CROP)
    seeds = np.random.SeedSequence(5).spawn(3)  # one an entry, whichever process simulates it
    again = [archive.simulate_scan_entry(seed)[0] for seed in seeds[:2]]
    assert np.array_equal(built.clean.numpy(), again) and not np.array_equal(again[0], again[1])
    built.save(tmp_path / "archive/scans.pt")
    assert torch.equal(archive.Archive.load(tmp_path / "archive/scans.pt").noise, built.noise)


def test_the_archive_refuses_test_volumes_before_it_starts(tmp_path):
    from snrstream.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="a_t2 is a test volume"):
        archive.build(tmp_path, ("a_t2",), 1, 1, 0, 1)
