"""Headers, acquisitions and images between MRD v2 and ISMRMRD."""

import dataclasses
import datetime
import enum
import typing

import ismrmrd
import mrd
import numpy as np
import pytest
from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

from snrstream.errors import ProtocolError, ScanError
from snrstream.wire.header import parse_header
from snrstream.wire.v2.header import header_of, plain
from snrstream.wire.v2.items import acquisition_of, image_item
from tests import mrd2_streams


def test_the_header_of_a_real_scan(read_scan) -> None:
    """v2's float32 do not show: a bandwidth of 0.93 stays 0.93."""
    header, _ = read_scan("brain_16ch_r3")
    found = header_of(mrd2_streams.read(mrd2_streams.written(mrd2_streams.header_of(header), []))[0])
    assert found == header
    assert parse_header(found.toXML()) == header


def test_every_field_of_the_header_has_its_counterpart() -> None:
    """Both schemas hold the same tree, so that nothing of a v1 header can go missing."""
    pairs, seen = [(mrd.Header, xsd.ismrmrdHeader)], set()
    while pairs:
        source, kind = pairs.pop()
        seen.add(kind)
        theirs = {plain(name): hint for name, hint in typing.get_type_hints(source).items()}
        ours = {plain(field.name): typing.get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)}
        assert ours.keys() == theirs.keys(), kind
        for name, hint in ours.items():
            if dataclasses.is_dataclass(_inner(hint)) and _inner(hint) not in seen:
                pairs.append((_inner(theirs[name]), _inner(hint)))
            elif issubclass(_inner(hint), enum.Enum):
                words = {plain(member.name) for member in _inner(theirs[name])} - {"noacceleration"}
                assert words == {plain(member.name) for member in _inner(hint)}
    every = [one for one in vars(xsd).values() if isinstance(one, type) and dataclasses.is_dataclass(one)]
    assert seen == set(every)


def test_values_of_every_kind() -> None:
    user = mrd.UserParametersType(
        user_parameter_long=[mrd.UserParameterLongType(name="n", value=-(1 << 40))],
        user_parameter_double=[mrd.UserParameterDoubleType(name="x", value=0.1)],
        user_parameter_base64=[mrd.UserParameterBase64Type(name="b", value="aGVsbG8=")],
    )
    found = header_of(
        mrd.Header(
            version=2,
            subject_information=mrd.SubjectInformationType(
                patient_birthdate=datetime.date(1970, 1, 2), patient_gender=mrd.PatientGender.F
            ),
            study_information=mrd.StudyInformationType(study_time=mrd.Time.parse("16:41:28.5")),
            measurement_information=mrd.MeasurementInformationType(
                patient_position=mrd.PatientPosition.F_FDR,
                measurement_dependency=[mrd.MeasurementDependencyType(dependency_type="Noise", measurement_id="7")],
            ),
            encoding=[
                mrd.EncodingType(
                    trajectory=mrd.Trajectory.SPIRAL,
                    parallel_imaging=mrd.ParallelImagingType(
                        calibration_mode=mrd.CalibrationMode.NOACCELERATION,
                        interleaving_dimension=mrd.InterleavingDimension.REPETITION,
                    ),
                    echo_train_length=3,
                )
            ],
            sequence_parameters=mrd.SequenceParametersType(
                t_r=[6.3, 10.0], diffusion_dimension=mrd.DiffusionDimension.USER_3
            ),
            user_parameters=user,
        )
    )
    assert found.version == 2 and found.encoding[0].echoTrainLength == 3
    assert found.subjectInformation.patientBirthdate == XmlDate(1970, 1, 2)
    assert found.subjectInformation.patientGender == "F"
    assert found.studyInformation.studyTime == XmlTime(16, 41, 28, 500_000_000)
    assert found.measurementInformation.patientPosition == xsd.patientPositionType.FFDR
    (dependency,) = found.measurementInformation.measurementDependency
    assert (dependency.dependencyType, dependency.measurementID) == ("Noise", "7")
    assert found.encoding[0].trajectory == xsd.trajectoryType.SPIRAL
    assert found.encoding[0].parallelImaging.calibrationMode is None
    assert found.encoding[0].parallelImaging.interleavingDimension.value == "repetition"
    assert found.sequenceParameters.TR == [6.3, 10.0]
    assert found.sequenceParameters.diffusionDimension.value == "user_3"
    assert [p.value for p in found.userParameters.userParameterLong] == [-(1 << 40)]
    assert [p.value for p in found.userParameters.userParameterDouble] == [0.1]
    assert [p.value for p in found.userParameters.userParameterBase64] == [b"hello"]


