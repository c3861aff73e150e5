"""MRD to DICOM: geometry against the standard's own equation, pixels, identity, and dciodvfy's verdict."""

import copy
import io
import shutil
import subprocess
from pathlib import Path

import ismrmrd
import numpy as np
import pydicom
import pytest
from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

from snrstream.errors import ConfigurationError, ScanError
from snrstream.output.dicom import to_dicom, write_dicom
from tests.output.dicom_images import make_image, rotation, scan_of

SCAN = Path(__file__).parents[2] / "data" / "brain_16ch_r3.h5"
# DS has 16 characters, so a coordinate of some 100 mm is good to about 1e-11; MRD's own float32 is good
# to 1e-5 mm at 100 mm, which is what bounds these tests.
COORDINATE_TOLERANCE_MM = 1e-4

DCIODVFY = shutil.which("dciodvfy") or ""
needs_dciodvfy = pytest.mark.skipif(not DCIODVFY, reason="dciodvfy (Debian's dicom3tools) is not installed")


@pytest.fixture(scope="module")
def scan_header():
    with ismrmrd.Dataset(SCAN, "dataset", mode="r") as dataset:
        return xsd.CreateFromDocument(dataset.read_xml_header())


@pytest.fixture
def header(scan_header):
    return copy.deepcopy(scan_header)


def patient_mm(dataset, x, y):
    """Patient coordinates of pixel (row y, column x): equation C.7.6.2.1-1 of DICOM PS3.3."""
    row_direction = np.array(dataset.ImageOrientationPatient[:3], float)
    column_direction = np.array(dataset.ImageOrientationPatient[3:], float)
    row_spacing, column_spacing = (float(value) for value in dataset.PixelSpacing)
    first = np.array(dataset.ImagePositionPatient, float)
    return first + row_direction * column_spacing * x + column_direction * row_spacing * y


def physical(dataset):
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


# Geometry


