"""Subjects and splits: each in one."""

from collections import Counter

import pytest

from snrstream.errors import ConfigurationError
from snrtrain.archive.subjects import assign, in_archive, keep, overruled, parse_choices, told

MANY = [f"subject{number}" for number in range(30)]


def test_what_sources_toml_says_comes_before_the_seed_and_after_a_choice():
    said = {"subject1": "test", "subject2": "validation", "subject3": "test"}
    splits = assign(MANY, {"subject3": "train"}, {}, 0, said)
    assert (splits["subject1"], splits["subject2"], splits["subject3"]) == ("test", "validation", "train")
    assert Counter(splits.values()) == {"train": 24, "validation": 3, "test": 3}
    assert overruled(splits, said) == [
        "subject3 goes into train by --split, against sources.toml, which keeps it for test: "
        "nothing may be measured by it"
    ]


def test_an_archive_that_contradicts_sources_toml_is_told():
    with pytest.raises(ConfigurationError, match=r"has subject subject3 in test, the archive in train; expected .*or"):
        assign(MANY, {}, {"subject3": "train"}, 0, {"subject3": "test"})
    chosen = assign(MANY, {"subject3": "train"}, {"subject3": "train"}, 0, {"subject3": "test"})
    assert chosen["subject3"] == "train"


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_eight_to_one_to_one_and_come_from_the_seed(seed):
    splits = assign(MANY, {}, {}, seed)
    assert Counter(splits.values()) == {"train": 24, "validation": 3, "test": 3}
    assert list(splits) == sorted(MANY)
    assert splits == assign(reversed(MANY), {}, {}, seed) != assign(MANY, {}, {}, seed + 1)


def test_three_subjects_fill_all_splits():
    assert sorted(assign(["a", "b", "c"], {}, {}, 0).values()) == ["test", "train", "validation"]


def test_a_repeated_command_splits_as_it_did(tmp_path):
    splits = assign(MANY, {"subject4": "test"}, {}, 0)
    keep(tmp_path, splits)
    assert list(assign(MANY, {}, in_archive(tmp_path), 0).items()) == list(splits.items())


def test_a_choice_and_the_archive_come_first():
    splits = assign(MANY, {"subject1": "test"}, {"subject2": "validation", "earlier": "train"}, 0)
    assert splits["subject1"] == "test" and splits["subject2"] == "validation" and "earlier" not in splits


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
def test_too_few_subjects_are_told(names):
    with pytest.raises(ConfigurationError, match=rf"^{len(names)} subjects? \(.*leave none for .*test; expected 3 or"):
        assign(names, {}, {}, 0)
    assert assign(names, dict.fromkeys(names, "train"), {}, 0) == dict.fromkeys(names, "train")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"nobody": "train"}, "--split names 'nobody'; the subjects are: subject0"),
        ({"subject0": "dev"}, "--split subject0=dev; expected one of train, validation, test"),
        ({"subject3": "test"}, "has that subject in train already"),
    ],
)
def test_choices_that_cannot_be_are_told(chosen, message):
    with pytest.raises(ConfigurationError, match=message):
        assign(MANY, chosen, {"subject3": "train"}, 0)


def test_choices_are_name_and_split():
    assert parse_choices(["a=train", "b=c=test"]) == {"a": "train", "b=c": "test"}
    for text in ("a", "=train"):
        with pytest.raises(ConfigurationError, match="expected NAME=SPLIT"):
            parse_choices([text])
    with pytest.raises(ConfigurationError, match="each name once"):
        parse_choices(["a=train", "a=test"])


def test_the_subjects_of_an_archive_are_its_folders(tmp_path):
    (tmp_path / "train/head/none-0000").mkdir(parents=True)
    (tmp_path / "test/knee").mkdir(parents=True)
    assert in_archive(tmp_path) == {"head": "train", "knee": "test"}
    assert in_archive(tmp_path / "nowhere") == {}


def test_the_split_that_was_made_is_told_with_all_its_names():
    splits = {"anna": "train", "bert": "test", "carla": "train"}
    assert told(splits, {"bert": "test", "dora": "train"}).splitlines() == [
        "train: 2 subjects, beside 1 that the archive has: anna, carla",
        "validation: 0 subjects: none",
        "test: 1 subject: bert",
    ]