def test_what_ismrmrd_has_no_word_for_is_left_out() -> None:
    found = header_of(
        mrd.Header(
            measurement_information=mrd.MeasurementInformationType(patient_position=mrd.PatientPosition(99)),
            subject_information=mrd.SubjectInformationType(patient_gender=mrd.PatientGender(5)),
            encoding=[mrd.EncodingType(trajectory=mrd.Trajectory(17))],
            user_parameters=mrd.UserParametersType(
                user_parameter_base64=[mrd.UserParameterBase64Type(name="b", value="a")]
            ),
        )
    )
    header = parse_header(found.toXML())
    assert header.measurementInformation.patientPosition is None and header.subjectInformation.patientGender is None
    assert header.encoding[0].trajectory == xsd.trajectoryType.OTHER
    assert [parameter.value for parameter in header.userParameters.userParameterBase64] == [b"a"]
    told = [text for text in header.warnings if "expected one of" in text]
    assert [text.split()[2] for text in told] == [
        "subjectInformation.patientGender", "measurementInformation.patientPosition", "encoding.trajectory",
    ]  # fmt: skip


def test_an_acquisition_with_all_it_can_have() -> None:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 8)).astype(np.complex64)
    trajectory = rng.standard_normal((2, 8)).astype(np.float32)
    counters = mrd2_counters(1, 2, 3, 4, 5, 6, 7, 8, 9)
    vectors = {name: rng.standard_normal(3).astype(np.float32) for name in VECTORS}
    found = acquisition_of(
        mrd.Acquisition(
            head=mrd.AcquisitionHeader(
                flags=mrd.AcquisitionFlags((1 << 63) + (0xF << 52) + 5),  # 53 to 56: compressed, which v2 is not
                idx=mrd.EncodingCounters(**counters, user=[1, 65535]),
                measurement_uid=1 << 31,
                scan_counter=11,
                acquisition_time_stamp=12,
                physiology_time_stamp=[13, 14],
                discard_pre=1,
                discard_post=2,
                center_sample=3,
                encoding_space_ref=1,
                sample_time_us=2.5,
                user_int=[-5],
                user_float=[0.5, float("nan")],
                **vectors,
            ),
            data=data,
            trajectory=trajectory,
        )
    )
    head = found.getHead()
    assert (head.version, head.flags, head.measurement_uid, head.scan_counter) == (1, (1 << 63) + 5, 1 << 31, 11)
    assert (head.discard_pre, head.discard_post, head.center_sample, head.encoding_space_ref) == (1, 2, 3, 1)
    assert (head.number_of_samples, head.active_channels, head.trajectory_dimensions) == (8, 3, 2)
    assert head.acquisition_time_stamp == 12 and list(head.physiology_time_stamp) == [13, 14, 0]
    assert head.sample_time_us == 2.5 and head.user_int[0] == -5 and head.user_float[0] == 0.5
    assert {name: getattr(head.idx, name) for name in counters} == counters and list(head.idx.user[:3]) == [1, 65535, 0]
    for name, vector in vectors.items():
        np.testing.assert_array_equal(np.array(getattr(head, name)), vector)
    np.testing.assert_array_equal(found.data, data)
    np.testing.assert_array_equal(found.traj, trajectory.T)
    again = ismrmrd.Acquisition.from_bytes(found.to_bytes())
    np.testing.assert_array_equal(again.data, data)


def test_what_an_acquisition_leaves_out_is_0_and_its_centre_the_middle() -> None:
    found = acquisition_of(mrd.Acquisition(data=np.ones((2, 9), np.complex64))).getHead()
    expected = ismrmrd.AcquisitionHeader()
    expected.version, expected.number_of_samples, expected.center_sample = 1, 9, 4
    expected.available_channels = expected.active_channels = 2
    assert bytes(found) == bytes(expected)