@pytest.mark.parametrize(
    ("n_encoded", "n_image", "steps"),
    [
        ((12, 12), (12, 12), (2, -3)),
        ((12, 12), (18, 24), (2, -3)),  # even to even
        ((9, 9), (15, 12), (3, -3)),  # odd to odd, odd to even
        ((12, 8), (15, 9), (4, 0)),  # even to odd
    ],
)
def test_a_point_object_lies_where_it_was_put_whatever_the_matrix(n_encoded, n_image, steps, header):
    """k-space of a point, zero-filled, centred FFT, DICOM: the brightest pixel has the point's coordinates.

    `steps` are pixels of the encoded matrix from the centre, chosen to be whole pixels of both matrices.
    """
    directions, center_mm = rotation(seed=1), np.array([31.0, -17.5, 44.25])
    fov_mm = np.array([240.0, 192.0, 6.0])
    r_mm = np.array(steps) * fov_mm[:2] / n_encoded
    k = [(np.arange(n) - n // 2) / length for n, length in zip(n_encoded, fov_mm[:2], strict=True)]
    kx, ky = np.meshgrid(*k)  # (y, x)
    kspace = np.exp(-2j * np.pi * (kx * r_mm[0] + ky * r_mm[1]))
    filled = np.zeros(n_image[::-1], complex)
    y0, x0 = (n_image[i] // 2 - n_encoded[i] // 2 for i in (1, 0))
    filled[y0 : y0 + n_encoded[1], x0 : x0 + n_encoded[0]] = kspace
    pixels = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(filled))).astype(np.complex64)
    image = make_image(
        1000 * pixels,
        field_of_view=fov_mm,
        position=center_mm,
        read_dir=directions[:, 0],
        phase_dir=directions[:, 1],
        slice_dir=directions[:, 2],
    )
    (dataset,) = to_dicom(image, header)
    y, x = np.unravel_index(np.argmax(dataset.pixel_array), dataset.pixel_array.shape)
    expected = center_mm + directions[:, :2] @ r_mm
    assert (dataset.Rows, dataset.Columns) == n_image[::-1]
    np.testing.assert_allclose(patient_mm(dataset, x, y), expected, atol=COORDINATE_TOLERANCE_MM)


@pytest.mark.parametrize("shape", [(7, 10), (10, 7), (1, 1)])
def test_position_is_the_centre_of_pixel_floor_half(shape, header):
    directions, center_mm = rotation(seed=2), np.array([1.0, 2.0, 3.0])
    image = make_image(
        np.ones(shape, np.float32), position=center_mm, read_dir=directions[:, 0], phase_dir=directions[:, 1]
    )
    (dataset,) = to_dicom(image, header)
    ny, nx = shape
    assert list(dataset.PixelSpacing) == pytest.approx([192 / ny, 256 / nx])
    np.testing.assert_allclose(patient_mm(dataset, nx // 2, ny // 2), center_mm, atol=COORDINATE_TOLERANCE_MM)
    assert float(dataset.SliceLocation) == pytest.approx(directions[:, 2] @ center_mm, abs=1e-4)


@pytest.mark.parametrize("handedness", [1, -1])
@pytest.mark.parametrize("nz", [4, 5])
def test_volume_becomes_slices_along_slice_dir(nz, handedness, header):
    directions, center_mm = rotation(seed=3), np.array([-5.0, 8.0, 13.0])
    slice_dir = handedness * directions[:, 2]
    pixels = np.random.default_rng(0).integers(0, 4096, (nz, 6, 8)).astype(np.uint16)
    image = make_image(
        pixels,
        field_of_view=(80, 60, 2.5 * nz),
        position=center_mm,
        read_dir=directions[:, 0],
        phase_dir=directions[:, 1],
        slice_dir=slice_dir,
        image_index=3,
    )
    datasets = to_dicom(image, header)
    assert len(datasets) == nz
    for z, dataset in enumerate(datasets):
        expected = center_mm + (z - nz // 2) * 2.5 * slice_dir
        np.testing.assert_allclose(patient_mm(dataset, 4, 3), expected, atol=COORDINATE_TOLERANCE_MM)
        np.testing.assert_array_equal(dataset.pixel_array, pixels[z])
        assert float(dataset.SpacingBetweenSlices) == float(dataset.SliceThickness) == 2.5
    assert [int(dataset.InstanceNumber) for dataset in datasets] == list(range(2 * nz + 1, 3 * nz + 1))
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == nz
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 1


def test_orientation_is_orthonormal_even_from_rounded_directions(header):
    directions = np.round(rotation(seed=4), 4) * 1.0003
    image = make_image(np.ones((4, 4), np.float32), read_dir=directions[:, 0], phase_dir=directions[:, 1])
    orientation = np.array(to_dicom(image, header)[0].ImageOrientationPatient, float).reshape(2, 3)
    # 16 characters leave 13 digits after the point.
    np.testing.assert_allclose(orientation @ orientation.T, np.eye(2), atol=1e-12)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"field_of_view": (0, 192, 5)}, r"field_of_view is \[0, 192, 5\] mm, expected positive"),
        ({"field_of_view": (256, np.inf, 5)}, "field_of_view"),
    ],
)
def test_geometry_that_is_no_plane_is_refused(head, message, header):
    with pytest.raises(ScanError, match=message):
        to_dicom(make_image(np.ones((4, 4), np.float32), **head), header)


def test_what_a_header_lacks_is_told_once_but_where_the_images_tell_it(header, tmp_path, caplog):
    """Images of another server bring no warning of ours."""
    lacking = [make_image(np.ones((4, 4), np.float32), read_dir=(0, 0, 0), slice=n) for n in range(3)]
    assert len(write_dicom(lacking, header, tmp_path / "a")) == 3
    told = "read_dir is [0, 0, 0], expected a direction of length 1; an axial slice is assumed"
    assert caplog.messages == [told]
    caplog.clear()
    for image in lacking:
        image.meta = ismrmrd.Meta({"SNRSTREAM_warning": told})
    write_dicom(lacking, header, tmp_path / "b")
    assert caplog.messages == []


def test_a_volume_needs_a_thickness(header):
    pixels = np.ones((3, 4, 4), np.float32)
    with pytest.raises(ScanError, match="field_of_view"):
        to_dicom(make_image(pixels, field_of_view=(256, 192, 0)), header)
    thin = make_image(pixels[:1], field_of_view=(256, 192, 0), slice_dir=(0, 0, 0))
    assert to_dicom(thin, header)[0].SliceThickness == header.encoding[0].reconSpace.fieldOfView_mm.z
    assert to_dicom(thin, None)[0].SliceThickness in ("", None)


# Pixels


