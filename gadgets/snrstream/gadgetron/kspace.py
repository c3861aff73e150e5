"""Gadgetron's acquisition buckets and recon data, taken apart into acquisitions or sorted into our buckets.

Where a line lies in recon data: BucketToBufferGadget of Gadgetron 4.7.
"""

import itertools
from collections.abc import Iterable, Iterator

import ismrmrd
import numpy as np
from gadgetron.types.acquisition_bucket import AcquisitionBucket
from gadgetron.types.recon_data import ReconBuffer, ReconData

from ..errors import ScanError
from ..gadgets import accumulate
from ..gadgets.gadget import Scan, stream
from ..items import Item
from ..sorting.keys import key_of
from ..wire.acquisitions import LAST_FLAGS, LAST_IN_SLICE, head_of
from ..wire.messages import Pause


def acquisitions(items: Iterable[Item | Pause]) -> Iterator[Item | Pause]:
    """The acquisitions of buckets and recon data, in the order of their acquisition; other items pass.

    A line that is data and reference comes once. Of a bucket come its waveforms, too.
    """
    for item in items:
        if isinstance(item, AcquisitionBucket):
            yield from _each_once([*item.ref, *item.data])
            yield from item.waveforms
        elif isinstance(item, ReconData):
            yield from _lines(item)
        else:
            yield item


def buckets(items: Iterable[Item | Pause], scan: Scan) -> Iterator[Item | Pause]:
    """Recon data, which Gadgetron has whitened, to a `Bucket` for each image in it; other items pass.

    Images are told apart by the counters of their lines, as `accumulate` does: those along N, S and slice all come
    out, but for averages, which are averaged. A calibration serves later recon data as well.
    """
    rest = iter(items)
    for item in rest:
        if isinstance(item, ReconData):
            lines = _taken_apart(itertools.chain([item], rest))
            yield from stream(accumulate, lines, scan, accumulate.Parameters())
            return
        yield item


def _taken_apart(items: Iterable[Item | Pause]) -> Iterator[Item | Pause]:
    for item in items:
        yield from _lines(item) if isinstance(item, ReconData) else (item,)


def _buffers(item: ReconData) -> Iterator[ReconBuffer]:
    """Those that hold anything: an encoding space without lines has one without dimensions."""
    for bit in item.bits:
        for buffer in (bit.ref, bit.data):
            if buffer is None or buffer.data.size == 0:
                continue
            shape = buffer.data.shape
            if len(shape) != 7 or buffer.headers.shape != (*shape[1:3], *shape[4:]):
                raise ScanError(
                    f"recon data has samples {shape} and headers {buffer.headers.shape}; expected "
                    "(ro, e1, e2, channel, n, s, slice) and (e1, e2, n, s, slice)"
                )
            yield buffer


def _lines(item: ReconData) -> list[ismrmrd.Acquisition]:
    """All lines of reference and data, the last of each image flagged as such: recon data holds whole images."""
    found = [
        _line(buffer, place, head)
        for buffer in _buffers(item)
        for place, head in np.ndenumerate(buffer.headers)
        if head.number_of_samples > 0  # no line was acquired here
    ]
    lines = _each_once(found)
    last = {key_of(head_of(line)): head_of(line) for line in lines}
    for head in last.values():
        head.flags |= LAST_IN_SLICE
    return lines


def _line(buffer: ReconBuffer, place: tuple[int, ...], head: ismrmrd.AcquisitionHeader) -> ismrmrd.Acquisition:
    n_ro, before, centre = len(buffer.data), head.discard_pre, head.center_sample
    n_samples = head.number_of_samples - before - head.discard_post
    whole = head.number_of_samples == n_ro and centre == n_ro // 2
    start = before if whole else buffer.sampling.sampling_limits[0].center - centre
    if n_samples <= 0 or centre < before or not 0 <= start <= n_ro - n_samples:
        raise ScanError(
            f"acquisition {head.scan_counter} of the recon data has {head.number_of_samples} samples around "
            f"{centre}, {before} and {head.discard_post} to be discarded; expected some that fit into {n_ro}"
        )
    e1, e2, n, s, slice_ = place
    data = buffer.data[start : start + n_samples, e1, e2, :, n, s, slice_].T
    own = ismrmrd.AcquisitionHeader.from_buffer_copy(head)
    own.number_of_samples, own.center_sample, own.active_channels = n_samples, centre - before, len(data)
    own.discard_pre = own.discard_post = own.trajectory_dimensions = 0
    own.flags &= ~LAST_FLAGS
    return ismrmrd.Acquisition(own, data=np.ascontiguousarray(data, np.complex64))


def _each_once(lines: Iterable[ismrmrd.Acquisition]) -> list[ismrmrd.Acquisition]:
    """In the order in which they were acquired, as far as the scanner counted them."""
    found = {(head_of(line).scan_counter, head_of(line).flags, bytes(head_of(line).idx)): line for line in lines}
    return sorted(found.values(), key=lambda line: head_of(line).scan_counter)
