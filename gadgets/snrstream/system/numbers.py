"""Numbers for people."""

import math


def three_digits(value: float) -> str:
    """A number to three significant digits: 1050 in place of 1.05e+03. Only far from 1 with a power of ten."""
    if not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    n_decimals = 2 - math.floor(math.log10(abs(value)))
    text = f"{round(value, n_decimals):.{max(0, n_decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
