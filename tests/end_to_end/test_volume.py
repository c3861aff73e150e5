"""A 3D scan from its file to DICOM, with the pipeline that the README names."""

import ismrmrd
import numpy as np
import pydicom
import pytest

from snrstream.cli.main import main
from snrtrain.benchmarks import volume


@pytest.mark.parametrize(("pipeline", "n_series"), [("grappa_snr", 3), ("grappa_denoise", 3)])
def test_a_volume_becomes_images_and_dicom(tmp_path, pipeline: str, n_series: int) -> None:
    scan, out = tmp_path / "volume.h5", tmp_path / "out"
    volume.write(scan, (36, 48, 20), n_channels=8, voxel_mm=0.7)
    assert main(["recon", str(scan), "--pipeline", pipeline, "--output", str(out)]) == 0
    with ismrmrd.Dataset(str(out / "images.h5"), "dataset", mode="r") as dataset:
        image, gmap = dataset.read_image("image_1", 0), dataset.read_image("image_20", 0)
    assert image.data.shape == gmap.data.shape == (1, 20, 48, 36)
    assert tuple(image.field_of_view) == pytest.approx((36 * 0.7, 48 * 0.7, 20 * 0.7))
    assert "SNRSTREAM_warning" not in image.meta
    magnitude = np.abs(image.data[0]) / float(image.meta["GADGETRON_ScaleRatio"])
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in magnitude.shape), indexing="ij")
    radius = np.sqrt((z / 0.9) ** 2 + (y / 0.8) ** 2 + (x / 0.7) ** 2)
    assert np.median(magnitude[radius < 0.9]) > 20 * np.median(magnitude[radius > 1.2])
    files = sorted((out / "dicom").iterdir())
    assert len(files) == n_series * 20
    positions = [pydicom.dcmread(file).ImagePositionPatient[2] for file in files[:20]]
    assert np.allclose(np.abs(np.diff(positions)), 0.7, atol=1e-4)