@pytest.mark.parametrize(
    ("head", "match"),
    [
        ({"discard_pre": 65536}, "discard_pre of an MRD v2 acquisition is 65536"),
        ({"idx": mrd.EncodingCounters(repetition=65536)}, "repetition of an MRD v2 acquisition is 65536"),
        ({"idx": mrd.EncodingCounters(user=[0, 70000])}, r"user of an MRD v2 acquisition is \[0, 70000\]"),
        ({"user_int": list(range(9))}, "user_int of an MRD v2 acquisition"),
    ],
)
def test_numbers_that_ismrmrd_has_no_room_for(head: dict, match: str) -> None:
    with pytest.raises(ScanError, match=match):
        acquisition_of(mrd.Acquisition(head=mrd.AcquisitionHeader(**head), data=np.ones((1, 4), np.complex64)))


def test_a_trajectory_of_another_length() -> None:
    data, trajectory = np.ones((1, 4), np.complex64), np.ones((2, 5), np.float32)
    with pytest.raises(ScanError, match="4 samples and a trajectory of 5"):
        acquisition_of(mrd.Acquisition(data=data, trajectory=trajectory))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "float32", "float64", "complex64", "complex128"])
def test_an_image_of_every_type(dtype: str) -> None:
    head = ismrmrd.ImageHeader(
        flags=1 << 5, measurement_uid=1, average=2, slice=3, contrast=4, phase=5, repetition=6, set=7,
        acquisition_time_stamp=8, image_type=ismrmrd.IMTYPE_COMPLEX, image_index=9, image_series_index=10,
    )  # fmt: skip
    for number, name in enumerate((*VECTORS, "field_of_view"), 1):
        setattr(head, name, (number, number + 0.1, number + 0.2))
    head.physiology_time_stamp[2], head.user_int[7], head.user_float[7] = 11, -12, 0.25
    pixels = (np.arange(120).reshape(2, 3, 4, 5) + 300).astype(dtype)
    image = ismrmrd.Image(head, data=pixels)
    image.meta = {"one": "1", "list": ["a", "b"]}
    _, (item,) = mrd2_streams.read(mrd2_streams.written(None, [image_item(image)]))
    found = item.value.head
    assert item.value.data.dtype == pixels.dtype and item.value.data.tobytes() == pixels.tobytes()
    assert found.flags == mrd.ImageFlags.LAST_IN_AVERAGE and found.image_type == mrd.ImageType.COMPLEX
    counters = (found.average, found.slice, found.contrast, found.phase, found.repetition, found.set)
    assert (found.measurement_uid, *counters) == (1, 2, 3, 4, 5, 6, 7)
    assert (found.acquisition_time_stamp, found.image_index, found.image_series_index) == (8, 9, 10)
    assert found.physiology_time_stamp == [0, 0, 11] and found.user_int[7] == -12 and found.user_float[7] == 0.25
    names = {"read_dir": "col_dir", "phase_dir": "line_dir"}
    for name in (*VECTORS, "field_of_view"):
        assert tuple(getattr(found, names.get(name, name))) == tuple(getattr(head, name))
    assert item.value.meta == {
        "one": [mrd.ImageMetaValue.String("1")],
        "list": [mrd.ImageMetaValue.String("a"), mrd.ImageMetaValue.String("b")],
    }


def test_an_image_of_a_type_that_version_2_lacks() -> None:
    with pytest.raises(ProtocolError, match="image of int64 cannot be written as MRD v2"):
        image_item(ismrmrd.Image(data=np.zeros((1, 1, 1, 1), np.int64)))


VECTORS = ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")


def mrd2_counters(*values: int) -> dict[str, int]:
    names = ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase", "repetition",
             "set", "segment")  # fmt: skip
    return dict(zip(names, values, strict=True))


def _inner(hint: typing.Any) -> typing.Any:
    """The type in a list or beside None."""
    while arguments := [one for one in typing.get_args(hint) if isinstance(one, type) and one is not type(None)]:
        hint = arguments[0]
    return hint
