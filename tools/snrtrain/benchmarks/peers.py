"""Other people's packages at the same work, beside ours; a peer that is not installed is left out."""

import importlib.util
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snrstream.recon.acquired import Acquired
from snrstream.recon.coil_maps import inati
from snrstream.recon.combine import Grid
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan, fit_kernel

from . import scans
from .bart import Bart
from .bart import installed as bart_installed
from .stages import Slice
from .timing import Row, Run, ratio, seconds

ITERATIONS = 30  # of conjugate gradients, BART's default
FEW = 16  # columns
FLOORS = {2: 40, 4: 90}  # frames while cgrappa makes one image's k-space


def rows() -> Iterator[Row]:
    """The rows of ours, and of each peer that is installed."""
    data = Slice(16)
    yield from ours(data)
    if has("pygrappa"):
        yield from pygrappa_2d(data)
        yield from pygrappa_2d(Slice(32))
        yield from pygrappa_3d()
    if has("sigpy"):
        yield from sigpy(data)
    if has("bart", bart_installed()):
        yield from bart(data)


def has(peer: str, found: bool | None = None) -> bool:
    """Whether the peer is installed; says so where it is not. found: for one that is no package of Python."""
    found = importlib.util.find_spec(peer) is not None if found is None else found
    if not found:
        print(f"{peer} is not installed: its rows are left out")
    return found


def _image(data: Slice, r: int, lines: Tensor) -> object:
    return data.plan(r).image(lines)


def ours(data: Slice) -> Iterator[Row]:
    """Maps and images of ours, beside which the peers stand."""
    yield Row(f"{data.name}: maps, ours, every pixel", ratio(lambda: inati(data.images), data.bare))
    yield Row(f"{data.name}: maps, ours, 2 x 2 grid", ratio(lambda: inati(data.images, step=2), data.bare))
    for r in FLOORS:
        all_steps = ratio(partial(_image, data, r, data.lines(r)), data.bare)
        yield Row(f"{data.name}: image R={r} with given maps, ours: calibration, unmixing, frame", all_steps)
        yield Row(f"{data.name}: image R={r}, ours: a further frame", ratio(data.frame(r), data.bare))


def double(kspace: Tensor) -> np.ndarray:
    """What pygrappa takes: complex128, contiguous."""
    return np.ascontiguousarray(kspace.numpy().astype(np.complex128))


def pygrappa_2d(data: Slice) -> Iterator[Row]:
    """Images by cgrappa, which calibrates in every call, and has no coil combination.

    What it takes without calibration is told by a call with few columns, which calibrates as much: the time of
    the other columns, stretched to all.
    """
    from pygrappa import cgrappa

    acs = double(data.acs[:, 0])
    for r, floor in FLOORS.items():
        kspace = double(data.zero_filled(r)[:, 0])
        fill, fill_few = (
            partial(cgrappa, part, acs, kernel_size=(5, 5), coil_axis=0)
            for part in (kspace, np.ascontiguousarray(kspace[:, :, :FEW]))
        )
        name = f"{data.name}: k-space R={r}, pygrappa cgrappa: calibration, filling"
        yield Row(name, ratio(fill, data.bare, n=2, warm=0))
        frame = data.frame(r)
        what = f"{data.name}: our frames R={r} while cgrappa makes one (times)"
        yield Row(what, ratio(fill, frame, n=3, warm=0), floor=floor)
        others = ratio(fill, frame, n=3, warm=0, less=seconds(fill_few, 3))
        yield Row(f"{what}, its calibration taken off", others * data.SIZE / (data.SIZE - FEW), floor=floor)


def pygrappa_3d() -> Iterator[Row]:
    """A small volume, for mdgrappa takes ten seconds even for that."""
    shape, n_channels, lattice = (16, 48, 48), 8, Lattice((2, 2))
    name = f"{n_channels} channels, 48 x 48 x 16, 2 x 2"
    full = scans.kspace(n_channels, shape)
    acs, csm = full[:, 2:14, 12:36].contiguous(), torch.full_like(full, n_channels**-0.5)
    lines, zero_filled = full[:, ::2, ::2].contiguous(), torch.zeros_like(full)
    zero_filled[:, ::2, ::2] = lines

    def plan() -> Plan:
        kernel = fit_kernel(acs, (2, 12), shape[:2], lattice)
        return Plan.with_maps(csm, Acquired.every(Grid(shape[:2], (0, 0), (2, 2)), lattice, shape[2]), kernel)

    from pygrappa import mdgrappa

    arrays, planned = (double(zero_filled), double(acs)), plan()

    def fill() -> None:
        mdgrappa(*arrays, kernel_size=(5, 5, 5), coil_axis=0)

    runs: dict[str, Run] = {"calibrations with unmixing and frame": lambda: plan().image(lines)}
    runs["frames"] = lambda: planned.image(lines)
    for what, run in runs.items():
        run()
        yield Row(f"{name}: our {what} while mdgrappa makes one (times)", ratio(fill, run, n=1, warm=0))


def sigpy(data: Slice) -> Iterator[Row]:
    """Maps by ESPIRiT and images by SENSE with given maps."""
    from sigpy.mri.app import EspiritCalib, SenseRecon

    found: list[np.ndarray] = []

    def maps() -> None:
        found.append(EspiritCalib(data.full[:, 0].numpy(), crop=0, show_pbar=False).run())

    yield Row(f"{data.name}: maps, sigpy EspiritCalib", ratio(maps, data.bare, n=1, warm=0))
    for r in FLOORS:
        kspace = data.zero_filled(r)[:, 0].numpy()

        def image(kspace: np.ndarray = kspace) -> None:
            SenseRecon(kspace, found[0], lamda=1e-3, max_iter=ITERATIONS, show_pbar=False).run()

        value = ratio(image, data.bare, n=2, warm=0)
        yield Row(f"{data.name}: image R={r} with given maps, sigpy SenseRecon, {ITERATIONS} iterations", value)


def bart(data: Slice) -> Iterator[Row]:
    """BART's times hold its reading and writing of cfl files; the start of a process is taken off."""
    with tempfile.TemporaryDirectory() as folder:
        run = Bart(Path(folder))
        start = run.start_seconds

        def row(what: str, *command: str) -> Row:
            value = ratio(lambda: run(*command), data.bare, n=2, warm=0, less=start)
            return Row(f"{data.name}: {what}, less process start", value)

        full = run.write("full", data.full)
        yield Row(f"{data.name}: BART's process start", start / seconds(data.bare))
        yield row("maps, BART ecalib -m 1", "ecalib", "-m", "1", full, "maps")
        yield row("maps, BART caldir", "caldir", "24", full, "direct")
        for r in FLOORS:
            kspace = run.write(f"r{r}", data.zero_filled(r))
            command = ("pics", "-l2", "-r", "0.001", "-w", "1", "-i", str(ITERATIONS), kspace, "maps", "image")
            yield row(f"image R={r} with given maps, BART pics, {ITERATIONS} iterations", *command)
