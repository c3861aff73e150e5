"""Scans whose slices lie on each other, by all that headers say of it."""

import pytest
from ismrmrd import xsd

from snrstream.chain.pipelines import named_chain
from snrstream.errors import ScanError
from snrstream.wire.header import ScanHeader, parse_header
from snrstream.wire.multiband import require_single_band
from snrtrain.benchmarks import small_scan
from tests.full_header import full_header

MULTIBAND = "<multiband>{}<deltaKz>2</deltaKz></multiband></parallelImaging>"
FACTOR = "<multiband_factor>{}</multiband_factor>"


def with_multiband(factor: str) -> ScanHeader:
    inner = FACTOR.format(factor) if factor else ""
    return parse_header(small_scan.HEADER.decode().replace("</parallelImaging>", MULTIBAND.format(inner)))


def with_parameter(kind: str, name: str, value: str) -> ScanHeader:
    parameter = f"<userParameter{kind}><name>{name}</name><value>{value}</value></userParameter{kind}>"
    section = f"</encoding><userParameters>{parameter}</userParameters>"
    return parse_header(small_scan.HEADER.decode().replace("</encoding>", section))


def test_the_header_s_own_factor() -> None:
    for factor in ("1", "1.0", "0"):
        require_single_band(with_multiband(factor))
    for factor, told in (("2", "multiband_factor 2"), ("8.0", "multiband_factor 8"), ("two", "an unreadable factor")):
        with pytest.raises(ScanError, match=f"{told}: slices were excited together"):
            require_single_band(with_multiband(factor))
    with pytest.raises(ScanError, match="multiband_factor an unreadable factor"):
        require_single_band(with_multiband(""))
    require_single_band(parse_header(full_header()))


@pytest.mark.parametrize(
    "name",
    ["MultiBandFactor", "multiband_factor", "lMultiBandFactor", "sSliceAcceleration.lMultiBandFactor", "MB_factor",
     "MultibandAccelerationFactor", "SMS factor", "SMSFactor", "multiband", "MultiBand"],
)  # fmt: skip
def test_user_parameters_of_converters(name: str) -> None:
    for kind, one, two in (("Long", "1", "2"), ("Double", "1.0", "3.0"), ("String", "1", "4")):
        require_single_band(with_parameter(kind, name, one))
        with pytest.raises(ScanError, match=f"the user parameter '{name}' {float(two):g}"):
            require_single_band(with_parameter(kind, name, two))


@pytest.mark.parametrize(
    "name", ["SliceAccelerationFactor", "lAccelFact3D", "MultibandDistance", "EchoTrainLength", "sms_calibration_lines"]
)
def test_other_user_parameters(name: str) -> None:
    require_single_band(with_parameter("Long", name, "4"))


def test_the_scan_ends_with_the_line_and_noise_alone_does_not() -> None:
    acquisitions = list(small_scan.acquisitions())
    with pytest.raises(ScanError, match="this reconstruction does not separate them"):
        list(named_chain("grappa_snr").run(acquisitions, with_multiband("2")))
    header = with_multiband("2")
    header.measurementInformation = xsd.measurementInformationType(
        measurementID="multiband", patientPosition=xsd.patientPositionType.HFS
    )
    assert list(named_chain("default_measurement_dependencies").run(acquisitions[:1], header)) == []
