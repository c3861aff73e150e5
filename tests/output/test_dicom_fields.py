"""What the DICOM files say of an image: type, number, time, acquisition and unit, where the scan tells it."""

import random

import ismrmrd
import numpy as np
import pydicom
import pytest
from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

from snrstream.image_kind import ImagePart
from snrstream.output.dicom import to_dicom, write_dicom
from snrstream.output.dicom.order import places
from snrstream.output.whole_numbers import whole_numbers
from tests import scans
from tests.output.dicom_images import make_image, rotation, scan_of

ONES = np.ones((4, 4), np.uint16)


@pytest.fixture
def header():
    return scans.header((1, 48, 64))


def written(images, header, folder):
    return [pydicom.dcmread(path) for path in write_dicom(images, header, folder)]


# Type


@pytest.mark.parametrize(
    ("meta", "origin", "last"),
    [
        ({}, "ORIGINAL", "ND"),
        ({"SNRSTREAM_denoised": "false"}, "ORIGINAL", "ND"),
        ({"SNRSTREAM_denoised": "true"}, "DERIVED", "DENOISED"),
        ({"GADGETRON_DataRole": "Residual"}, "DERIVED", "RESIDUAL"),
        ({"GADGETRON_DataRole": "Gfactor"}, "DERIVED", "GFACTOR"),
        ({"GADGETRON_DataRole": "SNR_MAP"}, "DERIVED", "SNR_MAP"),
    ],
)
@pytest.mark.parametrize(
    ("image_type", "part"),
    [
        (ismrmrd.IMTYPE_MAGNITUDE, "M"),
        (ismrmrd.IMTYPE_COMPLEX, "M"),
        (ismrmrd.IMTYPE_PHASE, "P"),
        (ismrmrd.IMTYPE_REAL, "R"),
        (ismrmrd.IMTYPE_IMAG, "I"),
    ],
)
def test_what_was_acquired_is_original(meta, origin, last, image_type, part, header) -> None:
    (dataset,) = to_dicom(make_image(ONES, meta, image_type=image_type), header)
    assert list(dataset.ImageType) == [origin, "PRIMARY", part, last]


# Numbers


@pytest.mark.parametrize("handedness", [1, -1])
@pytest.mark.parametrize("order", [(0, 2, 4, 1, 3), (4, 3, 2, 1, 0), (1, 3, 0, 2, 4)])
def test_instance_numbers_rise_with_the_position_then_with_each_counter(order, handedness) -> None:
    directions = rotation(5) * [1, 1, handedness]
    shape = {"repetition": 2, "phase": 2, "set": 2, "contrast": 3, "slice": 5}
    images = scan_of(shape, order, directions)
    random.Random(1).shuffle(images)
    numbers = [number for place in places(images) for number in place.numbers]
    assert sorted(numbers) == list(range(1, len(images) + 1))
    in_order = [image for _, image in sorted(zip(numbers, images, strict=True), key=lambda pair: pair[0])]
    found = [(i.repetition, i.phase, i.set, i.contrast, handedness * i.slice) for i in in_order]
    assert found == sorted(found), "along the cross product of rows and columns"


def test_partitions_count_along_the_normal_and_channels_apart(tmp_path, header) -> None:
    pixels = np.arange(2 * 3, dtype=np.uint16).reshape(2, 3, 1, 1) + np.zeros((1, 1, 4, 4), np.uint16)
    against = make_image(pixels, slice_dir=(0, 0, -1), field_of_view=(4, 4, 6))
    datasets = sorted(written([against], header, tmp_path), key=lambda dataset: dataset.InstanceNumber)
    assert [dataset.pixel_array[0, 0] for dataset in datasets] == [2, 1, 0, 5, 4, 3]
    positions = [float(dataset.ImagePositionPatient[2]) for dataset in datasets]
    assert positions[:3] == sorted(positions[:3]) and positions[3:] == positions[:3]


