"""Tasks shared among processes: the same results in the same order, lines where there is no terminal, no orphan."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain import work

ROOT = Path(__file__).resolve().parents[2]
NAPS = """
from pathlib import Path
from tests.snrtrain.test_work import nap
from snrtrain import work
if __name__ == "__main__":
    list(work.each(nap, 2 * [Path({!r})], 2))
"""


def nap(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script, folder = tmp_path / "naps.py", tmp_path / "pids"
    script.write_text(NAPS.format(str(folder)))
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "gadgets"), str(ROOT / "tools")])}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(folder.iterdir())) < 2:
        assert parent.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    pids = [int(path.name) for path in folder.iterdir()]
    deadline = time.monotonic() + 120
    while alive := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > deadline:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError("some outlive their parent")
        time.sleep(0.05)


@pytest.mark.parametrize(("seconds", "counts"), [(0, [2, 3, 4, 5]), (30, [2])])
def test_progress_is_plain_lines_where_there_is_no_terminal(monkeypatch, capsys, seconds, counts):
    monkeypatch.setattr(work, "SECONDS_BETWEEN_LINES", seconds)
    with work.progress(total=5, initial=2, desc="scans") as bar:
        for _ in range(3):
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [f"scans: {count} of 5" for count in counts]
    assert all(line.isprintable() for line in lines)


N_CASES = 6


def slow_first(case: tuple[int, torch.Tensor, Path]) -> tuple[int, torch.Tensor, int, int]:
    """Longest for the first, so that results come in another order; one below 0 kills its process after all others."""
    number, image, folder = case
    deadline = time.monotonic() + 120
    while number < 0 and len(list(folder.iterdir())) < N_CASES and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3 * (number <= 0))
    if number < 0:
        os._exit(9)
    (folder / str(number)).touch()
    return number, 2 * image, os.getpid(), torch.get_num_threads()


def test_results_come_in_the_order_of_their_cases_and_one_that_dies_is_told(tmp_path) -> None:
    cases = [(n, torch.full((2, 2), float(n)), tmp_path) for n in range(N_CASES)]
    here = list(work.each(slow_first, cases, 1))
    assert {pid for *_, pid, _ in here} == {os.getpid()}
    apart = []
    for path in tmp_path.iterdir():
        path.unlink()
    results = work.each(slow_first, [*cases, (-1, torch.ones(1), tmp_path)], 2)  # one pool for both: it takes seconds
    with pytest.raises(ConfigurationError, match="one of --workers 2 was killed"):
        apart.extend(results)  # those before the error stay
    assert [number for number, *_ in apart] == list(range(N_CASES))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(here, apart, strict=True))
    assert os.getpid() not in {pid for *_, pid, _ in apart}
    assert {n_threads for *_, n_threads in apart} == {1}
