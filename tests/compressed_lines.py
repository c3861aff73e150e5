"""Acquisitions in NHLBI's compression, written by the description of the format."""

import struct

import ismrmrd
import numpy as np


def compressed(acquisition: ismrmrd.Acquisition, bits: int = 16) -> bytes:
    """The whole message as `gadgetron_ismrmrd_client -P bits` sends it: integers up to the largest that `bits` hold."""
    head = acquisition.getHead()
    head.flags |= 1 << (ismrmrd.ACQ_COMPRESSION2 - 1)
    message = struct.pack("<H", 1008) + bytes(head) + acquisition.traj.astype(np.float32).tobytes()
    numbers = np.ascontiguousarray(acquisition.data).view(np.float32).ravel()
    if not numbers.size:
        return message
    most, largest = (1 << (bits - 1)) - 1, np.float64(np.abs(numbers).max())
    scale = np.float32(most / largest)
    while np.rint(largest * scale) > most:  # float32 has been rounded up
        scale = np.nextafter(scale, np.float32(0))
    integers = np.rint(numbers.astype(np.float64) * scale).astype(int).tolist()
    in_bits = "".join(f"{number % (1 << bits):0{bits}b}" for number in reversed(integers))
    packed = int(in_bits, 2).to_bytes(-(-len(in_bits) // 8), "little")
    return message + struct.pack("<IQfB", 13 + len(packed), len(integers), scale, bits) + packed