def test_slices_of_several_directions_follow_each_other(tmp_path, header) -> None:
    """A localizer: three slices in each of three planes, acquired by turns."""
    planes = [scan_of({"slice": 3}, directions=np.roll(np.eye(3), n, axis=1)) for n in range(3)]
    images = [plane[n] for n in range(3) for plane in planes]
    numbers = [int(dataset.InstanceNumber) for dataset in written(images, header, tmp_path)]
    assert numbers == [1, 4, 7, 2, 5, 8, 3, 6, 9]


def test_each_series_counts_from_1_and_equal_places_differ(tmp_path, header) -> None:
    images = [make_image(ONES, image_series_index=series) for series in (1, 20, 1, 20)]
    assert [int(dataset.InstanceNumber) for dataset in written(images, header, tmp_path)] == [1, 1, 2, 2]


# Time


def physiology(*stamps):
    return lambda **counters: {"physiology_time_stamp": stamps[counters["phase"]]}


@pytest.mark.parametrize(
    ("stamps", "expected_ms", "gating"),
    [
        ([(0, 0, 0), (20, 0, 0), (41, 0, 0)], [0, 50, 102.5], "CG"),
        ([(0, 8, 3), (0, 16, 4), (0, 24, 9)], [20, 40, 60], "PPG"),
        ([(7, 8, 3), (7, 16, 4), (7, 24, 9)], [20, 40, 60], "PPG"),  # the first does not follow the phases
        ([(56_890, 0, 0), (56_910, 0, 0), (56_930, 0, 0)], None, ""),  # a clock that no trigger has set to 0
        ([(0, 0, 8), (0, 0, 16), (0, 0, 24)], None, ""),  # of breathing alone
        ([(0, 0, 0)] * 3, None, ""),
    ],
)
def test_cine_tells_phases_and_trigger_times(tmp_path, stamps, expected_ms, gating, header) -> None:
    images = scan_of({"phase": 3, "slice": 2}, (1, 0), fields=physiology(*stamps))
    datasets = written(images, header, tmp_path)
    for image, dataset in zip(images, datasets, strict=True):
        assert dataset.CardiacNumberOfImages == 3 and (dataset.ScanOptions or "") == gating
        assert (dataset.TemporalPositionIdentifier, dataset.NumberOfTemporalPositions) == (image.phase + 1, 3)
        assert dataset.get("TriggerTime") == (None if expected_ms is None else expected_ms[image.phase])


def test_repetitions_are_temporal_positions_and_single_images_are_none(tmp_path, header) -> None:
    images = scan_of({"repetition": 3, "slice": 2})
    for image, dataset in zip(images, written(images, header, tmp_path / "several"), strict=True):
        assert (dataset.TemporalPositionIdentifier, dataset.NumberOfTemporalPositions) == (image.repetition + 1, 3)
        assert "TriggerTime" not in dataset and "CardiacNumberOfImages" not in dataset
    stamped = make_image(ONES, physiology_time_stamp=(400, 0, 0))
    (dataset,) = written([stamped], header, tmp_path / "one")
    assert not {"TemporalPositionIdentifier", "NumberOfTemporalPositions", "TriggerTime"} & set(dataset.dir())


@pytest.mark.parametrize(
    ("vendor", "began", "hours", "expected"),
    [
        ("SIEMENS", (7, 0, 0), 7.5, ("20240229", "073000.000000")),
        ("SIEMENS", (23, 50, 0), 0.25, ("20240301", "001500.000000")),  # midnight lies between
        ("SIEMENS", (7, 0, 0), 0, ("20240229", None)),
        ("GE MEDICAL SYSTEMS", (7, 0, 0), 7.5, ("20240229", None)),
    ],
)
@pytest.mark.parametrize("told_by", ["series", "study"])
def test_date_and_time_of_the_acquisition(told_by, vendor, began, hours, expected, header) -> None:
    header.acquisitionSystemInformation.systemVendor = vendor
    when = {f"{told_by}Date": XmlDate(2024, 2, 29), f"{told_by}Time": XmlTime(*began)}
    if told_by == "series":
        header.measurementInformation = xsd.measurementInformationType(
            patientPosition=xsd.patientPositionType("HFS"), **when
        )
    else:
        header.studyInformation = xsd.studyInformationType(**when)
    image = make_image(ONES, acquisition_time_stamp=int(hours * 3_600_000 / 2.5))
    (dataset,) = to_dicom(image, header)
    assert (dataset.AcquisitionDate, dataset.get("AcquisitionTime")) == expected


