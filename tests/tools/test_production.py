"""Making many items: told about where there is no terminal, and no process outlives the command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snrstream.errors import ConfigurationError
from tools.training import production

ROOT = Path(__file__).resolve().parents[2]
NAPS = """
from pathlib import Path
from tests.tools.test_production import nap
from tools.training import production
if __name__ == "__main__":
    with production._workers(2) as mapped:
        list(mapped(nap, [Path({!r})]))
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


def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    script, folder = tmp_path / "naps.py", tmp_path / "pids"
    script.write_text(NAPS.format(str(folder)))
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "gadgets")])}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any(folder.iterdir()):
        assert parent.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    (worker,) = (int(path.name) for path in folder.iterdir())
    deadline = time.monotonic() + 20
    while is_alive(worker):
        if time.monotonic() > deadline:
            os.kill(worker, signal.SIGKILL)
            raise AssertionError("it outlives its parent")
        time.sleep(0.05)


@pytest.mark.parametrize(("seconds", "counts"), [(0, [2, 3, 4, 5]), (30, [2])])
def test_progress_is_plain_lines_where_there_is_no_terminal(monkeypatch, capsys, seconds, counts):
    monkeypatch.setattr(production, "SECONDS_BETWEEN_LINES", seconds)
    with production.progress(total=5, initial=2, desc="scans") as bar:
        for _ in range(3):
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [f"scans: {count} of 5" for count in counts]
    assert all(line.isprintable() for line in lines)


def test_what_cannot_be_written_is_named(tmp_path):
    place = tmp_path / "file"
    place.touch()
    with (
        pytest.raises(ConfigurationError, match=rf"^{place}/x cannot be written: Not a directory$"),
        production.writing(place / "x"),
    ):
        (place / "x").mkdir()
