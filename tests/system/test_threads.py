"""Work that is spread over the cores: the same result, no more threads than cores, and errors that arrive."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from snrstream.recon.acquired import Acquired
from snrstream.recon.combine import Grid
from snrstream.recon.lattice import Lattice
from snrstream.recon.plan import Plan
from snrstream.system.threads import limited_threads, spread, usable_cores
from tests.recon.simulation import central, noisy_kspace

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "gadgets")}


def threads_of(n_parts: int) -> set[str]:
    names: set[str] = set()
    spread(lambda _: names.add(threading.current_thread().name), range(n_parts))
    return names


def test_who_has_set_no_limit_keeps_to_the_calling_thread() -> None:
    """In a process of its own, for a command that another test runs in this one limits it."""
    script = (
        "import threading; from snrstream.system.threads import spread; names = set();"
        "spread(lambda _: names.add(threading.current_thread().name), range(64)); print(names)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["{'MainThread'}"]


def test_all_scans_share_one_thread_a_core() -> None:
    names: list[set[str]] = []

    def scan() -> None:
        with limited_threads(1):
            names.append(threads_of(64))

    scans = [threading.Thread(target=scan) for _ in range(4 * usable_cores())]
    for thread in scans:
        thread.start()
    for thread in scans:
        thread.join()
    assert len(names) == len(scans) and len(set().union(*names) - {t.name for t in scans}) <= usable_cores()


def test_the_first_failure_of_a_part_is_raised() -> None:
    def work(part: int) -> None:
        if part:
            raise MemoryError(f"part {part}")

    with limited_threads(1), pytest.raises(MemoryError, match="part 1"):
        spread(work, range(4))


def test_a_plan_is_the_same_on_all_cores_bit_for_bit() -> None:
    kspace = noisy_kspace(6, (1, 48, 40), snr=50)
    acs, first = central(kspace, 1, 20)
    start = 0, first
    acquired = Acquired.every(Grid((1, 48), (0, 0), (1, 2)), Lattice((2, 1)), 40)
    alone = Plan.of(acs, start, acquired)
    with limited_threads(1):
        spread_out = Plan.of(acs, start, acquired)
    lines = kspace[:, :, ::2]
    assert torch.equal(alone.gmap, spread_out.gmap) and torch.equal(alone.image(lines), spread_out.image(lines))
