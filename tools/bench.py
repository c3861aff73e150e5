"""Benchmarks: tables of ratios, both sides of each measured in the same run.

    python tools/bench.py recon              each stage over the bare FFT of the coil images, and peers
    python tools/bench.py stream             a scan through the socket, over the bare FFT of its frames

Absolute times on a shared machine say little; the ratios hold. Times are the minimum of several runs,
alternating with the bare FFT.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "gadgets")) if path not in sys.path]

import torch  # noqa: E402

from snrstream.recon.coil_maps import inati  # noqa: E402
from snrstream.recon.combine import Combiner, Grid  # noqa: E402
from snrstream.recon.fft import to_image  # noqa: E402
from snrstream.recon.grappa import Lattice, calibrate  # noqa: E402
from snrstream.recon.unmixing import gfactor, snr_scale, unmixing_coefficients  # noqa: E402
from tools.benchmarks import peers, scans, stream  # noqa: E402

Row = tuple[str, float, float | None]  # what, ratio, limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["recon", "stream"])
    parser.add_argument("--repetitions", type=int, default=60, help="of the streamed scan (%(default)s)")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; ratios to the bare FFT of the coil images")
    rows = recon() if options.what == "recon" else stream.rows(options.repetitions)
    width = max(len(what) for what, _, _ in rows)
    for what, ratio, limit in rows:
        verdict = "" if limit is None else f"  limit {limit:g}" + ("  MISSED" if ratio > limit else "")
        print(f"{what:<{width}}  {ratio:8.2f}{verdict}")
    return 0


def recon() -> list[Row]:
    rows: list[Row] = []
    for n_channels in (16, 32):
        rows += stages_2d(n_channels)
    return rows + stages_3d()


def stages_2d(n_channels: int) -> list[Row]:
    """256 x 256, ACS of 24 lines."""
    size, rows = 256, []
    full = scans.kspace(n_channels, (1, size, size))
    images = to_image(full, dims=(2, 3))

    def row(what: str, run: Callable[[], object], limit: float | None) -> None:
        rows.append((f"{n_channels} channels, 256 x 256: {what}", *ratio(run, lambda: torch.fft.ifft2(full)), limit))

    acs = full[:, :, size // 2 - 12 : size // 2 + 12].contiguous()
    csm = inati(images)
    row("coil maps, every pixel", lambda: inati(images), 50)
    row("coil maps, 2 x 2 grid", lambda: inati(images, step=2), 15)
    for r, limit in ((2, 0.85), (3, 1.4), (4, 0.5)):
        lattice = Lattice((r, 1))
        grid = Grid((1, size), (0, 0), (1, r)) if size % r == 0 else Grid((1, size))
        kspace = torch.zeros_like(full)
        kspace[:, :, ::r] = full[:, :, ::r]
        lines = kspace[:, :, :: grid.step[1]].contiguous()
        row(f"calibration R={r}", lambda lattice=lattice: calibrate(acs, lattice), 3 if n_channels == 16 else 6)
        kernel = calibrate(acs, lattice)
        row(f"unmixing and g-map R={r}", lambda kernel=kernel: gfactor(unmixing_coefficients(kernel, csm), 1), 7)
        plan = Combiner.plan(unmixing_coefficients(kernel, csm), snr_scale(r, r), grid)

        def frame(plan=plan, lines=lines) -> torch.Tensor:
            return plan.image(lines)

        row(f"frame R={r}, from k-space", frame, limit)
        if r in (2, 4):
            applied = peers.cgrappa_seconds(kspace, acs, r)
            if applied is not None:
                frames = applied / seconds(frame)
                rows.append((f"{n_channels} channels: frames R={r} while cgrappa applies one", frames, None))
    return rows


def stages_3d() -> list[Row]:
    """192 x 192 x 64, 16 channels, 2 x 2, ACS of 24 x 24 lines."""
    shape, n_channels, lattice = (64, 192, 192), 16, Lattice((2, 2))
    full = scans.kspace(n_channels, shape)
    acs = full[:, 20:44, 84:108].contiguous()
    rows: list[Row] = []

    def row(what: str, run: Callable[[], object], limit: float | None) -> None:
        bare = lambda: torch.fft.ifftn(full, dim=(1, 2, 3))  # noqa: E731
        rows.append((f"16 channels, 192 x 192 x 64, 2 x 2: {what}", *ratio(run, bare, n=2), limit))

    row("calibration", lambda: calibrate(acs, lattice), 1.6)
    kernel = calibrate(acs, lattice)
    csm = torch.full((n_channels, *shape), n_channels**-0.5, dtype=torch.complex64)
    row("unmixing and g-map", lambda: gfactor(unmixing_coefficients(kernel, csm), 4), None)
    plan = Combiner.plan(unmixing_coefficients(kernel, csm), snr_scale(4, 4), Grid(shape[:2], (0, 0), (2, 2)))
    lines = full[:, ::2, ::2].contiguous()
    row("frame, from k-space", lambda: plan.image(lines), 0.45)
    return rows


def seconds(run: Callable[[], object], n: int = 5) -> float:
    best = math.inf
    for _ in range(n):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def ratio(run: Callable[[], object], bare: Callable[[], object], n: int = 5) -> tuple[float]:
    """Minimum time of `run` over that of `bare`, taken in turn."""
    times = [(seconds(run, 1), seconds(bare, 2)) for _ in range(n + 1)][1:]
    return (min(t for t, _ in times) / min(b for _, b in times),)


if __name__ == "__main__":
    sys.exit(main())
