"""Acquisitions in NHLBI's compression, as `gadgetron_ismrmrd_client` sends them with `-P` or `-T`.

Behind header and trajectory: how many bytes follow (uint32); how many numbers they hold (uint64), scale (float32) and
bits (uint8); then the numbers, real and imaginary parts in turn: integers in two's complement of so many bits each, the
first in the lowest bits of the first byte, without gaps. A number is its integer divided by the scale. An acquisition
without samples ends with its trajectory.

References: NHLBICompression.h, CompressedFloatBuffer.cpp and GadgetIsmrmrdReader.cpp of Gadgetron 4.7.
"""

import math
import struct

import ismrmrd
import numpy as np

from ..errors import ProtocolError
from .acquisitions import COMPRESSED_FLAGS, acquisition_of, mask_of
from .sizes import ACQUISITION_SHAPE, ACQUISITION_START, U32, Limits, too_long

PACKED_HEAD = struct.Struct("<QfB")  # numbers, scale, bits
MOST_BITS = 31
OTHERS = {
    ismrmrd.ACQ_COMPRESSION1: "ACQ_COMPRESSION1, ZFP: the client's option -Z",
    ismrmrd.ACQ_COMPRESSION3: "ACQ_COMPRESSION3, which Gadgetron does not use",
    ismrmrd.ACQ_COMPRESSION4: "ACQ_COMPRESSION4, which Gadgetron does not use",
}


def compressed_size(view: memoryview, limits: Limits) -> int:
    """Bytes of the acquisition message that `view` begins with its id and whole header, or as much as tells more.

    Raises ProtocolError for any other compression than NHLBI's, for lengths that do not fit the header or each other,
    and for samples beyond `limits`.
    """
    flags, samples, channels, dimensions = ACQUISITION_SHAPE.unpack_from(view)
    for flag, name in OTHERS.items():
        if flags & mask_of(flag):
            raise ProtocolError(
                f"acquisition message is compressed ({name}); expected plain samples or ACQ_COMPRESSION2 (-P or -T)"
            )
    n_trajectory: int = 4 * samples * dimensions
    n_numbers: int = 2 * samples * channels
    if n_trajectory + 4 * n_numbers > limits.data:
        raise too_long("acquisition message", n_trajectory + 4 * n_numbers, limits.data)
    start = ACQUISITION_START + n_trajectory
    if n_numbers == 0:
        return start
    packed = start + U32.size + PACKED_HEAD.size
    if len(view) < packed:
        return packed
    n_bytes: int = U32.unpack_from(view, start)[0]
    found, scale, bits = PACKED_HEAD.unpack_from(view, start + U32.size)
    if found != n_numbers or not 1 <= bits <= MOST_BITS or not 0 < scale < math.inf:
        raise ProtocolError(
            f"acquisition message (ACQ_COMPRESSION2) holds {found} numbers of {bits} bits by {scale:g}; expected "
            f"{n_numbers} of 1 to {MOST_BITS} bits by a positive scale"
        )
    expected = PACKED_HEAD.size + math.ceil(np.float32(bits * n_numbers) / np.float32(8))  # float32, as they count
    if n_bytes != expected:
        raise ProtocolError(f"acquisition message (ACQ_COMPRESSION2) has {n_bytes} packed bytes; expected {expected}")
    return start + U32.size + n_bytes


def read_compressed(view: memoryview) -> ismrmrd.Acquisition:
    """The acquisition of a whole message, whose size `compressed_size` has told; no longer flagged as compressed."""
    _, samples, channels, dimensions = ACQUISITION_SHAPE.unpack_from(view)
    head = ismrmrd.AcquisitionHeader.from_buffer_copy(view, 2)
    head.flags &= ~COMPRESSED_FLAGS
    end = ACQUISITION_START + 4 * samples * dimensions
    trajectory = np.frombuffer(bytearray(view[ACQUISITION_START:end]), np.float32)
    data = np.empty(0, np.float32)
    if samples * channels:
        start = end + U32.size
        data = _unpacked(view[start + PACKED_HEAD.size :], *PACKED_HEAD.unpack_from(view, start))
    return acquisition_of(
        head, data.view(np.complex64).reshape(channels, samples), trajectory.reshape(samples, dimensions)
    )


def _unpacked(packed: memoryview, n_numbers: int, scale: float, bits: int) -> np.ndarray:
    """Eight numbers fill a whole count of bytes, so the first of each eight all lie alike, and so on."""
    n_eights = -(-n_numbers // 8)
    padded = np.zeros(n_eights * bits + 8, np.uint8)
    n_bytes = min(len(packed), len(padded))
    padded[:n_bytes] = packed[:n_bytes]
    integers = np.empty((n_eights, 8), np.int32)
    for place in range(8):
        byte, bit = divmod(place * bits, 8)
        words = np.ndarray(n_eights, np.dtype("<u8"), padded.data, byte, (bits,))
        integers[:, place] = (words << np.uint64(64 - bits - bit)).view(np.int64) >> (64 - bits)
    with np.errstate(over="ignore"):
        return integers.ravel()[:n_numbers].astype(np.float32) / np.float32(scale)
