"""What a header says of the readouts of an EPI scan."""

import math

import pytest
from ismrmrd import xsd

from snrstream.recon.epi import Trapezoid
from snrstream.wire.trapezoid import is_epi, number_of_navigators, readout_trapezoid
from tests.scans import NO_HEADER, header


def described(trajectory="epi", **values: float) -> xsd.ismrmrdHeader:
    made = header((1, 64, 64))
    made.encoding[0].trajectory = xsd.trajectoryType(trajectory)
    made.encoding[0].trajectoryDescription = xsd.trajectoryDescriptionType(
        identifier="ConventionalEPI",
        userParameterLong=[xsd.userParameterLongType(name=n, value=v) for n, v in values.items() if n != "dwellTime"],
        userParameterDouble=[
            xsd.userParameterDoubleType(name=n, value=v) for n, v in values.items() if n == "dwellTime"
        ],
    )
    return made


RAMPS = {"rampUpTime": 100, "flatTopTime": 300, "rampDownTime": 120}


def test_the_trajectory() -> None:
    assert is_epi(described()) and not is_epi(described("cartesian")) and not is_epi(NO_HEADER)
    assert number_of_navigators(described(numberOfNavigators=3)) == 3
    assert number_of_navigators(described(numberOfNavigators=-1)) == number_of_navigators(NO_HEADER) == 0


def test_a_ramp_sampled_readout() -> None:
    expected = Trapezoid(100.0, 300.0, 120.0, 4.0)
    assert readout_trapezoid(described(**RAMPS, dwellTime=4.0), 128, 5.0) == (expected, "")
    assert readout_trapezoid(described(**RAMPS), 128, 4.0) == (expected, "")
    assert readout_trapezoid(described(**RAMPS, dwellTime=8.0), 128, 4.0) == (expected, "")  # of fewer samples


@pytest.mark.parametrize(
    ("values", "n_samples"),
    [({}, 128), ({"flatTopTime": 300}, 128), (RAMPS, 75), ({"numSamples": 128, "dwellTime": 4.0}, 128)],
)
def test_an_even_readout(values: dict, n_samples: int) -> None:
    """Also within a lobe whose ramps are not sampled."""
    assert readout_trapezoid(described(**values), n_samples, 4.0) == (None, "")


@pytest.mark.parametrize(
    ("values", "n_samples", "dwell_us"),
    [
        (RAMPS, 131, 4.0),
        (RAMPS, 128, 0.0),
        (RAMPS, 128, math.nan),
        ({**RAMPS, "rampUpTime": -1}, 128, 4.0),
        ({**RAMPS, "rampUpTime": None}, 128, 4.0),
    ],
)
def test_a_description_that_cannot_be_used(values: dict, n_samples: int, dwell_us: float) -> None:
    trapezoid, fault = readout_trapezoid(described(**values), n_samples, dwell_us)
    assert trapezoid is None and fault
    assert readout_trapezoid(header((1, 64, 64)), 128, 4.0) == (None, "the header describes no readout gradient")
