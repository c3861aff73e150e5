"""Whether lines that bring a trajectory run as a Cartesian scan's do: straight, evenly, and side by side."""

import ismrmrd
import numpy as np

from ..errors import ScanError
from ..wire.acquisitions import LAST_FLAGS

FIRST = 16  # lines of a scan that are looked at, all of them
EVERY = 64  # and one of so many later, and those that end a slice, repetition or measurement
MOST_SAMPLES_OFF = 0.5  # of the readout: a delay of the gradients is less, another spoke is more


class ParallelLines:
    """A check of the lines of one scan, whose header says that they are Cartesian.

    Looked at are the first 16 lines that bring a trajectory, each 64th later, and those that are flagged as the last of
    something. Trajectories may be in any unit, and along any axes: a readout may run either way along one direction,
    that of the first line. Where the lines lie beside each other is not looked at: their numbers tell. Trajectories of
    nothing but zeros say nothing.
    """

    def __init__(self) -> None:
        self._n_lines = 0
        self._direction: np.ndarray | None = None  # of the readout, of length 1

    def check(self, acquisition: ismrmrd.Acquisition, head: ismrmrd.AcquisitionHeader) -> None:
        """Look at the next line with a trajectory.

        Parameters
        ----------
        acquisition : ismrmrd.Acquisition
            Its `traj` is `(sample, dimension)`.
        head : ismrmrd.AcquisitionHeader
            Of the same.

        Raises
        ------
        ScanError
            Where its samples lie more than half a sample off a straight, even line along the common direction.
        """
        self._n_lines += 1
        if self._n_lines > FIRST and self._n_lines % EVERY and not head.flags & LAST_FLAGS:
            return
        with np.errstate(invalid="ignore"):  # infinite places: no number is a deviation that passes
            self._look_at(acquisition, head)

    def _look_at(self, acquisition: ismrmrd.Acquisition, head: ismrmrd.AcquisitionHeader) -> None:
        places = acquisition.traj[head.discard_pre : head.number_of_samples - head.discard_post].astype(np.float64)
        if len(places) < 2 or not places.any():
            return
        along = np.arange(len(places)) - (len(places) - 1) / 2
        step = along @ places / (along @ along)  # of a sample, by least squares
        length = float(np.linalg.norm(step))
        if length == 0:
            return
        uneven = np.abs(np.linalg.norm(places - places.mean(0) - along[:, None] * step, axis=1)).max() / length
        self._require(uneven, acquisition, "a straight line with even steps")
        direction = step / length
        if self._direction is None:
            self._direction = direction
            return
        if direction.shape != self._direction.shape:
            raise ScanError(
                f"acquisition {acquisition.scan_counter} has a trajectory of {len(direction)} dimensions, the first "
                f"line one of {len(self._direction)}; expected the same"
            )
        aside = direction - (direction @ self._direction) * self._direction
        angle = np.degrees(np.arcsin(min(1.0, float(np.linalg.norm(aside)))))
        turned = float(np.linalg.norm(aside)) * along[-1]
        self._require(
            turned, acquisition, f"the direction of the first line, to which it is turned by {angle:.3g} degrees"
        )

    def _require(self, n_off: float, acquisition: ismrmrd.Acquisition, what: str) -> None:
        if not n_off <= MOST_SAMPLES_OFF:
            raise ScanError(
                f"the trajectory of acquisition {acquisition.scan_counter} lies {n_off:.3g} samples off {what}; "
                f"expected at most {MOST_SAMPLES_OFF} in a scan whose header says that it is Cartesian"
            )
