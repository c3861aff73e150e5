"""The strongest line, on shipped scans and where it must not be found."""

import math

import ismrmrd
import numpy as np
import pytest

from snrstream.recon.echo import energy_along, find_echo


def energies(acquisitions) -> tuple[np.ndarray, np.ndarray]:
    """Of the lines of a scan, around the middle of the readout."""
    by_line = {
        a.idx.kspace_encode_step_1: np.square(np.abs(a.data[:, 56:72])).sum()
        for a in acquisitions
        if not a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    }
    numbers = np.array(sorted(by_line))
    return numbers, np.array([by_line[n] for n in numbers.tolist()])


@pytest.mark.parametrize(("scan", "spacing"), [("brain_16ch_r1", 1), ("brain_16ch_r3", 1)])
@pytest.mark.parametrize("extent", [(0, 128), (0, 77), (52, 128), (32, 128)])
def test_a_real_head(read_scan, scan: str, spacing: int, extent: tuple[int, int]) -> None:
    """Whole, or cut at either side: its echo is a line off k = 0, which is 64."""
    numbers, energy = energies(read_scan(scan)[1])
    kept = (numbers >= extent[0]) & (numbers < extent[1])
    echo = find_echo(numbers[kept], energy[kept])
    assert echo is not None and (echo.line, echo.spacing) == (63, spacing)


def test_a_head_that_ends_before_its_echo(read_scan) -> None:
    numbers, energy = energies(read_scan("brain_16ch_r1")[1])
    for stop in range(20, 63):
        assert find_echo(numbers[:stop], energy[:stop]) is None


@pytest.mark.parametrize("n_channels", [1, 8])
@pytest.mark.parametrize("n_lines", [16, 64, 300])
def test_noise_has_no_echo(n_channels: int, n_lines: int) -> None:
    """The energy of 16 samples of a channel is a sum of 32 squares."""
    rng = np.random.default_rng(n_lines + n_channels)
    for _ in range(200):
        assert find_echo(np.arange(n_lines), rng.chisquare(32 * n_channels, n_lines)) is None


def test_too_few_lines_and_lines_without_energy_have_no_echo() -> None:
    assert find_echo(np.arange(4), np.array([1.0, 100, 10, 1])) is None
    assert find_echo(np.arange(64), np.zeros(64)) is None
    assert find_echo(np.arange(64), np.full(64, 7.0)) is None


@pytest.mark.parametrize("centre", [12, 30, 51])
def test_a_spike_is_no_echo(centre: int) -> None:
    """One right beside the echo passes for it."""
    numbers = np.arange(64)
    energy = 1e4 / (1 + np.abs(numbers - centre)) ** 2.0
    for spike in range(64):
        spiked = energy.copy()
        spiked[spike] += 1e9
        echo = find_echo(numbers, spiked)
        assert echo is not None and abs(echo.line - centre) <= (2 if abs(spike - centre) <= 2 else 0)


def test_energy_along_each_axis_does_not_count_the_lines() -> None:
    """Calibration lines make some partitions fuller than others."""
    lines = np.array([(z, y) for z in range(8) for y in range(16) if (y + z) % 2 == 0 or 4 <= y < 12])
    energy = np.array([1 / (1 + math.hypot(z - 3, y - 8)) ** 2 for z, y in lines.tolist()])
    for axis, centre, size in ((0, 3, 8), (1, 8, 16)):
        numbers, along = energy_along(lines, energy, axis)
        assert numbers.tolist() == list(range(size)) and numbers[along.argmax()] == centre
    numbers, along = energy_along(lines, np.ones(len(lines)), 1)
    assert np.array_equal(along, np.ones(16))
