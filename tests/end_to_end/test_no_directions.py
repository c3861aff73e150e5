"""A file without directions and positions, as simulators and home-built consoles write them, by recon and by send."""

from pathlib import Path

import ismrmrd
import numpy as np
import pydicom
import pytest

from snrstream.cli.main import main
from snrstream.output.image_values import meta_values
from snrtrain.benchmarks import small_scan

from .test_stream import assert_identical, read_images

TOLD = "read_dir is [0, 0, 0], expected a direction of length 1; an axial slice is assumed"


@pytest.fixture
def scan(tmp_path) -> Path:
    """All zero, as `ismrmrd_generate_cartesian_shepp_logan` leaves them."""
    path = tmp_path / "scan.h5"
    with ismrmrd.Dataset(path, "dataset") as dataset:
        dataset.write_xml_header(small_scan.HEADER)
        for acquisition in small_scan.acquisitions():
            for name in ("read_dir", "phase_dir", "slice_dir", "position"):
                getattr(acquisition, name)[:] = (0, 0, 0)
            dataset.append_acquisition(acquisition)
    return path


def test_images_preview_and_axial_dicom_with_one_warning(scan: Path, server, tmp_path, capfd) -> None:
    host, port, _ = server
    left = {"recon": tmp_path / "a", "send": tmp_path / "b"}
    for command, folder in left.items():
        to = ["--host", host, "--port", str(port)] if command == "send" else []
        assert main([command, str(scan), *to, "--output", str(folder)]) == 0
        assert capfd.readouterr().err.count(TOLD) == 1
        assert (folder / "preview.png").stat().st_size > 0
        files = [pydicom.dcmread(path) for path in (folder / "dicom").iterdir()]
        assert len(files) == 3
        for file in files:
            np.testing.assert_array_equal(file.ImageOrientationPatient, [1, 0, 0, 0, 1, 0])
            nx, ny = file.Columns, file.Rows
            np.testing.assert_allclose(file.ImagePositionPatient, [-2 * (nx // 2), -2 * (ny // 2), 0])
    images = read_images(left["recon"])
    assert_identical(images, read_images(left["send"]))
    assert all(TOLD in meta_values(image, "SNRSTREAM_warning") for series in images.values() for image in series)
