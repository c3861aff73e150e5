"""What takes long: memory over thousands of repetitions, a large volume, many scans, mutated bytes.

    python tools/soak.py repetitions         2,000 images through the socket; memory of the server at 20 and at the end
    python tools/soak.py volume              320 x 320 x 256, 32 channels, R = 2 x 1: time and peak memory
    python tools/soak.py scans               200 scans in a row; memory and descriptors of the server at scan 20 and 200
    python tools/soak.py clients             200 clients that die at random moments in front of Gadgetron's module
    python tools/soak.py fuzz                100,000 mutated sessions through decoder, session and reconstruction

Exits with 1 where memory grows by more than 1 % over the repetitions or by 6 % over the scans, a descriptor stays open,
a module goes on though its client died, the volume takes more than 24 GiB, or a mutated session ends in anything but
images or an error of ours, hangs, or takes memory.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ismrmrd

from snrstream.errors import ConfigurationError
from snrstream.hosts.link import Link
from snrstream.hosts.server_process import server_process
from snrtrain.benchmarks import dying_clients, fuzz, small_scan, stream, volume
from snrtrain.benchmarks.needs import Need, listed
from snrtrain.commands.parser import Parser

MOST_GROWTH = 0.01
MOST_GROWTH_OF_SCANS = 0.06  # threads have heaps of their own, which fill up over the first 400 scans, then no more
MOST_FUZZ_MIB = 500
MOST_GIB = 24
WARM = 20  # repetitions after which memory should not grow


NEEDS = {
    "repetitions": Need(2, 1.5),
    "volume": Need(20, 14, 10),
    "scans": Need(1, 1.5),
    "clients": Need(8, 1.5),
    "fuzz": Need(20, 0.6),
}


def main(arguments: list[str] | None = None) -> int:
    """Raises ConfigurationError on a number out of range, and where the disk has no room for the volume."""
    parser = Parser(description=__doc__, epilog=listed(NEEDS), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["repetitions", "volume", "scans", "clients", "fuzz"])
    parser.add_argument("--repetitions", type=int, default=2000, help="of the streamed scan (%(default)s)")
    parser.add_argument("--channels", type=int, help="16 for repetitions, 32 for the volume by default")
    parser.add_argument("--matrix", type=int, nargs=3, default=(320, 320, 256), metavar=("X", "Y", "Z"))
    parser.add_argument("--count", type=int, help="200 scans or clients, or 100,000 mutated sessions by default")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the mutations, or of the moments of death (%(default)s)"
    )
    options = parser.parse_args(arguments)
    for name, least in (("repetitions", WARM + 1), ("count", WARM + 1), ("channels", 1), ("matrix", 32), ("seed", 0)):
        given = getattr(options, name)
        if given is not None and min(given if name == "matrix" else [given]) < least:
            raise ConfigurationError(f"--{name} is {given}; expected {least} or more")
    print(f"{options.what} needs {NEEDS[options.what]}", file=sys.stderr, flush=True)
    if options.what == "scans":
        return scans(options.count or 200)
    if options.what == "clients":
        return clients(options.count or 200, options.seed)
    if options.what == "fuzz":
        return mutations(options.count or 100_000, options.seed)
    if options.what == "repetitions":
        return repetitions(options.repetitions, options.channels or 16)
    return whole_volume(tuple(options.matrix), options.channels or 32)


def repetitions(n_repetitions: int, n_channels: int) -> int:
    """Resident memory of the server when image 20 and when the last image has arrived."""
    with server_process() as (port, pid):
        resident: dict[int, int] = {}

        def watch(n_images: int, _image: ismrmrd.Image) -> None:
            if n_images in (3 * WARM, 3 * n_repetitions):
                resident[n_images // 3] = _resident_bytes(pid)

        lines = stream.scan_lines(n_channels)
        first, later = (stream.encoded(lines, first=first) for first in (True, False))
        start = time.perf_counter()
        stream.stream(port, b"".join(first), n_repetitions, later, watch)
        seconds = time.perf_counter() - start
    before, after = resident[WARM], resident[n_repetitions]
    growth = after / before - 1
    print(
        f"{n_repetitions} repetitions of {n_channels} x 512 x 256 at R = 4 in {seconds:.0f} s; the server holds "
        f"{before >> 20} MiB at repetition 20, {after >> 20} MiB at {n_repetitions}: {100 * growth:+.1f} %"
    )
    return int(growth > MOST_GROWTH)


def scans(n_scans: int) -> int:
    """Whole sessions one after the other, denoised ones too."""
    with server_process() as (port, pid):
        for number in range(1, n_scans + 1):
            _small_scan(port, "grappa_denoise" if number % 2 else "grappa_snr")
            if number == WARM:
                before = _resident_bytes(pid), _descriptors(pid)
        after = _resident_bytes(pid), _descriptors(pid)
    growth = after[0] / before[0] - 1
    print(
        f"{n_scans} scans: the server holds {before[0] >> 20} MiB and {before[1]} descriptors after scan {WARM}, "
        f"{after[0] >> 20} MiB and {after[1]} after the last: {100 * growth:+.1f} %"
    )
    return int(growth > MOST_GROWTH_OF_SCANS or after[1] > before[1])


def clients(n_clients: int, seed: int) -> int:
    """Clients that die, each in front of a module of its own, which must end."""
    start = time.perf_counter()
    ends = dying_clients.die(n_clients, seed)
    print(f"{n_clients} clients died in {time.perf_counter() - start:.0f} s; their modules ended: {dict(ends)}")
    return int(not set(ends) <= {"status 0", "status 1"})


def mutations(n_streams: int, seed: int) -> int:
    """Mutated sessions in this process."""
    start = time.perf_counter()
    outcome = fuzz.fuzz(n_streams, seed)
    ends = ", ".join(f"{count} {name}" for name, count in outcome.counts.most_common())
    print(
        f"{n_streams} mutated sessions in {time.perf_counter() - start:.0f} s ended in {ends}; "
        f"{len(outcome.defects)} defects; peak memory grew by {outcome.growth_mib:.0f} MiB"
    )
    print("\n".join(outcome.defects[:20]))
    return int(bool(outcome.defects) or outcome.growth_mib > MOST_FUZZ_MIB)


def whole_volume(matrix: tuple[int, int, int], n_channels: int) -> int:
    """`snrstream recon` on a simulated file, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        free, needed = shutil.disk_usage(folder).free, volume.n_bytes(matrix, n_channels)
        if free < needed:
            raise ConfigurationError(
                f"{Path(folder).parent} has {free / 2**30:.1f} GiB of room; expected {needed / 2**30:.1f} for the raw "
                "data and the images: TMPDIR names another folder"
            )
        scan = Path(folder) / "volume.h5"
        volume.write(scan, matrix, n_channels)
        print(f"{scan.stat().st_size / 2**30:.1f} GiB of raw data written", flush=True)
        command = [sys.executable, "-m", "snrstream", "recon", str(scan), "--pipeline", "grappa_snr"]
        start = time.perf_counter()
        process = subprocess.Popen([*command, "--output", str(Path(folder) / "out")])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
    gib = usage.ru_maxrss / 2**20
    print(
        f"{' x '.join(map(str, matrix))}, {n_channels} channels, R = 2 x 1: {seconds:.0f} s, "
        f"peak memory {gib:.1f} GiB, status {process.returncode}"
    )
    return int(status != 0 or gib > MOST_GIB)


def _small_scan(port: int, pipeline: str) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        link = Link(sock, "server", 60)
        for message in small_scan.messages(pipeline):
            link.send(message)
        images = [message for message in link if isinstance(message, ismrmrd.Image)]
    if len(images) != 3:
        raise RuntimeError(f"{len(images)} images came back; expected 3")


def _descriptors(pid: int) -> int:
    time.sleep(0.5)  # the last session may not quite have ended
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
