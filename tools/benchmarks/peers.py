"""Other people's packages at the same work; a peer that is not installed is left out."""

import time

import numpy as np
from torch import Tensor


def cgrappa_seconds(kspace: Tensor, acs: Tensor, acceleration: int) -> float | None:
    """Seconds in which pygrappa's cgrappa fills one 2D k-space `(channel, 1, e1, ro)`, kernel (5, 5)."""
    try:
        from pygrappa import cgrappa
    except ImportError:
        return None
    undersampled = np.ascontiguousarray(kspace[:, 0].numpy().astype(np.complex128))
    calibration = np.ascontiguousarray(acs[:, 0].numpy().astype(np.complex128))
    start = time.perf_counter()
    cgrappa(undersampled, calibration, kernel_size=(5, 5), coil_axis=0)
    return time.perf_counter() - start
