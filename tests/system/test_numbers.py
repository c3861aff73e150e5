"""Numbers as people write them."""

import pytest

from snrstream.system.numbers import three_digits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1050.4, "1050"), (-12345.0, "-12300"), (999.6, "1000"), (0.9996, "1"), (0.5, "0.5"), (0.0123456, "0.0123"),
        (0.0, "0"), (100.0, "100"), (1e30, "1e+30"), (2.5e-7, "2.5e-07"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_three_digits_are_written_without_a_power_of_ten(value, text) -> None:
    assert three_digits(value) == text
