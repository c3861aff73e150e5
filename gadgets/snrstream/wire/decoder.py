"""Bytes to messages. Sans-I/O: any split of the bytes gives the same messages.

Every length is checked against `Limits` before memory is taken for it. Whatever the bytes are, the
outcome is messages or a ProtocolError.
"""

from collections.abc import Iterator

import ismrmrd
import numpy as np

from ..errors import ProtocolError
from .acquisitions import COMPRESSED_FLAGS, acquisition_of
from .compressed import compressed_size
from .gadgetron_sizes import GADGETRON_SIZES
from .messages import Message, MessageId
from .parsers import PARSERS
from .sizes import ACQUISITION_SHAPE, ACQUISITION_START, DEFAULT_LIMITS, SIZES, U16, Limits, message_name, too_long

STAGE = 1 << 18  # bytes that may wait for their message to be complete
DIRECT = 1 << 14  # bytes of an acquisition: from so many on, what lacks goes right into its array
ALL_SIZES = SIZES | GADGETRON_SIZES | {MessageId.ACQUISITION: compressed_size}


class Decoder:
    """Turn the bytes of one peer into messages.

    Bytes go in by `receive`, or without a copy: into `buffers`, which `received` is then told of. At the peer's end of
    file, call `finish`. Messages come as iterators, to be used up before more goes in.

    Parameters
    ----------
    limits : Limits
        The largest text and the largest data that a message may announce.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._stage = memoryview(bytearray(STAGE))
        self._start = self._end = 0  # of what is staged
        self._needed = 2  # staged bytes that complete a message, as far as they tell
        self._acquisition: ismrmrd.Acquisition | None = None  # whose data is on its way
        self._rest = self._next = memoryview(b"")  # where the rest of it goes, and then the head of another one

    def receive(self, data: bytes | bytearray | memoryview) -> Iterator[Message]:
        """Take bytes, as many as have come.

        Parameters
        ----------
        data : bytes or bytearray or memoryview
            The peer's next bytes, cut anywhere.

        Yields
        ------
        Message
            The messages that `data` completes, in order.

        Raises
        ------
        ProtocolError
            For bytes that are no message, and for lengths beyond the limits.
        """
        with memoryview(data) as view:
            start = 0
            while start < len(view):
                n_bytes = 0
                for buffer in self.buffers():
                    part = view[start + n_bytes : start + n_bytes + len(buffer)]
                    buffer[: len(part)] = part
                    n_bytes += len(part)
                start += n_bytes
                yield from self.received(n_bytes)

    def buffers(self) -> list[memoryview]:
        """Tell where the next bytes go.

        Returns
        -------
        list of memoryview
            To be filled in this order, in full or in part; never empty.
        """
        if self._acquisition is not None:
            return [self._rest, self._next]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + self._needed > len(self._stage):
            self._move()
        return [self._stage[self._end :]]

    def received(self, n_bytes: int) -> Iterator[Message]:
        """Go on with what has been written into `buffers`.

        Parameters
        ----------
        n_bytes : int
            How many bytes of the buffers have been filled.

        Yields
        ------
        Message
            The messages that they complete, in order.

        Raises
        ------
        ProtocolError
            As `receive` does.
        """
        if self._acquisition is not None:
            n_rest = len(self._rest)
            if n_bytes < n_rest:
                self._rest = self._rest[n_bytes:]
                return
            acquisition, self._acquisition = self._acquisition, None
            self._end = n_bytes - n_rest
            yield acquisition
        else:
            self._end += n_bytes
        while self._end - self._start >= self._needed:
            (number,) = U16.unpack_from(self._stage, self._start)
            message = self._acquired() if number == MessageId.ACQUISITION else self._other(number)
            if message is None:
                return
            yield message

    def finish(self) -> None:
        """End the stream, at the peer's end of file.

        Raises
        ------
        ProtocolError
            Where the peer stopped in the middle of a message.
        """
        if self._acquisition is not None:
            size = ACQUISITION_START + self._acquisition.traj.nbytes + self._acquisition.data.nbytes
            raise _cut("acquisition message", size - len(self._rest), size)
        staged = self._stage[self._start : self._end]
        if staged:
            raise _cut(message_name(staged) if len(staged) >= 2 else "message", len(staged), self._needed)

    def _move(self) -> None:
        """What is staged goes to the start of a stage that has room for its message.

        Or for twice of what has come: whatever a message announces, no more memory is taken.
        """
        staged = self._stage[self._start : self._end]
        size = max(STAGE, min(self._needed, 2 * len(staged) + STAGE))
        stage = self._stage if size == len(self._stage) else memoryview(bytearray(size))
        stage[: len(staged)] = staged
        self._stage, self._start, self._end = stage, 0, len(staged)

    def _acquired(self) -> Message | None:
        """The staged one, or None where it is not all there. What a large one lacks goes right into its array.

        Bytes are copied as bytes: numpy takes ten times as long from odd addresses.
        """
        stage, begin, staged = self._stage, self._start, self._end - self._start
        if staged < ACQUISITION_START:
            self._needed = ACQUISITION_START
            return None
        flags, samples, channels, dimensions = ACQUISITION_SHAPE.unpack_from(stage, begin)
        if flags & COMPRESSED_FLAGS:
            return self._other(MessageId.ACQUISITION)
        n_trajectory, n_data = 4 * samples * dimensions, 8 * samples * channels
        if n_trajectory + n_data > self._limits.data:
            raise too_long("acquisition message", n_trajectory + n_data, self._limits.data)
        start = begin + ACQUISITION_START + n_trajectory
        end = start + n_data
        if start > self._end or (end > self._end and n_data < DIRECT):
            self._needed = end - begin
            return None
        head = ismrmrd.AcquisitionHeader.from_buffer_copy(stage, begin + 2)
        trajectory = np.empty((samples, dimensions), np.float32)
        if n_trajectory:
            trajectory.data.cast("B")[:] = stage[begin + ACQUISITION_START : start]
        self._needed = 2
        if end <= self._end:
            data = np.ndarray((channels, samples), np.complex64, bytearray(stage[start:end]))
            self._start = end
            return acquisition_of(head, data, trajectory)
        data = np.empty((channels, samples), np.complex64)
        self._rest = data.data.cast("B")
        n_here = self._end - start
        if n_here:
            self._rest[:n_here] = stage[start : self._end]
            self._rest = self._rest[n_here:]
        self._acquisition = acquisition_of(head, data, trajectory)
        self._next = stage[:ACQUISITION_START]
        self._start = self._end = 0
        return None

    def _other(self, number: int) -> Message | None:
        """The staged message of another kind or a compressed acquisition, or None where it is not all there."""
        staged = self._stage[self._start : self._end]
        if number not in ALL_SIZES:
            known = [message.value for message in MessageId]
            raise ProtocolError(f"unknown message id {number}; expected one of {known}")
        size = ALL_SIZES[number](staged, self._limits)
        if size > len(staged):
            self._needed = size
            return None
        message = _parsed(number, staged[:size])
        self._start += size
        self._needed = 2
        if len(self._stage) > STAGE and self._end - self._start <= STAGE:
            self._move()
        return message


def _parsed(number: int, view: memoryview) -> Message:
    try:
        return PARSERS[number](view)
    except ProtocolError:
        raise
    except Exception as exc:  # noqa: BLE001 - ismrmrd raises nearly anything on hostile bytes
        raise ProtocolError(f"{message_name(view)} cannot be read: {' '.join(str(exc).split())}") from None


def _cut(name: str, n_bytes: int, expected: int) -> ProtocolError:
    return ProtocolError(f"the stream ended inside this {name}: {n_bytes} of at least {expected} bytes arrived")
