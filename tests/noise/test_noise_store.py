"""Noise measurements in a folder: by strangers' ids, on full disks, in files that others damaged."""

import json
import logging
import os
import resource
import stat
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from snrstream.noise import store as noise_store
from tests.processes import forked, fresh

from ..end_to_end.conftest import ENVIRONMENT, ROOT
from ..noise_measurements import assert_same, noise_measurement

HOSTILE = [
    "../../x",
    "/etc/passwd",
    "..",
    "a/b",
    "a\0b",
    "trailing\0",
    "a\nb",
    "\u00e9 \u5927",
    "\ud800",
    " ",
    256 * "x",
]


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "a" / "store"
    monkeypatch.setenv("SNRSTREAM_NOISE_STORE", str(folder))
    return folder


def test_what_is_kept_is_found(store) -> None:
    noise = noise_measurement(labels=("Body:1", "line\nbreak", "nul\0", "\u00e9"))
    noise_store.keep("1_2_3_4", noise)
    assert_same(noise_store.find("1_2_3_4"), noise)
    assert noise_store.find("1_2_3_5") is None
    (file,) = store.iterdir()
    assert stat.S_IMODE(store.stat().st_mode) == 0o700 and stat.S_IMODE(file.stat().st_mode) == 0o600
    np.load(file, allow_pickle=False).close()


def test_a_second_measurement_replaces_the_first(store) -> None:
    for seed in (0, 1):
        noise_store.keep("id", noise_measurement(seed=seed))
    assert_same(noise_store.find("id"), noise_measurement(seed=1))
    assert len(list(store.iterdir())) == 1


@pytest.mark.parametrize("measurement", HOSTILE)
def test_ids_cannot_lead_out_of_the_folder(store, tmp_path, measurement: str) -> None:
    noise_store.keep(measurement, noise_measurement())
    assert_same(noise_store.find(measurement), noise_measurement())
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.parent == store and len(file.name) == 68


def test_an_id_without_end_is_refused(store, caplog) -> None:
    noise_store.keep(10_000 * "x", noise_measurement())
    assert noise_store.find(10_000 * "x") is None
    assert "its id has 10000 characters" in caplog.text
    assert not store.exists()


def test_after_48_hours_it_is_not_used_and_goes_when_the_next_is_kept(store, monkeypatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 48 * 3600 - 1)
    noise_store.keep("old", noise_measurement())
    (old,) = store.iterdir()
    os.utime(old, (time.time(), time.time()))
    assert noise_store.find("old") is not None
    left_behind = old.with_name(f"{old.name}.abc")
    left_behind.touch()
    os.utime(left_behind, (time.time(), time.time()))
    (store / "mine.txt").touch()
    os.utime(store / "mine.txt", (0, 0))
    monkeypatch.setattr(time, "time", lambda: now)
    assert noise_store.find("old") is None
    noise_store.keep("new", noise_measurement())
    assert noise_store.find("new") is not None
    assert not old.exists() and not left_behind.exists() and (store / "mine.txt").exists()


def test_the_oldest_of_too_many_go(store, monkeypatch) -> None:
    monkeypatch.setattr(noise_store, "MOST_ENTRIES", 3)
    for number in range(5):
        noise_store.keep(str(number), noise_measurement())
        newest = max(store.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (time.time() - 100 + number,) * 2)
    assert [noise_store.find(str(number)) is not None for number in range(5)] == [False, False, True, True, True]


@pytest.fixture
def entry(store) -> Path:
    noise_store.keep("id", noise_measurement())
    (file,) = store.iterdir()
    return file


def test_damaged_files_are_named_and_not_used(entry, caplog) -> None:
    """Cut short anywhere, or one byte changed: not used with a warning, or, where nothing vital was hit, the same."""
    whole = entry.read_bytes()
    n_refused = 0
    for number in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[number] ^= 0x55
        for data, is_cut in ((whole[:number], True), (bytes(flipped), False)):
            caplog.clear()
            entry.write_bytes(data)
            found = noise_store.find("id")
            if found is None:
                assert str(entry) in caplog.text
                n_refused += 1
            else:
                assert not is_cut
                assert_same(found, noise_measurement())
    assert n_refused > len(whole) // 7