# Acquisition


def test_what_the_header_knows_of_the_acquisition_is_told() -> None:
    header = scans.header((6, 48, 128), (3, 2), recon=(64, 40, 6), fov_mm=(64, 40, 6), n_averages=2)
    coils = "Spine_32:1:S5", "Body_18:1:B2"
    header.acquisitionSystemInformation.coilLabel = [
        xsd.coilLabelType(coilNumber=n, coilName=name) for n, name in enumerate(coils)
    ]
    (dataset,) = to_dicom(make_image(ONES, {"SNRSTREAM_dwell_us": "5"}), header)
    assert list(dataset.AcquisitionMatrix) == [0, 64, 40, 0], "without the oversampled parts of the field of view"
    assert dataset.PixelBandwidth == pytest.approx(1e6 / 5 / 128)
    assert (dataset.NumberOfAverages, dataset.ReceiveCoilName) == (2, "Body_18;Spine_32")
    parallel = "ParallelReductionFactorInPlane", "ParallelReductionFactorOutOfPlane"
    assert [dataset[keyword].value for keyword in parallel] == [3, 2]
    assert (dataset.ParallelAcquisition, dataset.ParallelAcquisitionTechnique) == ("YES", "GRAPPA")


def test_no_acceleration_is_told_as_well(header) -> None:
    (dataset,) = to_dicom(make_image(ONES), header)
    assert (dataset.ParallelReductionFactorInPlane, dataset.ParallelAcquisition) == (1, "NO")
    assert "ParallelAcquisitionTechnique" not in dataset


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([f"coil_{n}" for n in range(16)], "coil"),
        (["HeadNeck_20:1:H11", "HeadNeck_20:1:H12"], "HeadNeck_20"),
        (["Left:1", "Right:1", "Anterior_Array:1"], None),
        (["a" * 40], "a" * 16),
        (["", " : "], None),
    ],
)
def test_coils_bear_the_name_of_their_elements(labels, expected, header) -> None:
    header.acquisitionSystemInformation.coilLabel = [
        xsd.coilLabelType(coilNumber=n, coilName=name) for n, name in enumerate(labels)
    ]
    (dataset,) = to_dicom(make_image(ONES), header)
    assert dataset.get("ReceiveCoilName") == expected


def test_epi_is_told_and_its_bandwidth_is_not(header) -> None:
    """Its readouts sample the ramps, so that samples are not evenly apart in k-space."""
    header.encoding[0].trajectory = xsd.trajectoryType.EPI
    (dataset,) = to_dicom(make_image(ONES, {"SNRSTREAM_dwell_us": "5"}), header)
    assert dataset.ScanningSequence == "EP" and "PixelBandwidth" not in dataset


@pytest.mark.parametrize("dwell", [{}, {"SNRSTREAM_dwell_us": "0"}, {"SNRSTREAM_dwell_us": "five"}])
def test_what_nobody_knows_is_left_out(dwell) -> None:
    (dataset,) = to_dicom(make_image(ONES, dwell), None)
    words = ("AcquisitionMatrix", "PixelBandwidth", "NumberOfAverages", "ReceiveCoil", "Parallel", "AcquisitionDate")
    assert not [keyword for keyword in dataset.dir() if keyword.startswith(words)]


# Values


