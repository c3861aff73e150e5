"""Volumes: found, oriented, sliced."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

from snrstream.errors import ConfigurationError
from snrtrain.archive import volumes
from snrtrain.simulation import objects


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
    assert [float(image.mean()) for image in volumes.central_stack(thin, 3).slices] == [10.5, 14.5, 18.5]
    assert [float(image.mean()) for image in volumes.central_stack(thick, 3).slices] == [13, 14, 15]
    assert len(volumes.central_stack(thick, 99).slices) == 30


def test_a_stack_is_of_neighbouring_slices_and_knows_their_heights():
    data = np.arange(40, dtype=np.float32) * np.ones((100, 110, 1), np.float32)
    volume = volumes.Volume("ramp", data, (1.0, 1.0, 2.0))
    assert volumes.stack_axes(volume) == [2]
    for seed in range(5):
        stack = volumes.draw_stack(volume, np.random.default_rng(seed))
        assert volumes.FEWEST_SLICES <= len(stack.slices) <= volumes.MOST_SLICES and stack.slices.shape[1:] == (
            100,
            110,
        )
        values = stack.slices[:, 0, 0]
        assert np.ptp(np.diff(values)) < 1e-5 and values[1] > values[0]
        # A slice's value is its number; 2 mm each, over half of 110 mm, from the centre of 40.
        assert np.allclose(stack.heights, (values + 0.5 - 20) * 2 / 55, atol=1e-6)


def test_a_volume_of_few_slices_gives_no_stack():
    volume = volumes.Volume("flat", np.ones((100, 110, 4), np.float32), (1.0, 1.0, 2.0))
    assert volume.slice_axes() == [2] and volumes.stack_axes(volume) == []


def test_slices_far_apart_are_no_neighbours_and_a_list_of_images_has_none(folder):
    data = np.arange(40, dtype=np.float32) * np.ones((100, 110, 1), np.float32)
    far, near = (volumes.Volume("ramp", data, (1.0, 1.0, edge)) for edge in (8.0, 7.5))
    assert far.slice_axes() == [2] and volumes.stack_axes(far) == [] and volumes.stack_axes(near) == [2]
    listed = volumes.Volume("ramp", np.ones((100, 110, 120), np.float32), (1.0, 1.0, 1.0), is_list=True)
    assert listed.slice_axes() == [2] and volumes.stack_axes(listed) == []
    assert len(volumes.central_stack(listed, 8).slices) == 1
    values = {float(volumes.draw_plane(replace(near, is_list=True), np.random.default_rng(n)).mean()) for n in range(9)}
    assert all(value == round(value) for value in values), "no two images are averaged"
    assert not volumes.load(folder, "block").is_list
    (folder / "sources.toml").write_text('[block]\naxis = "none"\n')
    assert volumes.load(folder, "block").is_list


def test_what_is_no_volume_is_named(folder):
    import nibabel

    whole = (folder / "block.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nii.gz").write_bytes(b"no volume")
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9), np.float32), np.eye(4)), folder / "zero.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9), np.float32), np.eye(4)), folder / "plane.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.full((9, 9, 9), 1e38, np.float32), np.eye(4)), folder / "flat.nii.gz")
    header = bytearray(nibabel.Nifti1Image(np.ones((9, 9, 9), np.float32), np.eye(4)).to_bytes())
    for name, start, values in (("vast", 42, [30000] * 3), ("code", 70, [77])):  # dim and datatype
        broken = np.frombuffer(header, np.uint8).copy()
        broken[start : start + 2 * len(values)] = np.array(values, "<i2").view(np.uint8)
        (folder / f"{name}.nii.gz").write_bytes(gzip.compress(broken.tobytes()))
    (folder / ".nii.gz").touch()
    for name, message in (
        ("cut", "cannot be read"), ("text", "cannot be read"), ("zero", "is empty"), ("plane", "expected"),
        ("none", "does not exist"), ("flat", "shows nothing above"), ("vast", r"has \(30000, 30000, 30000\) voxels"),
        ("code", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=rf"{name}\.nii\.gz.* {message}"):
            volumes.load(folder, name, floor=True)
    assert volumes.names_in(folder) == ["block", "code", "cut", "flat", "plane", "text", "vast", "zero"]
    with pytest.raises(ConfigurationError, match="holds no volume"):
        volumes.names_in(folder.parent)


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
