"""The samples of a readout in the order of rising k, and which of them holds k = 0."""

import ismrmrd
import numpy as np

from ..recon.echo import find_echo
from ..wire.acquisitions import REVERSED

LEAST_OFF, SHARE_OFF = 4, 1 / 16  # samples, and the share of a full readout, by which the echo may lie off k = 0
TIMES_STRONGER = 4.0  # than the sample that is said to be at k = 0, an echo further away is


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


def echo_of(readouts: np.ndarray, told: int | None, n_encoded: int) -> int | None:
    """The sample with the echo.

    Parameters
    ----------
    readouts : ndarray
        `(channel, line, sample)` complex64.
    told : int or None
        The sample that is said to be at k = 0, where there is room for that. Unless it is the first or the last, which
        a writer leaves that does not know it, the echo may lie so far from it as phase of the object moves it.
    n_encoded : int
        Samples of a full readout.

    Returns
    -------
    int or None
        That which was told, where the data agrees. None where noise hides the echo, or the encoded readout has no room
        for samples around it.
    """
    n_samples = readouts.shape[-1]
    energy = np.square(readouts.view(np.float32)).reshape(-1, n_samples, 2).sum(axis=(0, 2), dtype=np.float64)
    echo = find_echo(np.arange(n_samples), energy)
    if echo is None or not has_room(n_samples, echo.line, n_encoded):
        return None
    if told is None or told in (0, n_samples - 1):
        return echo.line
    near = [energy[max(0, sample - 1) : sample + 2].max() for sample in (told, echo.line)]
    is_far = abs(echo.line - told) > max(LEAST_OFF, SHARE_OFF * n_encoded)
    return echo.line if is_far and near[1] > TIMES_STRONGER * near[0] else told
