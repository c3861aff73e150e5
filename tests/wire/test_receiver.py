"""The receivers' noise bandwidth, and what a vendor's header lets guess."""

import re

import ismrmrd
import numpy as np
import pytest

from snrstream.gadgets import noise_adjust
from snrstream.gadgets.gadget import Scan, run
from snrstream.wire.header import parse_header
from snrstream.wire.receiver import noise_bandwidth_ratio, noise_bandwidth_warnings
from snrtrain.benchmarks import small_scan

SYSTEM = "<acquisitionSystemInformation>{}</acquisitionSystemInformation>"


def header(fields: str):
    xml = small_scan.HEADER.decode()
    start, end = xml.index("<acquisitionSystem"), xml.index("<experimental")
    return parse_header(xml[:start] + fields + xml[end:])


def vendor(name: str, ratio: str = "") -> str:
    ratio = ratio and f"<relativeReceiverNoiseBandwidth>{ratio}</relativeReceiverNoiseBandwidth>"
    return SYSTEM.format(f"<systemVendor>{name}</systemVendor>{ratio}")


@pytest.mark.parametrize(
    ("fields", "ratio", "told"),
    [
        (vendor("SIEMENS", "0.93"), 0.93, None),
        (vendor("GE MEDICAL SYSTEMS", "0.793"), 0.793, None),
        (vendor("SIEMENS"), 0.793, None),
        (vendor("Siemens Healthineers"), 0.793, None),
        (vendor("GE MEDICAL SYSTEMS"), 1.0, r"lacks .*\(vendor GE MEDICAL SYSTEMS\)"),
        (vendor("Philips"), 1.0, r"lacks .*\(vendor Philips\)"),
        (vendor(""), 1.0, r"lacks .*\(vendor unknown\)"),
        ("", 1.0, r"lacks .*\(vendor unknown\)"),
        (vendor("SIEMENS", "-1"), 0.793, "has -1 for"),
        (vendor("SIEMENS", "0"), 0.793, "has 0 for"),
        (vendor("UIH", "93"), 1.0, "has 93 for"),
        (vendor("UIH", "nan"), 1.0, "lacks"),
    ],
)
def test_the_ratio_and_whether_it_is_a_guess(fields: str, ratio: float, told: str | None) -> None:
    found = header(fields)
    assert noise_bandwidth_ratio(found) == ratio
    lines = noise_bandwidth_warnings(found)
    assert len(lines) == (told is not None)
    assert all(re.search(f"{told}.* {ratio:g} is taken", line) for line in lines)


def test_noise_of_data_from_the_same_filter_is_white_with_sd_1_and_the_guess_is_told() -> None:
    """As of GE: noise and data have the same dwell time, and come through the same receiver."""
    rng = np.random.default_rng(0)
    noise, line = (
        ismrmrd.Acquisition.from_array(
            (rng.standard_normal((2, n)) + 1j * rng.standard_normal((2, n))).astype(np.complex64), sample_time_us=5.0
        )
        for n in (60_000, 50_000)
    )
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    scan = Scan(header(vendor("GE MEDICAL SYSTEMS")))
    (white,) = run(noise_adjust, [noise, line], scan)
    assert np.std(white.data.view(np.float32)) == pytest.approx(1, abs=0.01)  # 200000 numbers: 0.2 %
    assert [text for text in scan.warnings if "relativeReceiverNoiseBandwidth" in text and "1 is taken" in text]