def test_uint16_passes_bit_for_bit_and_reads_in_snr_units(header):
    pixels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    (dataset,) = to_dicom(make_image(pixels, {"GADGETRON_ScaleRatio": "10"}), header)
    np.testing.assert_array_equal(dataset.pixel_array, pixels)
    assert dataset.pixel_array.dtype == np.uint16
    np.testing.assert_allclose(physical(dataset), pixels / 10, rtol=1e-12)
    assert dataset.RescaleType == "SNR"
    (plain,) = to_dicom(make_image(pixels), header)
    np.testing.assert_array_equal(physical(plain), pixels)
    assert plain.RescaleType == "US"


@pytest.mark.parametrize(
    ("series", "peak", "factor"),
    [(1, 50, 10), (20, 5, 100), (300, 50, 10), (1, 6553.5, 10), (1, 7000, 1), (1, 2e6, 0.01), (20, 700, 10)],
)
def test_float_and_complex_are_scaled_rounded_and_never_clipped(series, peak, factor, header):
    rng = np.random.default_rng(5)
    values = rng.uniform(0, peak, (12, 14)).astype(np.float32)
    values[3, 4] = peak
    phases = np.exp(2j * np.pi * rng.random(values.shape))
    for pixels in (values, (values * phases).astype(np.complex64)):
        (dataset,) = to_dicom(make_image(pixels, image_series_index=series), header)
        assert 1 / float(dataset.RescaleSlope) == pytest.approx(factor)
        assert f"stored value = {factor:g} x" in dataset.ImageComments
        # Rounding to whole stored values, and float32 of complex magnitudes.
        np.testing.assert_allclose(physical(dataset), np.abs(pixels), atol=0.5001 / factor, rtol=1e-6)


def test_any_peak_fits_into_16_bits_and_uses_them(header):
    for exponent in np.linspace(-12, 12, 97):
        peak = np.float32(10**exponent)
        (dataset,) = to_dicom(make_image(np.array([[0, peak / 2, peak]], np.float32)), header)
        assert dataset.pixel_array.max() >= 10
        np.testing.assert_allclose(physical(dataset)[0, 2], peak, rtol=0.05)


def test_scaled_float_images_are_divided_by_their_ratio(header):
    values = np.random.default_rng(6).uniform(0, 40, (8, 8)).astype(np.float32)
    (dataset,) = to_dicom(make_image(values * 4, {"GADGETRON_ScaleRatio": "4"}), header)
    np.testing.assert_allclose(physical(dataset), values, atol=0.0501)


def test_negative_values_survive_with_an_offset(header):
    values = np.random.default_rng(7).uniform(-np.pi, np.pi, (8, 8)).astype(np.float32)
    (dataset,) = to_dicom(make_image(values, image_type=ismrmrd.IMTYPE_PHASE), header)
    np.testing.assert_allclose(physical(dataset), values, atol=0.000501)
    assert dataset.ImageType[2] == "P"
    integers = np.array([[-32768, 0, 32767]], np.int16)
    (dataset,) = to_dicom(make_image(integers, image_type=ismrmrd.IMTYPE_REAL), header)
    # 32768 + 32768 does not fit, so the factor is 0.1.
    np.testing.assert_allclose(physical(dataset), integers, atol=5)


