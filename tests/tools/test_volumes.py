"""Volumes: found, oriented, split by subject."""

import numpy as np
import pytest

from snrstream.errors import ConfigurationError
from tools.training import objects, volumes


@pytest.fixture
def folder(tmp_path):
    """A folder with one anisotropic volume: a bright block in noisy air."""
    nibabel = pytest.importorskip("nibabel")
    rng = np.random.default_rng(0)
    data = rng.uniform(0, 4, size=(100, 120, 10)).astype(np.float32)
    data[20:80, 20:100] = 200
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1.0, 5.0, 1.0])), tmp_path / "block.nii.gz")
    return tmp_path


def test_bright_tissue_is_scaled_to_one_and_the_floor_taken_away(folder):
    volume = volumes.load(folder, "block", floor=True)
    assert volume.voxel_mm == (1.0, 1.0, 5.0)
    assert float(np.median(volume.data[20:80, 20:100])) == pytest.approx(1, rel=1e-3)
    assert float(np.median(volume.data[:20])) < 0.01


def test_only_planes_with_nearly_square_pixels_are_sliced(folder):
    assert volumes.load(folder, "block").slice_axes() == [2]


def test_thickness_averages_slices(folder):
    volume = volumes.load(folder, "block")
    assert np.allclose(volumes.plane(volume, 2, 3, 2), volume.data[:, :, 3:5].mean(axis=2))


def test_thin_slices_are_averaged_to_a_slab_for_testing():
    data = np.arange(30, dtype=np.float32) * np.ones((8, 8, 1), np.float32)
    thin, thick = (volumes.Volume("ramp", data, (0.9, 0.9, edge)) for edge in (1.0, 5.0))
    assert [float(image.mean()) for image in volumes.test_stack(thin, 3).slices] == [10.5, 14.5, 18.5]
    assert [float(image.mean()) for image in volumes.test_stack(thick, 3).slices] == [13, 14, 15]
    assert len(volumes.test_stack(thick, 99).slices) == 30


@pytest.mark.parametrize("name", volumes.TEST)
def test_a_test_volume_is_refused_for_training(name, tmp_path):
    with pytest.raises(ConfigurationError, match=f"{name} is a test volume"):
        volumes.load_for_training(tmp_path, (name,))


def test_the_subjects_are_disjoint():
    assert not set(volumes.TRAIN) & (set(volumes.VALIDATION) | set(volumes.TEST))
    assert not set(volumes.VALIDATION) & set(volumes.TEST)


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("SNRSTREAM_TEST_DATA", raising=False)
    with pytest.raises(ConfigurationError, match="neither --volumes nor SNRSTREAM_TEST_DATA"):
        volumes.volume_folder(None)
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        volumes.volume_folder(str(tmp_path / "nowhere"))
    monkeypatch.setenv("SNRSTREAM_TEST_DATA", str(tmp_path))
    (tmp_path / "volumes").mkdir()
    assert volumes.volume_folder(None) == tmp_path / "volumes"


@pytest.mark.parametrize("seed", range(8))
def test_every_contrast_keeps_air_dark_and_values_bounded(seed):
    rng = np.random.default_rng(seed)
    image = np.zeros((32, 32), np.float32)
    image[8:24, 8:24] = np.linspace(0.3, 1.3, 16)
    remapped = objects.remap(image, rng)
    assert float(remapped[:8].max()) == 0
    assert float(remapped.min()) >= 0 and float(remapped.max()) < 4


def test_phantoms_come_from_their_seed():
    first, second = (objects.phantom(64, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, objects.phantom(64, np.random.default_rng(5)))
