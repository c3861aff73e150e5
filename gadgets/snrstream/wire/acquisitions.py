"""Acquisition headers without copies: ismrmrd's `getHead` makes a deep one, which takes longer than whitening.

And the masks of flags that more than one gadget asks for.
"""

import ismrmrd
import numpy as np


def head_of(acquisition: ismrmrd.Acquisition) -> ismrmrd.AcquisitionHeader:
    """Give the acquisition's own header, without a copy.

    Parameters
    ----------
    acquisition : ismrmrd.Acquisition
        Whose header it is.

    Returns
    -------
    ismrmrd.AcquisitionHeader
        To read, not to change.
    """
    return acquisition._head


def acquisition_of(head: ismrmrd.AcquisitionHeader, data: np.ndarray, trajectory: np.ndarray) -> ismrmrd.Acquisition:
    """Make `ismrmrd.Acquisition(head, data, trajectory)`, whose constructor defines three functions at every call.

    Parameters
    ----------
    head : ismrmrd.AcquisitionHeader
        Its counts must be those of the arrays, which are not looked at.
    data : np.ndarray
        Samples `(channel, ro)` complex64, shared.
    trajectory : np.ndarray
        Points `(ro, dimension)` float32, shared.

    Returns
    -------
    ismrmrd.Acquisition
        With these very objects.
    """
    acquisition = object.__new__(ismrmrd.Acquisition)
    acquisition.__dict__.update(_head=head, _Acquisition__data=data, _Acquisition__traj=trajectory)
    return acquisition


def with_data(acquisition: ismrmrd.Acquisition, data: np.ndarray) -> ismrmrd.Acquisition:
    """Put other samples under the header of an acquisition.

    Parameters
    ----------
    acquisition : ismrmrd.Acquisition
        Whose header and trajectory are shared.
    data : np.ndarray
        Samples of the same shape, `(channel, ro)` complex64.

    Returns
    -------
    ismrmrd.Acquisition
        A new one; the given one stays as it is.
    """
    return acquisition_of(head_of(acquisition), data, acquisition.traj)


def mask_of(*flags: int) -> int:
    """Make a mask for `head.flags & mask`.

    Parameters
    ----------
    *flags : int
        As ismrmrd counts them, from 1.

    Returns
    -------
    int
        With the bit of each flag.
    """
    return sum(1 << (flag - 1) for flag in flags)


CALIBRATION = mask_of(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
BOTH = mask_of(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)  # a line of an image and of its calibration
REVERSED = mask_of(ismrmrd.ACQ_IS_REVERSE)
LAST_IN_SLICE = mask_of(ismrmrd.ACQ_LAST_IN_SLICE)
LAST_FLAGS = mask_of(ismrmrd.ACQ_LAST_IN_SLICE, ismrmrd.ACQ_LAST_IN_REPETITION, ismrmrd.ACQ_LAST_IN_MEASUREMENT)
NOISE_FLAG = mask_of(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
NAVIGATOR_FLAG = mask_of(ismrmrd.ACQ_IS_PHASECORR_DATA)
COMPRESSED_FLAGS = mask_of(*range(ismrmrd.ACQ_COMPRESSION1, ismrmrd.ACQ_COMPRESSION4 + 1))
NOT_IMAGE_FLAGS = mask_of(
    ismrmrd.ACQ_IS_NAVIGATION_DATA,
    ismrmrd.ACQ_IS_PHASECORR_DATA,
    ismrmrd.ACQ_IS_HPFEEDBACK_DATA,
    ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
    ismrmrd.ACQ_IS_RTFEEDBACK_DATA,
    ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA,
    ismrmrd.ACQ_IS_PHASE_STABILIZATION_REFERENCE,
    ismrmrd.ACQ_IS_PHASE_STABILIZATION,
)
