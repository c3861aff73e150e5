"""Which image a line belongs to, and whether it makes one."""

import ismrmrd

from ..wire.acquisitions import BOTH, CALIBRATION, NOT_IMAGE_FLAGS

Key = tuple[int, int, int, int, int, int]  # encoding, slice, contrast, phase, set, repetition


def key_of(head: ismrmrd.AcquisitionHeader) -> Key:
    """Tell the image that a line belongs to: its encoding, slice, contrast, phase, set and repetition."""
    idx = head.idx
    return head.encoding_space_ref, idx.slice, idx.contrast, idx.phase, idx.set, idx.repetition


def makes_image(flags: int) -> bool:
    """Tell whether a line is one of an image, and not of its calibration alone, or a navigator.

    Parameters
    ----------
    flags : int
        Of its header.
    """
    return not flags & NOT_IMAGE_FLAGS and (not flags & CALIBRATION or bool(flags & BOTH))
