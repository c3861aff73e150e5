"""Where the time of a scan's first image goes: each step over the bare FFT of the coil images."""

import time
from functools import partial
from itertools import chain
from typing import Any

import torch

from snrstream.gadgets import accumulate, grappa, image_finish, noise_adjust
from snrstream.gadgets.gadget import Scan, run
from snrstream.items import ReconImage
from snrstream.recon.combine import Combiner
from snrstream.recon.plan import maps_of_calibration, unmixed
from snrstream.system.threads import limit_threads, usable_cores
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.header import parse_header
from snrstream.wire.messages import data_of

from . import stream
from .timing import Row, seconds

RECEIVED = 1 << 18  # bytes at once, as a socket gives them
RUNS = 7


def rows() -> list[Row]:
    """Each step, and all, by channels and R: of 512 x 256 samples with 24 calibration lines and a noise measurement.

    On all cores, as a server has it; the bare FFT on one. The least of some runs.
    """
    limit_threads(1)
    table: list[Row] = []
    for n_channels in (16, 32, 64):
        bare = partial(torch.fft.ifft2, torch.randn(n_channels, stream.N_E1, stream.N_PIXELS, dtype=torch.complex64))
        lines = stream.scan_lines(n_channels)
        for r in (2, 3, 4):
            data = b"".join(stream.encoded(lines, first=True, acceleration=r))
            runs = [(steps(data, r), seconds(bare, 2)) for _ in range(RUNS)]
            bare_s = min(time_s for _, time_s in runs)
            for what in runs[0][0]:
                least = min(times[what] for times, _ in runs)
                name = f"{n_channels} channels, R = {r}, {usable_cores()} cores: {what}, {1000 * least:.0f} ms"
                table.append(Row(name, least / bare_s))
    return table


def steps(data: bytes, r: int) -> dict[str, float]:
    """Seconds of each step from the bytes of a scan to those of its first images, and of all."""
    scan, times = Scan(parse_header(stream.header(r).encode())), {"all": 0.0}
    start = time.perf_counter()

    def done(step: str) -> None:
        nonlocal start
        now = time.perf_counter()
        times[step], start = now - start, now
        times["all"] += times[step]

    decoder, view = Decoder(), memoryview(data)
    messages: list[Any] = list(
        chain.from_iterable(decoder.receive(view[n : n + RECEIVED]) for n in range(0, len(data), RECEIVED))
    )
    done("decode")
    lines = list(run(noise_adjust, messages, scan))
    done("noise, whitening")
    buckets = run(accumulate, lines, scan)
    bucket: Any = next(buckets)
    done("sort")
    bucket = next(run(grappa, [bucket], scan))
    done("kernel")
    csm = maps_of_calibration(bucket.calibration.kspace, bucket.calibration.start, bucket.grid.size)
    done("coil maps")
    unmixing, gmap = unmixed(csm, bucket.kernel)
    done("unmixing, g-map")
    acquired = bucket.acquired
    image = Combiner.plan(unmixing, acquired.scale, acquired.grid).image(bucket.kspace)
    done("combine")
    recon = ReconImage(image.numpy(), gmap.numpy(), bucket.spectrum(), bucket.voxel_mm, bucket.head)
    for out in run(image_finish, [recon], scan, image_finish.Parameters("complex", snr_map=True)):
        encode(data_of(out))
    done("finish, encode")
    return times
