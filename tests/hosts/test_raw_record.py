"""What was written of a scan's raw data stays, whatever becomes of the disk."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snrstream.hosts.raw_record import RawRecord

DATA = bytes(range(256)) * 64


@contextmanager
def full_after(n_bytes: int) -> Iterator[None]:
    """Files of this process cannot grow beyond so many bytes, as on a disk that fills: a part is written, then none."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def record_of(folder: Path, most: int) -> RawRecord:
    """All of DATA written in pieces, and one more byte, with room for `most`."""
    record = RawRecord(folder, "127.0.0.1:9002")
    with full_after(most):
        for start in range(0, len(DATA), 1000):
            record.write(memoryview(DATA)[start : start + 1000])
    record.write(memoryview(b"!"))
    return record


@pytest.mark.parametrize("most", [1, 1500, 2000, len(DATA) - 1])
def test_a_full_disk_keeps_what_was_written_and_tells_how_much(most: int, tmp_path: Path, caplog) -> None:
    """Nothing is written behind the gap, though there is room again."""
    kept = record_of(tmp_path, most).keep()
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".mrd" and path.read_bytes() == DATA[:most]
    assert kept == f"{path}: no more than the first {most} of {len(DATA) + 1} bytes (File too large)"
    assert f"raw data is kept no further than {most} bytes" in caplog.text and str(path) in caplog.text


def test_room_for_the_last_byte_is_room_for_all(tmp_path: Path, caplog) -> None:
    kept = record_of(tmp_path, len(DATA)).keep()
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == DATA + b"!" and kept == str(path) and not caplog.records


def test_a_disk_without_room_leaves_no_empty_file(tmp_path: Path, caplog) -> None:
    assert record_of(tmp_path, 0).keep() is None
    assert list(tmp_path.iterdir()) == [] and "raw data cannot be kept: File too large" in caplog.text


def test_a_scan_that_ended_well_leaves_nothing_on_a_full_disk(tmp_path: Path) -> None:
    record_of(tmp_path, 1500).discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_renamed_keeps_its_name(tmp_path: Path, caplog) -> None:
    record = record_of(tmp_path, len(DATA))
    (path,) = tmp_path.iterdir()
    path.with_suffix("").mkdir()
    assert record.keep() == str(path)
    assert path.read_bytes() == DATA + b"!" and f"raw data keeps the name {path}: " in caplog.text


def test_a_file_whose_closing_fails_is_kept_and_said_to_be_in_doubt(tmp_path: Path) -> None:
    record = record_of(tmp_path, len(DATA))
    os.close(record._file.fileno())
    kept = record.keep()
    (path,) = tmp_path.iterdir()
    n_bytes = len(DATA) + 1
    assert kept == f"{path}: no more than the first {n_bytes} of {n_bytes} bytes (Bad file descriptor)"


def test_a_file_whose_closing_fails_goes_where_it_is_not_needed(tmp_path: Path) -> None:
    record = record_of(tmp_path, len(DATA))
    os.close(record._file.fileno())
    record.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_removed_is_named_in_a_warning(tmp_path: Path, caplog) -> None:
    record = record_of(tmp_path, len(DATA))
    (path,) = tmp_path.iterdir()
    path.unlink()
    path.mkdir()
    record.discard()
    assert f"raw data {path} cannot be removed: " in caplog.text
