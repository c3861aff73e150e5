"""Noise that is measured behind the image data: the lines wait for it, where SNR units are wanted."""

import ismrmrd
import numpy as np
import pytest

from snrstream.errors import ScanError
from snrstream.gadgets import noise_adjust
from snrstream.gadgets.gadget import Scan
from snrstream.gadgets.gadget import run as run_gadget

NOISE, NAVIGATOR = ismrmrd.ACQ_IS_NOISE_MEASUREMENT, ismrmrd.ACQ_IS_NAVIGATION_DATA


@pytest.fixture
def brain(read_scan):
    """Header, the noise measurement in two acquisitions, and a navigator among the lines."""
    header, (noise, *lines) = read_scan("brain_16ch_r3")
    parts = [np.ascontiguousarray(part) for part in np.array_split(noise.data, 2, axis=1)]
    halves = [ismrmrd.Acquisition.from_array(part, sample_time_us=noise.sample_time_us) for part in parts]
    for half in halves:
        half.set_flag(NOISE)
    lines[7].set_flag(NAVIGATOR)
    return header, halves, lines


def adjusted(header, items, **properties):
    return list(run_gadget(noise_adjust, items, header, noise_adjust.Parameters(**properties)))


@pytest.mark.parametrize("n_before", [1, 20, None])
def test_lines_wait_for_noise_that_comes_behind_them(brain, n_before: int | None) -> None:
    header, noise, lines = brain
    waveform = ismrmrd.Waveform.from_array(np.zeros((1, 4), np.uint32))
    n_before = len(lines) if n_before is None else n_before
    expected = adjusted(header, [*noise, *lines])
    passed, *late = adjusted(header, [*lines[:n_before], waveform, *noise, *lines[n_before:]])
    assert passed is waveform  # which waits for nothing
    assert [a.getHead() for a in late] == [a.getHead() for a in expected]  # the navigator too, in its place
    assert all(np.array_equal(a.data, b.data) for a, b in zip(late, expected, strict=True))


def test_without_any_noise_the_scan_ends_with_the_error_of_old(brain) -> None:
    header, _, lines = brain
    with pytest.raises(ScanError, match="scan holds no noise measurement and names none; SNR units need one"):
        adjusted(header, lines)


def test_lines_wait_in_bounded_memory(brain, monkeypatch) -> None:
    header, noise, lines = brain
    monkeypatch.setattr(noise_adjust, "MOST_HELD_BYTES", 10 * lines[0].data.nbytes)
    assert len(adjusted(header, [*lines[:10], *noise])) == 10
    taken = []

    def stream():
        for line in lines:
            taken.append(line)
            yield line

    with pytest.raises(ScanError, match="no noise measurement and names none.* more than 0 GiB of lines have waited"):
        adjusted(header, stream())
    assert len(taken) == 11


def test_lines_that_go_on_without_noise_do_not_wait_for_it(brain) -> None:
    header, noise, lines = brain
    scan = Scan(header)
    out = adjusted(scan, [*lines, *noise], missing_noise="unwhitened")
    assert all(a is b for a, b in zip(out, lines, strict=True))
    assert scan.warnings[0].startswith("NOT IN SNR UNITS") and "arrived after image data: not used" in scan.warnings[1]


def test_a_scan_whose_noise_comes_first_never_waits(brain) -> None:
    header, noise, lines = brain
    taken = []

    def stream():
        for item in [*noise, *lines]:
            taken.append(item)
            yield item

    waited = [len(taken) for _ in run_gadget(noise_adjust, stream(), header, noise_adjust.Parameters())]
    assert waited == list(range(3, 3 + len(lines)))
