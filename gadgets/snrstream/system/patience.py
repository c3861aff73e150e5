"""How long a peer is waited for that does nothing."""

import math

PATIENCE_S = 900.0  # a scan may pause for long
SERVER_PATIENCE_S = 3600.0  # a server says nothing while it reconstructs a volume
MOST_S = 1e6


def patience(text: str) -> float:
    """Read a time.

    Parameters
    ----------
    text : str
        Seconds, above 0, to 1e6.

    Returns
    -------
    float
        In seconds.

    Raises
    ------
    ValueError
        For anything else, with a text that names it.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_S:
        raise ValueError(f"time is {text!r}; expected seconds, above 0, to 1e6")
    return seconds
