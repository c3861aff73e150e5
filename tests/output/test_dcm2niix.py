"""A folder of DICOM files as dcm2niix, which most of neuroimaging converts with, takes it."""

import random
import re
import shutil
import struct
import subprocess

import ismrmrd
import numpy as np
import pytest
from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

from snrstream.output.dicom import write_dicom
from tests import scans
from tests.output.dicom_images import make_image, rotation, scan_of

DCM2NIIX = shutil.which("dcm2niix") or ""
pytestmark = pytest.mark.skipif(not DCM2NIIX, reason="dcm2niix (of Debian) is not installed")
ORDER = (0, 2, 4, 1, 3)


def nifti(path):
    """Physical values `(x, y, z, t)` of a NIfTI-1 file, and the rows of its affine."""
    content = path.read_bytes()
    sizes = struct.unpack_from("<8h", content, 40)
    offset, slope, intercept = struct.unpack_from("<3f", content, 108)
    (kind,) = struct.unpack_from("<h", content, 70)
    pixels = np.frombuffer(content, {4: "<i2", 16: "<f4", 512: "<u2"}[kind], -1, int(offset))
    affine = np.array(struct.unpack_from("<12f", content, 280)).reshape(3, 4)
    return pixels.reshape(sizes[1:5], order="F") * (slope or 1) + intercept, affine


def convert(folder, tmp_path, *options):
    """The files by series number and suffix, and what was said."""
    out = tmp_path / "nifti"
    out.mkdir()
    command = [DCM2NIIX, "-z", "n", "-f", "%s", "-o", out, *options, folder]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {path.stem: nifti(path) for path in out.glob("*.nii")}, said


def complaints(said):
    """What dcm2niix finds wrong; that echoes go to files of their own is right."""
    said = re.sub("Slices not stacked: echo varies.*", "", said)
    return re.findall("(?i).*(?:warning|error|missing|unequal|var(?:y|ies)|not stack|not sequential).*", said)


@pytest.fixture
def header():
    return xsd.ismrmrdHeader(
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_200_000),
        acquisitionSystemInformation=xsd.acquisitionSystemInformationType(systemVendor="SIEMENS"),
        measurementInformation=xsd.measurementInformationType(
            measurementID="1",
            initialSeriesNumber=7,
            seriesDate=XmlDate(2024, 5, 6),
            seriesTime=XmlTime(7, 8, 9),
            patientPosition=xsd.patientPositionType("HFS"),
            protocolName="p",
        ),
        sequenceParameters=xsd.sequenceParametersType(TR=[800.0], TE=[2.5, 5.0], flipAngle_deg=[12.0]),
    )


def coded(slice=0, contrast=0, repetition=0, phase=0):
    """A value by which an image is known."""
    return 1000 * contrast + 100 * (repetition + phase) + 10 * slice + 1


def times(slice=0, contrast=0, repetition=0, phase=0):
    """Slices one after the other, each in 150 ms; repetitions of 800 ms; phases of 50 ms."""
    return {
        "acquisition_time_stamp": 10_000_000 + 320 * repetition + 60 * ORDER.index(slice),
        "physiology_time_stamp": (20 * phase, 0, 0),
    }


def slices_of(affine, directions):
    """The slices, counted along the slice direction, by an affine whose x runs to the right and y to the front."""
    to_lps = np.array([-1, -1, 1])
    middle_mm, step_mm = (affine @ [4, 2, 0, 1]) * to_lps, affine[:, 2] * to_lps
    return [round(float((middle_mm + z * step_mm) @ directions[:, 2]) / 7 + 2) for z in range(5)]


@pytest.mark.parametrize("handedness", [1, -1])
def test_slices_echoes_and_repetitions_stack(tmp_path, header, handedness):
    directions = rotation(3) * [1, 1, handedness]
    shape = {"repetition": 3, "contrast": 2, "slice": 5}
    images = []
    for series, meta in ((1, {}), (2, {"SNRSTREAM_denoised": "true"}), (20, {}), (601, {"GADGETRON_ScaleOffset": "5"})):
        kind = {"image_type": ismrmrd.IMTYPE_PHASE} if series == 601 else {}
        meta = {"GADGETRON_ScaleRatio": "10", **meta}
        images += scan_of(
            shape, ORDER, directions, value=coded, fields=times, meta=meta, image_series_index=series, **kind
        )
    write_dicom(images, header, tmp_path / "dicom")
    found, said = convert(tmp_path / "dicom", tmp_path)
    names = ("7001_e{}", "7002_e{}", "7020_e{}", "7601_e{}_ph")
    assert sorted(found) == sorted(name.format(echo) for name in names for echo in (1, 2))
    assert not complaints(said)
    for name, (values, affine) in found.items():
        assert values.shape == (8, 6, 5, 3)
        slices = slices_of(affine, directions)
        assert slices == sorted(slices, reverse=slices[0] > slices[-1])
        expected = [[coded(s, int("_e2" in name), t) for t in range(3)] for s in slices]
        np.testing.assert_allclose(values[4, 3] * 10 + (5 if "_ph" in name else 0), expected, rtol=1e-5)


def test_phases_of_the_heart_stack_and_derived_images_can_be_left_out(tmp_path, header):
    shape = {"slice": 5, "phase": 4}
    images = scan_of(shape, ORDER, value=coded, fields=times)
    images += scan_of(shape, ORDER, meta={"SNRSTREAM_denoised": "true"}, image_series_index=2)
    random.Random(1).shuffle(images)
    write_dicom(images, header, tmp_path / "dicom")
    found, said = convert(tmp_path / "dicom", tmp_path, "-i", "y")
    assert list(found) == ["7001"] and not complaints(said)
    values, affine = found["7001"]
    expected = [[coded(s, phase=p) for p in range(4)] for s in slices_of(affine, np.eye(3))]
    np.testing.assert_allclose(values[4, 3] * 10, expected, rtol=1e-5)


@pytest.mark.parametrize("handedness", [1, -1])
def test_repeated_volumes_stack(tmp_path, header, handedness):
    """Partitions run along the slice direction; NIfTI's may run the other way."""
    header.encoding = scans.header((4, 6, 8)).encoding
    pixels = np.arange(4, dtype=np.uint16)[:, None, None] + np.zeros((1, 6, 8), np.uint16)
    images = [
        make_image(
            pixels + 10 * n + 1, {"GADGETRON_ScaleRatio": "10"}, repetition=n, image_index=n + 1,
            slice_dir=(0, 0, handedness), field_of_view=(80, 60, 12), acquisition_time_stamp=10_000_000 + 320 * n,
        )
        for n in (1, 0)
    ]  # fmt: skip
    write_dicom(images, header, tmp_path / "dicom")
    found, said = convert(tmp_path / "dicom", tmp_path)
    assert list(found) == ["7001"] and not complaints(said)
    values, affine = found["7001"]
    assert values.shape == (8, 6, 4, 2) and abs(affine[2, 2]) == pytest.approx(3)
    z = np.round((affine[2, 2] * np.arange(4) + affine[2, 3]) * handedness / 3 + 2)  # of partitions: 2 is at the origin
    np.testing.assert_allclose(values[4, 3] * 10, z[:, None] + [1, 11], rtol=1e-5)
