"""A 3D scan from its file to DICOM, with the pipeline that the README names."""

import itertools

import ismrmrd
import numpy as np
import pydicom
import pytest

from snrstream.cli.main import main
from snrstream.denoising.manifest import load_manifest
from snrstream.recon.fft import to_kspace
from snrstream.recon.lattice import Lattice
from snrtrain.benchmarks import volume
from snrtrain.simulation.phantom import white_noise
from tests import scans
from tests.recon.simulation import lattice_mask, object_and_coils
from tests.snrtrain.raw_scan import write


@pytest.mark.parametrize(
    ("pipeline", "n_series"), [("grappa_snr", 3), ("grappa_denoise", 3), ("grappa_denoise_volume", 3)]
)
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


def test_the_pipeline_for_volumes_takes_noise_off_a_3d_scan_with_the_models_own_alpha(tmp_path) -> None:
    shape, snr, lattice = (24, 48, 40), 8.0, Lattice((2, 1))
    image, coils = object_and_coils(12, shape)
    clean = to_kspace(snr * coils * image, dims=(1, 2, 3))
    noisy = (clean + white_noise(tuple(clean.shape), np.random.default_rng(0))).numpy().astype(np.complex64)
    block = list(itertools.product(range(24), range(12, 36)))
    lines = [tuple(line) for line in lattice_mask(lattice, *shape[:2]).nonzero().tolist()]
    calibration = scans.acquisitions(noisy, block, [ismrmrd.ACQ_IS_PARALLEL_CALIBRATION], end=False)
    scan = write(
        tmp_path / "scan.h5", scans.header(shape, (2, 1)), [*calibration, *scans.acquisitions(noisy, lines)]
    )  # fmt: skip
    assert main(["recon", str(scan), "--pipeline", "grappa_denoise_volume", "--output", str(tmp_path / "out")]) == 0
    with ismrmrd.Dataset(str(tmp_path / "out/images.h5"), "dataset", mode="r") as dataset:
        original, denoised = (dataset.read_image(f"image_{series}", 0) for series in (1, 2))
    assert original.data.dtype == denoised.data.dtype == np.uint16
    manifest, _ = load_manifest("sn2n_unet25d")
    assert "sn2n_unet25d" in denoised.meta["SNRSTREAM_model"]
    assert float(denoised.meta["SNRSTREAM_alpha"]) == manifest.default_alpha
    assert "SNRSTREAM_warning" not in denoised.meta
    truth = np.abs(image.numpy())
    errors = []
    for found in (original, denoised):
        magnitude = found.data[0].astype(np.float64)
        inside = truth > 0.5 * truth.max()
        scale = (magnitude[inside] @ truth[inside]) / (truth[inside] @ truth[inside])
        errors.append(float(np.linalg.norm(magnitude[inside] / scale - truth[inside])))
    assert errors[1] < 0.8 * errors[0]
