"""Channels of a noise measurement and of the scan that names it."""

import dataclasses

import numpy as np
import pytest

from snrstream.errors import ScanError

from ..noise_measurements import assert_same, noise_measurement

NAMES = ("A", "B", "C", "D")


def test_channels_are_matched_by_label() -> None:
    noise = noise_measurement(labels=NAMES)
    order = [2, 0, 3, 1]
    matched = noise.matched([NAMES[n] for n in order], 4)
    assert matched.labels == ("C", "A", "D", "B")
    for i, row in enumerate(order):
        for j, column in enumerate(order):
            assert matched.covariance[i, j] == noise.covariance[row, column]


def test_channels_that_the_scan_does_not_have_are_left_out() -> None:
    noise = noise_measurement(labels=NAMES)
    matched = noise.matched(["D", "B"], 2)
    assert np.array_equal(matched.covariance, noise.covariance[np.ix_([3, 1], [3, 1])])


@pytest.mark.parametrize("labels", [(), ("A", "A", "B", "C"), ("", "", "", ""), ("A", "B", "C")])
def test_without_a_name_for_each_channel_the_order_counts(labels: tuple[str, ...]) -> None:
    noise = noise_measurement(labels=NAMES)
    assert_same(noise.matched(labels, 4), noise)
    with pytest.raises(ScanError, match="it has 4 channels and the scan has 5"):
        noise.matched(labels, 5)
    nameless = noise_measurement()
    assert_same(nameless.matched(NAMES[::-1], 4), nameless)


def test_a_channel_without_noise_is_named() -> None:
    with pytest.raises(ScanError, match="it lacks the scan's channels 'E'$"):
        noise_measurement(labels=NAMES).matched(["A", "B", "C", "E"], 4)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"covariance": np.zeros((2, 3), complex)}, r"shape \(2, 3\)"),
        ({"covariance": np.zeros((0, 0), complex)}, "shape"),
        ({"covariance": np.eye(4)}, "holds float64"),
        ({"covariance": np.full((4, 4), np.nan + 0j)}, "not E"),
        ({"covariance": np.full((4, 4), 1e308 + 1e308j)}, "not E"),
        ({"covariance": np.triu(np.ones((4, 4))).astype(complex)}, "not E"),
        ({"covariance": -np.eye(4, dtype=complex)}, "not E"),
        ({"covariance": 1e40 * np.eye(4, dtype=complex)}, "variance of 1e\\+40; expected at most 1e\\+36"),
        ({"n_samples": 4}, "has 4 samples"),
        ({"dwell_us": -1.0}, "dwell time of -1"),
        ({"bandwidth_ratio": float("nan")}, "bandwidth ratio nan"),
        ({"labels": ("A",)}, "1 labels for 4 channels"),
    ],
)
def test_what_is_no_noise_measurement(changes: dict, match: str) -> None:
    with pytest.raises(ScanError, match=match):
        dataclasses.replace(noise_measurement(), **changes)
