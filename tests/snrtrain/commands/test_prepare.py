"""prepare.py from files to an archive: resumable, the same whoever made it, and plain about mistakes."""

import shutil
import subprocess
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from ismrmrd import xsd

from snrstream.errors import ConfigurationError
from snrtrain import work
from snrtrain.archive.archive import Archive
from snrtrain.commands import prepare
from snrtrain.simulation import simulated, simulated_pairs
from snrtrain.simulation.phantom import shepp_logan
from tests import scans
from tests.processes import forked
from tests.recon.simulation import noisy_kspace
from tests.snrtrain.raw_scan import write
from tests.snrtrain.rising_g import require_rising_g

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("anna", "bert", "carla")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three subjects: phantoms, a few thick slices each."""
    nibabel = pytest.importorskip("nibabel")
    folder = tmp_path_factory.mktemp("volumes")
    for number, name in enumerate(NAMES):
        data = np.repeat((100 * (number + 1) * shepp_logan(112)).numpy()[:, :, None], 6, axis=2)
        nibabel.save(nibabel.Nifti1Image(data, np.diag([1.5, 1.5, 7.0, 1.0])), folder / f"{name}.nii.gz")
    return folder


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def prepared(folder: Path, archive: Path, *options: str) -> Path:
    prepare.main(["volumes", str(folder), "--archive", str(archive), "--licence", "CC0", *options])
    return archive


@pytest.fixture(scope="module")
def archive(folder, tmp_path_factory) -> Path:
    return prepared(
        folder, tmp_path_factory.mktemp("archive") / "a", "--images", "1", "--stacks", "1", "--series", "1",
        "--no-synthetic",
    )  # fmt: skip


def test_every_split_has_entries_of_its_own_subject(archive):
    seen = set()
    for split in ("train", "validation", "test"):
        entries = Archive(archive, split).entries
        assert {entry.axis for entry in entries} == {"none", "slice", "time"}
        subjects = {entry.subject for entry in entries}
        assert len(subjects) == 1 and not subjects & seen
        seen |= subjects
        assert all(entry.source == f"{entry.subject}.nii.gz (CC0)" for entry in entries)
    assert seen == set(NAMES)


def test_entries_are_scans_at_r_1_with_their_noise_and_g_maps(archive):
    for entry in Archive(archive, "train").entries:
        n_frames = {"none": range(1, 2), "slice": range(5, 7), "time": range(8, 17)}[entry.axis]
        assert len(entry.clean) in n_frames and entry.clean.shape == entry.noise.shape
        assert entry.accelerations[0] == (1, 1) and np.array_equal(entry.gmaps[0], np.ones_like(entry.gmaps[0]))
        assert (2, 1) in entry.accelerations
        assert any(r2 > 1 for _, r2 in entry.accelerations) == (entry.axis == "slice")
        require_rising_g(entry)
        inside = np.abs(entry.clean) > 0.7 * entry.snr
        # Thousands of values; maps of noisy data take up to some percent of the noise, as at the scanner.
        assert not entry.own_noise and float(entry.noise[inside].real.std()) == pytest.approx(1, abs=0.12)


def test_what_is_finished_is_kept_and_the_rest_made_anew_by_any_number_of_processes(
    folder, archive, tmp_path, capsys, monkeypatch
):
    options = ("--images", "1", "--stacks", "0", "--series", "0", "--no-synthetic")
    before = {path: path.stat().st_mtime_ns for path in archive.glob("*/*/*/*")}
    prepared(folder, archive, *options)
    assert "0 made" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in archive.glob("*/*/*/*")} == before
    again = tmp_path / "b"
    with monkeypatch.context() as patched:
        patched.setattr(work.tqdm, "update", interrupt)  # as the first of them is told of
        with pytest.raises(KeyboardInterrupt):
            prepared(folder, again, *options, "--workers", "2")
    assert not active_children() and 1 <= len(list(again.glob("*/*/*/entry.json"))) < 3
    prepared(folder, again, *options)
    made = sorted(path.relative_to(again) for path in again.glob("*/*/*/*"))
    assert len(made) == 3 * 4 and all((again / path).read_bytes() == (archive / path).read_bytes() for path in made)


def test_an_interrupted_entry_is_made_again(folder, archive):
    (place,) = archive.glob("train/*/none-0000")
    clean = (place / "clean.npy").read_bytes()
    (place / "entry.json").unlink()
    (place / "clean.npy").write_bytes(clean[:100])
    prepared(folder, archive, "--images", "1", "--stacks", "0", "--series", "0", "--no-synthetic")
    assert (place / "clean.npy").read_bytes() == clean and (place / "entry.json").is_file()


def test_a_repeated_command_makes_the_same_of_subjects_without_entries_too(folder, tmp_path, capsys):
    many = tmp_path / "volumes"
    many.mkdir()
    for number in range(12):
        shutil.copyfile(folder / "anna.nii.gz", many / f"subject{number}.nii.gz")
    archive = tmp_path / "archive"
    options = ("--images", "1", "--stacks", "0", "--series", "0", "--no-synthetic")
    prepared(many, archive, *options)
    made = sorted(archive.glob("*/*/*"))
    (place,) = archive.glob("train/*/none-0000")
    clean = (place / "clean.npy").read_bytes()
    shutil.rmtree(place)
    capsys.readouterr()
    prepared(many, archive, *options)
    assert "1 made, 2 kept" in capsys.readouterr().out
    assert sorted(archive.glob("*/*/*")) == made and (place / "clean.npy").read_bytes() == clean


@pytest.fixture
def described(folder, tmp_path) -> Path:
    """Two files of one subject, one that is kept for testing, one without an entry, and a series."""
    import nibabel

    described = tmp_path / "described"
    described.mkdir()
    for name, source in (("anna_t1", "anna"), ("anna_t2", "bert"), ("kept", "carla"), ("other", "bert")):
        shutil.copyfile(folder / f"{source}.nii.gz", described / f"{name}.nii.gz")
    beating = (100 * shepp_logan(112)).numpy()[:, :, None, None] * (1 + 0.3 * np.sin(np.arange(12)))
    nibabel.save(nibabel.Nifti1Image(beating.astype(np.float32), np.eye(4)), described / "heart.nii.gz")
    (described / "sources.toml").write_text("""
        [anna_t1]
        subject = "anna"
        licence = "CC-BY-4.0"
        attribution = "A. Author"
        split = "train"
        [anna_t2]
        subject = "anna"
        licence = "CC0"
        [heart]
        split = "validation"
        licence = "Apache-2.0"
        [kept]
        split = "test"
        axis = "none"
        [gone]
        split = "test"
    """)
    return described


def test_a_folders_sources_toml_says_split_subject_licence_and_attribution(described, tmp_path, capsys):
    options = ("--images", "4", "--stacks", "1", "--series", "0", "--split=other=train", "--no-synthetic")
    archive = prepared(described, tmp_path / "a", *options)
    told = capsys.readouterr().out
    assert "has no entry for other: taken for subjects of their own" in told
    assert "has entries without a file, which are left out: gone" in told
    assert "train: 2 subjects: anna, other\nvalidation: 1 subject: heart\ntest: 1 subject: kept\n" in told
    assert "single images alone, for lack of 5 neighbouring slices at most 7.5 mm apart: kept\n" in told
    found = {split: Archive(archive, split).entries for split in ("train", "validation", "test")}
    whose = {(entry.subject, entry.source) for entry in found["train"]}
    terms = {"anna_t1": "CC-BY-4.0, A. Author", "anna_t2": "CC0", "other": "CC0"}
    assert whose <= {(name.partition("_")[0], f"{name}.nii.gz ({text})") for name, text in terms.items()}
    assert len(whose) > 1
    assert {entry.source for entry in found["validation"]} == {"heart.nii.gz (Apache-2.0)"}
    assert {entry.source for entry in found["test"]} == {"kept.nii.gz (CC0)"}, "--licence, where nobody says another"
    assert [len([e for e in found[split] if e.axis == "slice"]) for split in found] == [1, 0, 0]


def test_a_series_gives_series_that_keep_its_motion_and_single_images(described, tmp_path):
    archive = prepared(
        described, tmp_path / "a", "--images", "2", "--stacks", "0", "--series", "2", "--split=other=train"
    )
    entries = Archive(archive, "validation").entries
    assert {entry.axis for entry in entries} == {"none", "time"} and {entry.subject for entry in entries} == {"heart"}
    for entry in entries:
        if entry.axis == "time":
            assert 8 <= len(entry.clean) <= 12 and entry.clean.shape == entry.noise.shape
            inside = np.abs(entry.clean).mean(axis=0) > 0.3 * entry.snr
            course = np.abs(entry.clean)[:, inside].mean(axis=1)
            assert course.max() / course.min() > 1.1, "it beats"


def test_what_is_kept_for_testing_is_trained_on_only_by_a_choice_that_is_told(described, tmp_path, capsys):
    options = ("--images", "1", "--stacks", "0", "--series", "0", "--split=other=test", "--no-synthetic")
    prepared(described, tmp_path / "a", *options, "--split=kept=train")
    told = capsys.readouterr().out
    assert "kept goes into train by --split, against sources.toml, which keeps it for test: nothing may be" in told
    with pytest.raises(ConfigurationError, match=r"has subject kept in test, the archive in train; expected another"):
        prepared(described, tmp_path / "a", *options)


def test_pairs_leave_series_and_lists_out(described, tmp_path):
    with pytest.raises(ConfigurationError, match="no volume in .* is thick enough"):
        prepare.main(["pairs", str(described), "--archive", str(tmp_path / "a"), "--split=other=train"])


def test_a_mistake_in_sources_toml_ends_it_before_anything_is_made(described, tmp_path):
    (described / "sources.toml").write_text('[kept]\nsplits = "test"\n')
    for command in ("volumes", "pairs"):
        with pytest.raises(
            ConfigurationError, match=r"sources\.toml: \[kept\] has a key 'splits'; expected some of what"
        ):
            prepare.main([command, str(described), "--archive", str(tmp_path / "a")])
    assert not (tmp_path / "a").exists()


def test_the_seed_matters(folder, archive, tmp_path):
    other = prepared(folder, tmp_path / "c", "--images", "1", "--stacks", "0", "--series", "0", "--seed", "1")
    first = Archive(other, "train").entries[0]
    assert not np.array_equal(first.clean, Archive(archive, "train").entries[0].clean)


def test_pictures_phantoms_and_textures_are_for_training_alone(tmp_path):
    source = simulated.Source("anna", "volume", "CC0", tmp_path)
    counts = {split: {"none": 200, "slice": 0, "time": 50} for split in ("train", "validation")}
    tasks = simulated.plan(tmp_path, {"train": [source], "validation": [source]}, counts, 0)
    kinds = {split: [t.source.kind for t in tasks if t.place.parts[-3] == split] for split in counts}
    assert set(kinds["validation"]) == {"volume"}
    # 250 draws of 60 %: an SD of 3 %.
    assert kinds["train"].count("volume") / 250 == pytest.approx(0.6, abs=0.1)
    assert len({task.seed for task in tasks}) == len({task.place for task in tasks}) == 500


@pytest.mark.parametrize("kind", ["pictures", "phantoms", "textures"])
def test_other_objects_can_be_scanned(kind, tmp_path):
    if kind == "pictures":
        pytest.importorskip("skimage")
    (source,) = (s for s in simulated.GENERATORS if s.kind == kind)
    entry = simulated.make(simulated.Task(tmp_path, source, "none", (3,)))
    assert entry.clean.shape == (1, simulated.CROP, simulated.CROP) and np.isfinite(entry.clean).all()
    assert np.abs(np.angle(entry.clean[np.abs(entry.clean) > 0.5 * entry.snr])).max() > 0.01  # not real


def test_an_enlarged_map_lies_where_it_did():
    fine = np.hypot(*(np.indices((120, 96)) - np.array([60, 48])[:, None, None]))
    coarse = np.hypot(*((np.indices((40, 32)) - np.array([20, 16])[:, None, None]) * 3))
    place = slice(10, 90), slice(20, 84)
    # Linear between points three pixels apart: the cone's tip is cut by less than a pixel.
    assert np.abs(simulated.enlarged(coarse, (120, 96), place) - fine[place]).max() < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "-1"], "--images is -1; expected 0 or more"),
        (["--workers", "0"], "--workers is 0; expected 1 or more"),
        (["--seed", "-1"], "--seed is -1; expected 0 or more"),
        (["--split", "dora=train"], "--split names 'dora'; the subjects are: anna, bert, carla"),
        (["--split", "anna"], "expected NAME=SPLIT"),
    ],
)
def test_mistakes_are_named(folder, tmp_path, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        prepared(folder, tmp_path / "d", *arguments)
    assert not (tmp_path / "d").exists()


def test_a_corrupt_volume_is_named_before_anything_is_made(folder, tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.nii.gz").write_bytes((folder / f"{name}.nii.gz").read_bytes())
    whole = (tmp_path / "carla.nii.gz").read_bytes()
    (tmp_path / "carla.nii.gz").write_bytes(whole[: len(whole) // 2])
    command = forked("tools/prepare.py", "volumes", str(tmp_path), "--archive", str(tmp_path / "archive"))
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"prepare: volume {tmp_path / 'carla.nii.gz'} cannot be read: ")
    assert result.stderr.count("\n") == 1 and not (tmp_path / "archive").exists()


def test_raw_files_of_one_subject_go_into_one_split(raw_scan, tmp_path, capsys):
    files = [str(raw_scan(name)) for name in ("brain_16ch_r1", "brain_16ch_r3")]
    command = ["raw", *files, "--archive", str(tmp_path), "--licence", "MIT", "--subject", "head"]
    with pytest.raises(ConfigurationError, match=r"1 subject \(head\) leave"):
        prepare.main(command)
    prepare.main([*command, "--split", "head=validation"])
    told = capsys.readouterr().out
    assert "validation: 1 subject: head\n" in told and "train: 0 subjects" in told and "2 made, 0 kept" in told
    prepare.main(command)  # the archive knows the subject now
    assert "0 made, 2 kept" in capsys.readouterr().out
    entries = Archive(tmp_path, "validation").entries
    assert {entry.accelerations[0] for entry in entries} == {(1, 1), (3, 1)}
    assert {entry.subject for entry in entries} == {"head"} and entries[0].source == "brain_16ch_r1.h5 (MIT)"


@pytest.mark.parametrize("subject", ["../../../escaped", "/escaped", "a/b", "..", "", "s" * 300])
def test_a_subject_cannot_lead_out_of_the_archive(tmp_path, subject):
    command = ["raw", "scan.h5", "--archive", str(tmp_path / "a"), f"--subject={subject}"]
    with pytest.raises(ConfigurationError, match=r"--subject is '.*'; expected letters, digits, - _ and \. alone"):
        prepare.main(command)
    assert not any(tmp_path.iterdir())


def scan(path: Path, patient: str | None = None, seed: int = 0) -> Path:
    """A small raw scan of one slice; patient: its ID."""
    kspace = noisy_kspace(16, (1, 32, 32), snr=50, seed=seed).numpy()
    header = scans.header((1, 32, 32))
    if patient:
        header.subjectInformation = xsd.subjectInformationType(patientID=patient)
    path.parent.mkdir(exist_ok=True)
    return write(path, header, scans.acquisitions(kspace, [(0, y) for y in range(32)]))


def test_another_file_of_one_name_and_subject_is_refused_and_a_deleted_entry_made_again(tmp_path, capsys):
    first, second = (scan(tmp_path / folder / "scan.h5", seed=seed) for seed, folder in enumerate(("d1", "d2")))
    archive = tmp_path / "archive"
    command = ["--archive", str(archive), "--subject", "P1", "--split", "P1=train"]
    prepare.main(["raw", str(first), *command])
    with pytest.raises(ConfigurationError, match=r"P1 has entries of another scan\.h5, not of .*d2/scan\.h5; expected"):
        prepare.main(["raw", str(second), *command])
    prepare.main(["raw", str(first), *command])
    assert "0 made, 1 kept" in capsys.readouterr().out
    (place,) = archive.glob("train/P1/*/")
    shutil.rmtree(place)
    prepare.main(["raw", str(first), *command])
    assert "1 made, 0 kept" in capsys.readouterr().out and len(Archive(archive, "train").entries) == 1


def test_files_of_one_patient_are_refused_in_splits_that_nobody_chose(tmp_path):
    files = [str(scan(tmp_path / "scans" / f"s{number}.h5", patient=f"P{number // 2}")) for number in range(4)]
    with pytest.raises(ConfigurationError, match=r"s\d\.h5 and .*s\d\.h5 have one patientID, yet go into "):
        prepare.main(["raw", *files, "--archive", str(tmp_path / "a")])
    assert not (tmp_path / "a").exists()
    prepare.main(["raw", *files[:2], "--archive", str(tmp_path / "a"), "--split=s0=train", "--split=s1=test"])
    assert len(Archive(tmp_path / "a", "test").entries) == 1


def test_pairs_need_volumes_that_are_thick_and_scans_in_3d(folder, raw_scan, tmp_path):
    with pytest.raises(ConfigurationError, match="no volume in .* is thick enough"):
        prepare.main(["pairs", str(folder), "--archive", str(tmp_path)])
    command = ["pairs", str(raw_scan("brain_16ch_r3")), "--archive", str(tmp_path), "--split", "brain_16ch_r3=train"]
    with pytest.raises(ConfigurationError, match=r"brain_16ch_r3\.h5 has one partition"):
        prepare.main(command)


def test_pairs_of_volumes_tell_the_truth_where_they_are_not_trained_on(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    depth = np.sin(np.pi * (np.arange(28) + 0.5) / 28)
    data = (100 * shepp_logan(96)).numpy()[:, :, None] * depth
    nibabel.save(nibabel.Nifti1Image(data, np.diag([2.0, 2.0, 6.0, 1.0])), volumes / "anna.nii.gz")
    prepare.main(["pairs", str(volumes), "--count", "1", "--archive", str(tmp_path / "a"), "--split", "anna=test"])
    (pair,) = Archive(tmp_path / "a", "test").pairs
    assert len(pair.first) == 28 and pair.source == "anna.nii.gz (licence not stated)"
    errors = [float(np.abs(image - pair.reference).mean()) for image in (pair.first, pair.second, pair.plain)]
    assert errors[2] < min(errors[:2])
    assert np.allclose(np.abs(pair.whole), pair.plain, rtol=1e-3) and pair.noise.shape == pair.plain.shape
    source = simulated.Source("anna", "volume", "CC0", volumes)
    (task,) = simulated_pairs.plan(tmp_path, {"train": [source]}, {"train": 1}, 0)
    assert not task.to_judge
