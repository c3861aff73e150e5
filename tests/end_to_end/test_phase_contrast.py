"""Flow and field maps from the files of `recon`: the phase between two sets, in DICOM and in images.h5."""

import math

import ismrmrd
import numpy as np
import pydicom
import pytest
import torch

from snrstream.cli.main import main
from snrstream.recon.fft import to_kspace
from snrstream.recon.lattice import Lattice
from tests import scans
from tests.gadgets.test_samplings import CALIBRATION, block, lines_of
from tests.recon.simulation import object_and_coils, white_noise

N_CHANNELS, SNR = 8, 400
PLANE, VOLUME = (1, 72, 64), (8, 32, 24)
SLOPES = 1.5, 1.0, 0.7  # rad from side to side along x and y, and in the middle
PARTS = "output=magnitude real imaginary phase", "gmap=false", "snr_map=false"


def coordinates(shape) -> list[np.ndarray]:
    """x and y, from -0.5 to 0.5 with 0 at pixel n // 2, and 1, each of the shape."""
    _, y, x = np.indices(shape)
    return [(x - shape[2] // 2) / shape[2], (y - shape[1] // 2) / shape[1], np.ones(shape)]


def write_scan(path, shape, r: tuple[int, int], acs_in_each: bool) -> None:
    """Two sets of one object, the second with a phase of `SLOPES`, and a noise measurement before."""
    generator = torch.Generator().manual_seed(3)
    image, csm = object_and_coils(N_CHANNELS, shape)
    lines = lines_of(Lattice(r), shape)
    n_acs = (1, 36) if shape[0] == 1 else (8, 16)
    noise = ismrmrd.Acquisition.from_array(white_noise(generator, N_CHANNELS, 8192).numpy(), sample_time_us=5.0)
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    header = scans.header(shape, r)
    with ismrmrd.Dataset(path, "dataset", mode="w") as dataset:
        dataset.write_xml_header(header.toXML("utf-8"))
        dataset.append_acquisition(noise)
        for number in range(2):
            phase = number * sum(s * c for s, c in zip(SLOPES, coordinates(shape), strict=True))
            turned = SNR * csm * image * torch.from_numpy(np.exp(1j * phase))
            kspace = to_kspace(turned, dims=(1, 2, 3)).to(torch.complex64)
            kspace = (kspace + white_noise(generator, *kspace.shape)).numpy()
            acquisitions = []
            if math.prod(r) > 1 and (acs_in_each or number == 0):
                acquisitions += scans.acquisitions(kspace, block(shape, *n_acs), CALIBRATION, end=False, set=number)
            for acquisition in [*acquisitions, *scans.acquisitions(kspace, lines, set=number)]:
                dataset.append_acquisition(acquisition)


def recon(tmp_path, *options: str):
    """The folder of the images of the scan that lies in `tmp_path`."""
    out = tmp_path / "out"
    assert main(["recon", str(tmp_path / "scan.h5"), "--output", str(out), *options]) == 0
    return out


def from_dicom(out, series: int, shape) -> np.ndarray:
    """Physical values `(set, z, y, x)`, in the order of the instance numbers."""
    files = sorted((out / "dicom").glob(f"series{series:03d}_*.dcm"))
    datasets = sorted(map(pydicom.dcmread, files), key=lambda dataset: dataset.InstanceNumber)
    values = [d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in datasets]
    return np.reshape(values, (2, *shape))


def assert_slopes(phases: np.ndarray, magnitudes: np.ndarray, shape, tolerance: float) -> None:
    """`SLOPES`, by a fit where the image is bright; the signs along x and y are those of the pixel axes."""
    difference = np.angle(np.exp(1j * (phases[1] - phases[0])))
    inside = magnitudes[0] > 0.7 * np.quantile(magnitudes[0], 0.9)
    columns = np.stack([column[inside] for column in coordinates(shape)], axis=1)
    found = np.linalg.lstsq(columns, difference[inside], rcond=None)[0]
    # Axes that run the other way put 0 a pixel further, if their size is even.
    np.testing.assert_allclose([*np.abs(found[:2]), found[2]], SLOPES, rtol=tolerance, atol=0)


@pytest.mark.parametrize(
    ("shape", "r", "acs_in_each", "calibration"),
    [
        (PLANE, (1, 1), False, "first"),
        (PLANE, (2, 1), False, "first"),
        (PLANE, (2, 1), True, "first"),
        (PLANE, (2, 1), True, "each"),
        (PLANE, (3, 1), False, "first"),
        (PLANE, (3, 1), True, "each"),
        (VOLUME, (2, 2), False, "first"),
        (VOLUME, (2, 2), True, "each"),
    ],
)
def test_the_phase_between_sets_is_that_of_the_object(tmp_path, shape, r, acs_in_each, calibration) -> None:
    write_scan(tmp_path / "scan.h5", shape, r, acs_in_each)
    properties = *PARTS, f"calibration={calibration}"
    out = recon(tmp_path, "--pipeline", "grappa_snr", *(word for part in properties for word in ("--set", part)))
    magnitude, real, imaginary, phase = (from_dicom(out, series, shape) for series in (1, 401, 501, 601))
    assert_slopes(phase, magnitude, shape, 0.01)
    complex_image = real + 1j * imaginary
    np.testing.assert_allclose(np.abs(complex_image), magnitude, atol=0.13)  # of three roundings by 0.05
    bright = magnitude > 50
    turned = np.angle(complex_image * np.exp(-1j * phase))[bright]
    assert bright.sum() > 500 and np.abs(turned).max() < 0.003  # a phase by 0.0008, and 0.07 of 50
    with ismrmrd.Dataset(out / "images.h5", "dataset", mode="r") as dataset:
        image = dataset.read_image("image_601", 1)
    assert image.image_type == ismrmrd.IMTYPE_PHASE and image.data.dtype == np.uint16 and image.data.max() <= 4095
    ratio, offset = (float(image.meta[f"GADGETRON_Scale{name}"]) for name in ("Ratio", "Offset"))
    np.testing.assert_allclose((image.data[0] - offset) / ratio, phase[1], atol=1e-5)


def test_the_denoiser_gives_the_phase_back(tmp_path) -> None:
    write_scan(tmp_path / "scan.h5", PLANE, (2, 1), acs_in_each=True)
    out = recon(tmp_path, "--pipeline", "grappa_denoise", "--set", "output=magnitude phase", "--set", "alpha=0")
    assert_slopes(from_dicom(out, 602, PLANE), from_dicom(out, 2, PLANE), PLANE, 0.01)


def test_a_complex_image_is_a_magnitude_in_dicom(tmp_path) -> None:
    write_scan(tmp_path / "scan.h5", PLANE, (1, 1), acs_in_each=True)
    out = recon(tmp_path, "--pipeline", "grappa_snr")
    assert sorted({path.name[:9] for path in (out / "dicom").iterdir()}) == ["series001", "series020", "series300"]
    with ismrmrd.Dataset(out / "images.h5", "dataset", mode="r") as dataset:
        images = np.stack([dataset.read_image("image_1", n).data[0] for n in range(2)])
    assert_slopes(np.angle(images), np.abs(images), PLANE, 0.01)
    np.testing.assert_allclose(from_dicom(out, 1, PLANE), np.abs(images), atol=0.051)