def test_several_channels_become_several_files(header):
    pixels = np.random.default_rng(8).integers(0, 1000, (3, 1, 5, 6)).astype(np.uint16)
    datasets = to_dicom(make_image(pixels), header)
    np.testing.assert_array_equal([dataset.pixel_array for dataset in datasets], pixels[:, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_refused(bad, header):
    pixels = np.ones((4, 5), np.complex64)
    pixels[1, 1:4] = bad
    with pytest.raises(ScanError, match="series 7, image 2: 3 of 20 pixels are NaN or infinite"):
        to_dicom(make_image(pixels, image_series_index=7, image_index=2), header)


@pytest.mark.parametrize("ratio", ["0", "-3", "ten", "nan"])
def test_a_scale_ratio_that_is_no_positive_number_is_refused(ratio, header):
    with pytest.raises(ScanError, match=f"GADGETRON_ScaleRatio is '?{ratio}.*expected"):
        to_dicom(make_image(np.ones((4, 4), np.uint16), {"GADGETRON_ScaleRatio": ratio}), header)


def test_colour_and_empty_images_are_refused(header):
    with pytest.raises(ScanError, match="RGB"):
        to_dicom(make_image(np.ones((3, 1, 4, 4), np.uint16), image_type=ismrmrd.IMTYPE_RGB), header)
    with pytest.raises(ScanError, match="at least one pixel"):
        to_dicom(make_image(np.ones((4, 0), np.uint16)), header)


def test_window_comes_from_meta_in_snr_units_else_from_the_data(header):
    pixels = np.linspace(0, 1000, 1001, dtype=np.float64).astype(np.uint16)[None]
    meta = {"GADGETRON_ScaleRatio": "10", "WindowCenter": "300", "WindowWidth": "600"}
    (dataset,) = to_dicom(make_image(pixels, meta), header)
    assert (float(dataset.WindowCenter), float(dataset.WindowWidth)) == (30, 60)
    (dataset,) = to_dicom(make_image(pixels, {"GADGETRON_ScaleRatio": "10"}), header)
    assert (float(dataset.WindowCenter), float(dataset.WindowWidth)) == pytest.approx((49.75, 99.5))
    (constant,) = to_dicom(make_image(np.zeros((4, 4), np.float32)), header)
    assert float(constant.WindowWidth) > 0


# Attributes


def test_the_scan_header_is_carried_over(header):
    header.subjectInformation = xsd.subjectInformationType(
        patientName="Doe^Jane", patientID="7", patientGender="F", patientBirthdate=XmlDate(1980, 2, 3)
    )
    header.studyInformation = xsd.studyInformationType(
        studyDate=XmlDate(2024, 5, 6),
        studyTime=XmlTime(7, 8, 9),
        accessionNumber=11,
        bodyPartExamined="brain",
    )
    header.sequenceParameters = xsd.sequenceParametersType(
        TR=[500.0], TE=[2.5, 1 / 3], TI=[100.0, 900.0, 1500.0], flipAngle_deg=[12.0], sequence_type="Flash"
    )
    (dataset,) = to_dicom(make_image(np.ones((4, 4), np.float32), contrast=1, acquisition_time_stamp=1440000), header)
    expected = {
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19800203",
        "StudyDate": "20240506",
        "StudyTime": "070809",
        "AccessionNumber": "11",
        "BodyPartExamined": "BRAIN",
        "PatientPosition": "HFS",
        "Manufacturer": "SIEMENS",
        "ProtocolName": "brain_16ch_r3",
        "ScanningSequence": ["GR", "IR"],
        "MRAcquisitionType": "2D",
        "RepetitionTime": 500.0,
        "InversionTime": 900.0,
        "FlipAngle": 12.0,
        "MagneticFieldStrength": 2.89,
        "ImagingFrequency": 123.206013,
        "AcquisitionTime": "010000.000000",  # 1 440 000 ticks of 2.5 ms
        "SliceThickness": 5.0,
    }
    assert {keyword: dataset[keyword].value for keyword in expected} == expected
    assert float(dataset.EchoTime) == pytest.approx(1 / 3, abs=1e-13)
    assert "Laterality" not in dataset


def test_provenance_survives_long_histories(header):
    meta = {
        "SeriesDescriptionAdditional": "_denoised",
        "SNRSTREAM_model": "residual_unet 1.2",
        "SNRSTREAM_model_sha256": "ab" * 32,
        "SNRSTREAM_alpha": "0.8",
        "SNRSTREAM_warning": ["no noise scan", "odd\\matrix\n"],
        "GADGETRON_ImageProcessingHistory": ["x" * 700, "y" * 700],
    }
    header.measurementInformation.protocolName = "p" * 80
    (dataset,) = to_dicom(make_image(np.ones((4, 4), np.float32), meta, image_series_index=2), header)
    for part in ("residual_unet 1.2", "ab" * 32, "alpha 0.8", "WARNING: no noise scan", "odd matrix"):
        assert part in dataset.DerivationDescription
    assert len(dataset.DerivationDescription) <= 1024
    assert "WARNING: no noise scan" in dataset.ImageComments
    assert dataset.SeriesDescription == "p" * 45 + "_snrstream_denoised"
    assert list(dataset.ImageType) == ["DERIVED", "PRIMARY", "M", "DENOISED"]


def test_what_is_not_denoised_says_so_and_is_a_series_of_its_own(header):
    pixels = np.ones((4, 4), np.float32)
    meta = {"SNRSTREAM_denoised": "false", "SeriesDescriptionAdditional": "_not denoised"}
    (marked,) = to_dicom(make_image(pixels, meta, image_series_index=2), header)
    assert "not denoised" in marked.DerivationDescription.split("; ")
    assert "DENOISED" not in marked.ImageType
    meta = {"SNRSTREAM_denoised": "true", "SNRSTREAM_model": "a 1", "SeriesDescriptionAdditional": "_denoised"}
    (denoised,) = to_dicom(make_image(pixels, meta, image_series_index=2), header)
    assert "not denoised" not in denoised.DerivationDescription
    assert marked.SeriesInstanceUID != denoised.SeriesInstanceUID


@pytest.mark.parametrize(
    ("series", "role", "expected"),
    [(20, None, "GFACTOR"), (5, "Gfactor", "GFACTOR"), (300, None, "SNR_MAP"), (6, "SNR_MAP", "SNR_MAP")],
)
def test_maps_are_known_by_role_or_series_number(series, role, expected, header):
    meta = {} if role is None else {"GADGETRON_DataRole": role}
    (dataset,) = to_dicom(make_image(np.ones((4, 4), np.float32), meta, image_series_index=series), header)
    assert list(dataset.ImageType) == ["DERIVED", "PRIMARY", "M", expected]
    assert dataset.SeriesNumber == 999000 + series


@pytest.mark.parametrize(
    ("scanner_s", "series", "expected"),
    [
        (12, 2, 12002),
        (1, 300, 1300),
        (1201, 1, 1201001),
        (None, 20, 999020),
        (0, 1, 999001),
        (-3, 1, 999001),
        (2_147_418, 65535, 2147483535),  # IS ends at 2147483647
        (2_147_419, 65535, 1064535),
    ],
)
def test_series_numbers_are_none_of_the_scanner_s(scanner_s, series, expected, header):
    header.measurementInformation.initialSeriesNumber = scanner_s
    (dataset,) = to_dicom(make_image(np.ones((4, 4), np.float32), image_series_index=series), header)
    assert dataset.SeriesNumber == expected
    (without,) = to_dicom(make_image(np.ones((4, 4), np.float32), image_series_index=series), None)
    assert without.SeriesNumber == 999000 + series


def test_a_series_is_named_after_protocol_snrstream_and_kind(header):
    pixels = np.ones((4, 4), np.float32)
    meta = {"SeriesDescriptionAdditional": "_g-factor"}
    (named,) = to_dicom(make_image(pixels, meta), header)
    (plain,) = to_dicom(make_image(pixels), header)
    assert (named.SeriesDescription, plain.SeriesDescription) == (
        "brain_16ch_r3_snrstream_g-factor",
        "brain_16ch_r3_snrstream",
    )


# Identity


def uids(dataset):
    return tuple(
        str(dataset[keyword].value)
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )


def test_the_same_scan_again_has_the_same_uids(header):
    image = make_image(np.ones((4, 4), np.float32))
    first, again = (uids(to_dicom(image, copy.deepcopy(header))[0]) for _ in range(2))
    assert first == again
    assert all(pydicom.uid.UID(uid).is_valid for uid in first)


def test_what_differs_has_another_uid(header):
    ones, model = np.ones((4, 4), np.float32), {"SNRSTREAM_model": "a 1", "SNRSTREAM_alpha": "1"}
    study, frame, series, instance = uids(to_dicom(make_image(ones, model), header)[0])
    next_image = uids(to_dicom(make_image(ones, model, image_index=2), header)[0])
    assert next_image[:3] == (study, frame, series) and next_image[3] != instance
    other_pixels = uids(to_dicom(make_image(2 * ones, model), header)[0])
    assert other_pixels[:3] == (study, frame, series) and other_pixels[3] != instance
    for other in (
        make_image(ones, model, image_series_index=2),
        make_image(ones, {**model, "SNRSTREAM_alpha": "0.5"}),
        make_image(ones, {**model, "SNRSTREAM_model": "b 1"}),
    ):
        other_series = uids(to_dicom(other, header)[0])
        assert other_series[:2] == (study, frame)
        assert series != other_series[2] and instance != other_series[3]
    header.measurementInformation.measurementID = "164128_1_1_4"
    assert not set(uids(to_dicom(make_image(ones, model), header)[0])) & {study, frame, series, instance}


@pytest.mark.parametrize(
    "other",
    [
        {"WindowCenter": "20"},
        {"GADGETRON_ScaleRatio": "20"},
        {"ImageComments": "another"},
        {"SNRSTREAM_warning": "something"},
        {"GADGETRON_ImageProcessingHistory": ["GRAPPA", "k-space filter"]},
    ],
)
def test_equal_pixels_under_other_attributes_are_another_instance(other, header):
    """An archive that knows the UID would drop the second file, and keep the first one's window and scale."""
    pixels = np.arange(16, dtype=np.uint16).reshape(4, 4)
    meta = {"GADGETRON_ScaleRatio": "10", "WindowCenter": "10", "WindowWidth": "20"}
    one, two = (to_dicom(make_image(pixels, m), header)[0] for m in (meta, {**meta, **other}))
    assert one.pixel_array.tobytes() == two.pixel_array.tobytes()
    assert one.SOPInstanceUID != two.SOPInstanceUID


def test_the_time_of_writing_is_not_in_the_uids_nor_is_the_way_over_the_wire(tmp_path, header):
    pixels = np.random.default_rng(3).uniform(0, 9, (2, 4, 4)).astype(np.float32)
    images = [make_image(frame, {"b": ["1", "2"], "a": "x"}, image_index=n + 1) for n, frame in enumerate(pixels)]
    first = [pydicom.dcmread(path) for path in write_dicom(images, header, tmp_path / "a")]
    wire, length = io.BytesIO(), images[0].getHead().attribute_string_len
    for image in images:
        image.serialize_into(wire.write)
    wire.seek(0)
    arrived = [ismrmrd.Image.deserialize_from(wire.read) for _ in images]
    assert arrived[0].getHead().attribute_string_len != length
    again = [pydicom.dcmread(path) for path in write_dicom(arrived, header, tmp_path / "b")]
    assert [uids(dataset) for dataset in first] == [uids(dataset) for dataset in again]
    assert first[0].ContentTime != again[0].ContentTime


def test_two_pipelines_that_differ_in_one_image_give_two_series(tmp_path, header):
    """A filter, say, that no attribute of the series tells of: their images must not lie among each other's."""
    images = [make_image(np.full((4, 4), n, np.float32), image_index=n) for n in (1, 2, 3)]
    others = [*images[:2], make_image(np.full((4, 4), 3.5, np.float32), image_index=3)]
    maps = [make_image(np.ones((4, 4), np.float32), image_series_index=20)]
    one, two = (
        [pydicom.dcmread(path) for path in write_dicom([*series, *maps], header, tmp_path / name)]
        for name, series in (("a", images), ("b", others))
    )
    of_one, of_two = ({dataset.SeriesInstanceUID for dataset in run[:3]} for run in (one, two))
    assert len(of_one) == len(of_two) == 1 and not of_one & of_two
    assert not {d.SOPInstanceUID for d in one[:3]} & {d.SOPInstanceUID for d in two[:3]}
    assert uids(one[3]) == uids(two[3]), "the g-map is the same"


def test_scans_of_one_study_share_its_uid(header):
    image = make_image(np.ones((4, 4), np.float32))
    header.studyInformation.studyDate = XmlDate(2024, 5, 6)
    first = uids(to_dicom(image, header)[0])
    header.measurementInformation.measurementID = "other"
    second = uids(to_dicom(image, header)[0])
    assert first[0] == second[0]
    assert not set(first[1:]) & set(second[1:])


def test_uids_of_the_header_are_used_where_valid(header):
    image = make_image(np.ones((4, 4), np.float32))
    header.studyInformation.studyInstanceUID = "1.2.3"
    header.measurementInformation.frameOfReferenceUID = "1.2.3.4"
    assert uids(to_dicom(image, header)[0])[:2] == ("1.2.3", "1.2.3.4")
    header.studyInformation.studyInstanceUID = "anonymous"
    study = uids(to_dicom(image, header)[0])[0]
    assert study.startswith("2.25.") and pydicom.uid.UID(study).is_valid


def test_an_anonymous_scan_is_random_but_one_study(tmp_path):
    images = [make_image(np.ones((4, 4), np.float32), image_series_index=series) for series in (1, 20)]
    first, second = (
        [uids(pydicom.dcmread(path)) for path in write_dicom(images, None, tmp_path / name)] for name in "ab"
    )
    assert first[0][:2] == first[1][:2]
    assert first[0][2] != first[1][2]
    assert not set(first[0]) & set(second[0])


# Files


def test_files_of_one_call_never_overwrite_one_another(tmp_path, header):
    images = [
        make_image(np.full((4, 4), value, np.float32), image_series_index=20, image_index=index)
        for value, index in ((1, 1), (2, 1), (3, 2), (4, 1))
    ]
    paths = write_dicom(images, header, tmp_path / "new" / "dicom")
    assert [path.name for path in paths] == [
        "series020_image0001.dcm",
        "series020_image0002.dcm",
        "series020_image0004.dcm",
        "series020_image0003.dcm",
    ]
    datasets = [pydicom.dcmread(path) for path in paths]
    assert [physical(dataset)[0, 0] for dataset in datasets] == pytest.approx([1, 2, 3, 4])
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == 4


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path, header):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot write DICOM to .*file"):
        write_dicom([make_image(np.ones((4, 4), np.float32))], header, tmp_path / "file" / "dicom")


def triggered(phase, **_):
    return {"physiology_time_stamp": (20 * phase, 0, 0)}


@needs_dciodvfy
@pytest.mark.parametrize("which_header", ["scan", "none", "full", "paired"])
def test_dciodvfy_finds_no_error(which_header, tmp_path, header):
    if which_header in ("full", "paired"):
        header.subjectInformation = xsd.subjectInformationType(
            patientName="Müller=^Jörg\\" + "ü" * 90,
            patientID="é" * 90,
            patientGender="O",
            patientWeight_kg=70.123,
        )
        header.studyInformation = xsd.studyInformationType(
            studyDate=XmlDate(2024, 5, 6),
            studyTime=XmlTime(7, 8, 9, 123456789),
            studyDescription="a\\b\nc" * 40,
            studyID="s" * 40,
            bodyPartExamined="head" if which_header == "full" else "knee",
        )
        header.sequenceParameters = xsd.sequenceParametersType(
            TR=[1000 / 3], TE=[1e-7 / 3], TI=[5.0], flipAngle_deg=[180 / 7], sequence_type="TurboSpinEcho"
        )
        system = header.acquisitionSystemInformation
        system.systemModel, system.institutionName, system.stationName = "m" * 80, "i" * 80, "s" * 80
        header.measurementInformation.sequenceName = "q" * 80
    if which_header == "none":
        header = None
    rng = np.random.default_rng(9)
    directions = rotation(seed=10)
    oblique = {"read_dir": directions[:, 0], "phase_dir": directions[:, 1], "slice_dir": directions[:, 2]}
    magnitude = rng.uniform(0, 90, (9, 8))
    long = {"GADGETRON_ImageProcessingHistory": ["ä" * 2000], "ImageComments": ["c" * 11000]}
    images = [
        make_image(magnitude.astype(np.float32), long, position=(100 / 3, -200 / 7, 1e-9), **oblique),
        make_image((magnitude * 1j * 1e7).astype(np.complex64), image_series_index=2),
        make_image(magnitude.astype(np.uint16), {"GADGETRON_ScaleRatio": "3"}, image_series_index=3),
        make_image(magnitude.astype(np.float64) / 90 + 1, image_series_index=20),
        make_image(rng.uniform(-3, 3, (9, 8)).astype(np.float32), image_series_index=4, image_type=2),
        make_image(rng.uniform(0, 3, (2, 2, 9, 8)).astype(np.float32), image_series_index=300, **oblique),
        make_image(np.zeros((9, 8), np.float32), image_series_index=5),
        make_image(
            magnitude.astype(np.uint16),
            {"GADGETRON_ScaleRatio": "651.8986469", "GADGETRON_ScaleOffset": "2048", "SNRSTREAM_dwell_us": "2.5"},
            image_series_index=601,
            image_type=ismrmrd.IMTYPE_PHASE,
        ),
        *scan_of({"phase": 2, "slice": 2}, fields=triggered, image_series_index=6, acquisition_time_stamp=10**7),
    ]
    for path in write_dicom(images, header, tmp_path):
        report = subprocess.run([DCIODVFY, path], capture_output=True, text=True, check=False)
        errors = [line for line in report.stderr.splitlines() if "Error" in line]
        assert not errors and report.returncode == 0, (path.name, errors)
        assert "MRImage" in report.stderr