@pytest.mark.parametrize(
    ("meta", "image_type", "label", "unit"),
    [
        ({"GADGETRON_ScaleRatio": "10"}, ismrmrd.IMTYPE_MAGNITUDE, "SNR", "1"),
        ({"GADGETRON_ScaleRatio": "10", "GADGETRON_ScaleOffset": "32768"}, ismrmrd.IMTYPE_REAL, "SNR", "1"),
        ({"GADGETRON_ScaleRatio": "100", "GADGETRON_DataRole": "Gfactor"}, ismrmrd.IMTYPE_MAGNITUDE, "G", "1"),
        ({"GADGETRON_ScaleRatio": "651.9", "GADGETRON_ScaleOffset": "2048"}, ismrmrd.IMTYPE_PHASE, "PHASE", "rad"),
        ({"GADGETRON_ScaleRatio": "10"}, ismrmrd.IMTYPE_PHASE, None, None),  # no phase is negative: nobody knows
        ({}, ismrmrd.IMTYPE_MAGNITUDE, None, None),
        ({"GADGETRON_ScaleRatio": "10", "SNRSTREAM_snr_units": "false"}, ismrmrd.IMTYPE_MAGNITUDE, None, None),
    ],
)
def test_the_unit_of_the_values_is_told_in_the_standards_way(meta, image_type, label, unit, header) -> None:
    (dataset,) = to_dicom(make_image(ONES, meta, image_type=image_type), header)
    if label is None:
        assert "RealWorldValueMappingSequence" not in dataset
        return
    (mapping,) = dataset.RealWorldValueMappingSequence
    (code,) = mapping.MeasurementUnitsCodeSequence
    assert (mapping.LUTLabel, code.CodeValue, code.CodingSchemeDesignator) == (label, unit, "UCUM")
    ratio, offset = float(meta["GADGETRON_ScaleRatio"]), float(meta.get("GADGETRON_ScaleOffset", 0))
    assert mapping.RealWorldValueSlope == pytest.approx(1 / ratio)
    assert mapping.RealWorldValueIntercept == pytest.approx(-offset / ratio)
    assert (mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped) == (0, 65535)


def test_parts_of_complex_pixels_come_back_from_their_whole_numbers(header) -> None:
    rng = np.random.default_rng(4)
    values = (200 * (rng.standard_normal((9, 8)) + 1j * rng.standard_normal((9, 8)))).astype(np.complex64)
    values[0, :4] = 0, -1, 1j, -1j
    expected = {
        ImagePart.MAGNITUDE: np.abs(values), ImagePart.PHASE: np.angle(values),
        ImagePart.REAL: values.real, ImagePart.IMAGINARY: values.imag,
    }  # fmt: skip
    for part in ImagePart:
        whole = whole_numbers(values, part, 10)
        meta = {"GADGETRON_ScaleRatio": str(whole.ratio), "GADGETRON_ScaleOffset": str(whole.offset)}
        (dataset,) = to_dicom(make_image(whole.pixels, meta, image_type=part.image_type), header)
        found = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        step = np.pi / 2048 if part is ImagePart.PHASE else 0.1
        # A phase of exactly pi would be the 4097th value, and is the 4096th.
        np.testing.assert_allclose(found, expected[part], atol=step * (1.001 if part is ImagePart.PHASE else 0.501))
        assert whole.n_clipped == 0 and dataset.RescaleIntercept.original_string != "-0.0"
    assert whole_numbers(values, ImagePart.PHASE, 10).pixels.max() == 4095


def test_what_does_not_fit_is_clipped_and_counted() -> None:
    values = np.array([[-4000, 4000, 10, -8000j]], np.complex64)
    for part, n_clipped, pixels in (
        (ImagePart.REAL, 2, [0, 65535, 32868, 32768]),
        (ImagePart.IMAGINARY, 1, [32768, 32768, 32768, 0]),
        (ImagePart.MAGNITUDE, 1, [40000, 40000, 100, 65535]),
    ):
        whole = whole_numbers(values, part, 10)
        assert (whole.n_clipped, whole.pixels[0].tolist()) == (n_clipped, pixels)
