"""The samples of a readout in the order of rising k, and which of them holds k = 0."""

import ismrmrd
import numpy as np

from ..recon.echo import find_echo
from ..wire.acquisitions import mask_of

REVERSED = mask_of(ismrmrd.ACQ_IS_REVERSE)


def forward(head: ismrmrd.AcquisitionHeader, data: np.ndarray, n_encoded: int) -> tuple[np.ndarray, int]:
    """The samples that count, in the order of rising k, and the index of k = 0 among them.

    Parameters
    ----------
    head : ismrmrd.AcquisitionHeader
        Which says how many are discarded, which way they run and which is at k = 0.
    data : ndarray
        `(channel, sample)` complex64.
    n_encoded : int
        Samples of a full readout.

    Returns
    -------
    data : ndarray
        `(channel, sample)` complex64, contiguous.
    centre : int
        As the head has it, whatever that is.
    """
    before, after, centre = head.discard_pre, head.discard_post, head.center_sample
    if before or after:
        data, centre = data[:, before : data.shape[1] - after], centre - before
    if head.flags & REVERSED:
        n_samples = data.shape[1]
        data, centre = data[:, ::-1], n_samples - 1 - centre
        if n_samples == n_encoded and centre == n_samples // 2 - 1:  # k = +N/2 is k = -N/2
            data, centre = np.roll(data, 1, axis=1), centre + 1
    return np.ascontiguousarray(data), centre


def has_room(n_samples: int, centre: int, n_encoded: int) -> bool:
    """Whether readouts fit into the encoded one.

    Parameters
    ----------
    n_samples : int
        Of a readout.
    centre : int
        The one that is said to be at k = 0.
    n_encoded : int
        Samples of a full readout, of which n_encoded // 2 is at k = 0.
    """
    first = n_encoded // 2 - centre
    return 0 <= centre < n_samples and first >= 0 and first + n_samples <= n_encoded


def echo_of(readouts: np.ndarray, n_encoded: int) -> int | None:
    """The sample with the echo.

    Parameters
    ----------
    readouts : ndarray
        `(channel, line, sample)` complex64.
    n_encoded : int
        Samples of a full readout.

    Returns
    -------
    int or None
        None where noise hides it, or the encoded readout has no room for samples around it.
    """
    n_samples = readouts.shape[-1]
    energy = np.square(readouts.view(np.float32)).reshape(-1, n_samples, 2).sum(axis=(0, 2), dtype=np.float64)
    echo = find_echo(np.arange(n_samples), energy)
    return echo.line if echo is not None and has_room(n_samples, echo.line, n_encoded) else None
