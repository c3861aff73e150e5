"""How the commands of tools/ end: what a user can mend is one line and status 1, and never a traceback."""

import errno
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from snrstream.errors import ConfigurationError
from snrtrain import commands
from snrtrain.commands import bench, evaluate, soak

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ConfigurationError("--seed is -1; expected 0 or more"), "stand_in: --seed is -1; expected 0 or more"),
        (KeyboardInterrupt(), "stand_in: interrupted; it goes on"),
        (OSError(errno.ENOSPC, "No space left on device", "out/table.csv"),
         "stand_in: out/table.csv cannot be read or written: No space left on device"),
        (OSError("a library's own words\nin two lines"),
         "stand_in: a file cannot be read or written: a library's own words in two lines"),
        (ModuleNotFoundError("No module named 'bm4d'", name="bm4d"),
         "stand_in: the package bm4d is not installed; expected the extras train and dev of snrstream"),
        (MemoryError(), "stand_in: memory ends; expected a smaller task, or more memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"),
         "stand_in: memory ends; expected a smaller task, or more memory"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_one_line(monkeypatch, raised, told):
    def main() -> None:
        raise raised

    monkeypatch.setitem(
        sys.modules, "snrtrain.commands.stand_in", SimpleNamespace(main=main, INTERRUPTED="interrupted; it goes on")
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        commands.run("stand_in")
    signal.signal(signal.SIGTERM, before)
    assert end.value.code == told


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def main() -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setitem(sys.modules, "snrtrain.commands.stand_in", SimpleNamespace(main=main))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="shapes differ"):
        commands.run("stand_in")
    signal.signal(signal.SIGTERM, before)


def test_ctrl_c_while_a_command_loads_what_it_needs_is_one_line():
    """Its imports take seconds, in which a user who has mistyped something interrupts it."""
    command = [sys.executable, str(ROOT / "tools/evaluate.py"), "snraware", "--volumes", "none"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + 60
    while "_C.cpython" not in maps.read_text() and "libtorch" not in maps.read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1 and told.startswith("evaluate: ") and told.count("\n") == 1


@pytest.mark.parametrize(
    ("main", "arguments", "told"),
    [
        (soak.main, ["scans", "--count", "20"], "--count is 20; expected 21 or more"),
        (soak.main, ["repetitions", "--repetitions", "3"], "--repetitions is 3; expected 21 or more"),
        (soak.main, ["volume", "--channels", "0"], "--channels is 0; expected 1 or more"),
        (soak.main, ["volume", "--matrix", "320", "0", "256"], r"--matrix is \[320, 0, 256\]; expected 32 or more"),
        (soak.main, ["fuzz", "--seed", "-1"], "--seed is -1; expected 0 or more"),
        (soak.main, ["volume", "--matrix", "9999", "9999", "9999"], "of room; expected [0-9.]+ for the raw data"),
        (bench.main, ["streams"], r"argument what: invalid choice: 'streams'.*\(see .* --help\)"),
        (evaluate.main, ["snraware", "--seed", "-1"], r"argument --seed: is -1; expected 0 or more \(see .* --help\)"),
        (bench.main, ["stream", "--repetitions", "1"], "--repetitions is 1; expected 2 or more"),
    ],
)
def test_numbers_that_are_out_of_range_are_named_before_the_work(main, arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        main(arguments)


@pytest.mark.parametrize("command", [bench, soak])
def test_what_each_part_needs_is_in_its_help(command, capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    told = capsys.readouterr().out
    for part, need in command.NEEDS.items():
        assert any(line.split() == [part, *str(need).split()] for line in told.splitlines()), part


def test_what_a_part_needs_is_told_at_its_start(capsys):
    with pytest.raises(ConfigurationError):
        soak.main(["volume", "--matrix", "9999", "9999", "9999"])
    assert capsys.readouterr().err.startswith(
        "volume needs about 20 minutes on two idle cores, 14 GiB of memory, 10 GiB"
    )
