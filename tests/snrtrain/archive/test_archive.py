"""The archive: what goes in comes out, mapped; what is unfinished or broken is told."""

import dataclasses
import json

import numpy as np
import pytest

from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import Archive, Entry, Pair, write_entry, write_pair


def entry(n_frames: int = 3, e1: int = 12, ro: int = 10, noise: bool = True) -> Entry:
    rng = np.random.default_rng(n_frames * 100 + e1)
    clean, own = (
        (rng.normal(size=(n_frames, e1, ro)) + 1j * rng.normal(size=(n_frames, e1, ro))).astype(np.complex64)
        for _ in range(2)
    )
    gmaps = rng.uniform(1, 3, size=(2, e1, ro)).astype(np.float32)
    return Entry(
        "head", "head.nii.gz (MIT)", "slice", clean, not noise, own if noise else None, gmaps,
        ((1, 1), (3, 2)), 21.5, (0.75, 1.0),
    )  # fmt: skip


def pair(reference: bool = True) -> Pair:
    images = np.random.default_rng(1).uniform(size=(6, 5, 12, 10)).astype(np.float32)
    kept = (images[3], *(images[4:] + 1j).astype(np.complex64)) if reference else (None, None, None)
    return Pair("knee", "knee.h5", *images[:3], *kept)


def same(one, other) -> bool:
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or not np.array_equal(a, b):
                return False
        elif a != b:
            return False
    return True


@pytest.fixture
def folder(tmp_path):
    """Entries of mixed sizes and pairs in one split."""
    write_entry(tmp_path / "train/head/0000", entry())
    write_entry(tmp_path / "train/head/0001", entry(1, 20, 16, noise=False))
    write_pair(tmp_path / "train/knee/0000", pair())
    write_pair(tmp_path / "train/knee/0001", pair(reference=False))
    return tmp_path


def test_what_goes_in_comes_out(folder):
    archive = Archive(folder, "train")
    assert (len(archive.entries), len(archive.pairs)) == (2, 2)
    assert same(archive.entries[0], entry()) and same(archive.entries[1], entry(1, 20, 16, noise=False))
    assert same(archive.pairs[0], pair()) and same(archive.pairs[-1], pair(reference=False))
    assert [e.clean.shape for e in archive.entries[1:]] == [(1, 20, 16)]


def test_arrays_are_mapped_and_cannot_be_changed(folder):
    clean = Archive(folder, "train").entries[0].clean
    assert isinstance(clean, np.memmap) and not clean.flags.writeable


def test_an_unfinished_entry_is_ignored(folder):
    (folder / "train/head/0001/entry.json").unlink()
    assert len(Archive(folder, "train").entries) == 1


def test_writing_again_replaces_what_was_left(folder):
    place = folder / "train/head/0001"
    (place / "entry.json").unlink()
    (place / "clean.npy").write_bytes(b"half")
    write_entry(place, entry(2))
    assert same(Archive(folder, "train").entries[1], entry(2))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("head/0000/clean.npy", lambda data: data[:-8], r"head/0000/clean\.npy cannot be read"),
        ("head/0000/noise.npy", lambda data: data[:20], r"head/0000/noise\.npy cannot be read"),
        ("head/0000/gmaps.npy", lambda data: b"", r"head/0000/gmaps\.npy cannot be read"),
        ("knee/0000/second.npy", lambda data: b"\0" * len(data), r"knee/0000/second\.npy cannot be read"),
        ("head/0000/entry.json", lambda data: data[:-9], r"head/0000/entry\.json cannot be read"),
        ("head/0000/entry.json", lambda data: b"[]", r"head/0000/entry\.json cannot be read"),
        ("head/0000/entry.json", lambda data: b"[" * 99_999, r"head/0000/entry\.json cannot be read"),
        ("head/0000/clean.npy", lambda data: data[:10] + b"(((" + data[13:], r"head/0000/clean\.npy cannot be read"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(folder, name, damage, message):
    path = folder / "train" / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigurationError, match=message):
        Archive(folder, "train")


def test_a_missing_array_is_named(folder):
    (folder / "train/knee/0001/plain.npy").unlink()
    with pytest.raises(ConfigurationError, match=r"plain\.npy cannot be read"):
        Archive(folder, "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": "depth"}, "has axis 'depth'"),
        ({"accelerations": [[1, 1]]}, "1 accelerations for 2 g-maps"),
        ({"resolution": [1]}, "lacks or garbles"),
        ({"snr": "high"}, "lacks or garbles"),
        *(({"snr": snr}, "has snr .*expected a number above 0") for snr in (0, -1, np.inf, np.nan)),
        *(({"resolution": [1, share]}, "expected .*shares above 0 to 1") for share in (0, -1, 1.5, np.nan)),
        ({"arrays": {"clean": [1, 12, 10], "gmaps": [2, 12, 10]}}, r"clean\.npy holds complex64 \(3, 12, 10\); expect"),
    ],
)  # fmt: skip
def test_facts_that_do_not_fit_are_told(folder, change, message):
    path = folder / "train/head/0000/entry.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigurationError, match=message):
        Archive(folder, "train")


def test_a_missing_archive_or_split_is_named(folder):
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        Archive(folder / "nowhere", "train")
    with pytest.raises(ConfigurationError, match="is empty: no finished entry in validation/"):
        Archive(folder, "validation")
    with pytest.raises(ConfigurationError, match="split is 'dev'; expected one of train, validation, test"):
        Archive(folder, "dev")