def test_foreign_files_are_named_and_not_used(entry, caplog) -> None:
    def foreign(**arrays) -> bytes:
        np.savez(entry.with_name("foreign.npz"), **arrays)
        return entry.with_name("foreign.npz").read_bytes()

    about = np.frombuffer(json.dumps({"measurement_id": "id"}).encode(), np.uint8)
    contents = [
        b"", b"hello", b"PK\3\4" + bytes(100), b"\x93NUMPY\1\0", b"\x80\4.", whole_of_another_id(entry),
        foreign(numbers=np.arange(3)),
        foreign(about=np.array([{"a": 1}], dtype=object), covariance=np.eye(2)),
        foreign(about=about, covariance=np.eye(2)),
        foreign(about=np.frombuffer(b"[" * 100_000, np.uint8), covariance=np.eye(2)),
    ]  # fmt: skip
    for data in contents:
        caplog.clear()
        entry.write_bytes(data)
        assert noise_store.find("id") is None
        assert str(entry) in caplog.text
    entry.unlink()
    entry.mkdir()
    caplog.clear()
    assert noise_store.find("id") is None and str(entry) in caplog.text


def whole_of_another_id(entry: Path) -> bytes:
    noise_store.keep("other", noise_measurement())
    (other,) = set(entry.parent.iterdir()) - {entry}
    return other.read_bytes()


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, caplog) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "store", Path("/proc/snrstream")):
        monkeypatch.setenv("SNRSTREAM_NOISE_STORE", str(folder))
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            noise_store.keep("id", noise_measurement())
            assert "noise measurement 'id' is not kept" in caplog.text
            assert noise_store.find("id") is None


WRITE = """
import sys; from snrstream.noise import store as noise_store; from tests.noise_measurements import noise_measurement
noise = noise_measurement(64, seed=int(sys.argv[2]))
for number in range(int(sys.argv[1])): noise_store.keep("id", noise)
"""


def writer(store: Path, n_times: int, seed: int, python=forked, **options) -> subprocess.Popen:
    environment = ENVIRONMENT | {"SNRSTREAM_NOISE_STORE": str(store)}
    environment["PYTHONPATH"] += f":{ROOT}"
    command = python("-c", WRITE, str(n_times), str(seed))
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


def test_a_full_disk_leaves_nothing_half_written(store) -> None:
    """A limit on the size of files stands for the full disk: an entry of 64 channels has 65,536 bytes and more."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))  # noqa: E731
    process = writer(store, 1, 0, fresh, preexec_fn=limit)
    _, errors = process.communicate()
    assert process.returncode == 0 and "noise measurement 'id' is not kept" in errors
    assert list(store.iterdir()) == []


def test_two_processes_write_the_same_id_at_once(store, caplog) -> None:
    """Whoever reads meanwhile gets the one or the other, whole."""
    noise_store.keep("id", noise_measurement(64, seed=0))
    choices = [noise_measurement(64, seed=seed).covariance.tobytes() for seed in (0, 1)]
    writers = [writer(store, 100, seed) for seed in (0, 1)]
    n_read = 0
    while any(process.poll() is None for process in writers):
        assert noise_store.find("id").covariance.tobytes() in choices
        n_read += 1
    assert [process.communicate()[1] for process in writers] == ["", ""]
    assert n_read > 0 and caplog.text == "" and len(list(store.iterdir())) == 1


def test_where_the_folder_is(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for state, expected in (
        (str(tmp_path / "state"), tmp_path / "state"),
        ("relative", tmp_path / "home/.local/state"),
        ("", tmp_path / "home/.local/state"),
    ):
        monkeypatch.setenv("SNRSTREAM_NOISE_STORE", "")
        monkeypatch.setenv("XDG_STATE_HOME", state)
        noise_store.keep("id", noise_measurement())
        assert len(list((expected / "snrstream" / "noise").iterdir())) == 1
