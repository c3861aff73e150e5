"""sources.toml: what it says of a folder's volumes, and mistakes in it."""

from pathlib import Path

import pytest

from snrstream.errors import ConfigurationError
from snrtrain.archive import sources
from snrtrain.archive.archive import parts_of
from snrtrain.archive.sources import Origin

WHOLE = """
[a_flair]
what = "FLAIR brain"
subject = "a"
licence = "CC-BY-4.0"
attribution = "A. Author et al., by some_project (2020)"
split = "test"

[a_t1]
subject = "a"

[list]
licence = "CC0"
axis = "none"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "sources.toml").write_text(text)
    return folder


def test_entries_are_read_in_order_and_a_subjects_split_is_that_of_all_its_files(tmp_path):
    origins = sources.read(written(tmp_path, WHOLE))
    assert list(origins) == ["a_flair", "a_t1", "list"]
    assert origins["a_t1"] == Origin("a", split="test")
    assert origins["list"] == Origin("list", "CC0", axis="none")
    assert sources.of_names(origins, ["list", "other"]) == {"list": origins["list"], "other": Origin("other")}


def test_licence_and_attribution_come_back_from_an_entrys_source(tmp_path):
    origins = sources.read(written(tmp_path, WHOLE))
    terms = {name: origin.terms("licence not stated") for name, origin in origins.items()}
    assert terms["a_t1"] == "licence not stated" and terms["list"] == "CC0"
    source = f"a (2).nii.gz ({terms['a_flair']})"
    assert parts_of(source) == ("a (2).nii.gz", "CC-BY-4.0", "A. Author et al., by some_project (2020)")
    assert parts_of("phantoms (generated)") == ("phantoms", "generated", "")
    assert parts_of("phantoms") == ("phantoms", "", "")


def test_a_folder_without_the_file_says_nothing(tmp_path):
    assert sources.read(tmp_path) == {} and sources.told(tmp_path, {}, ["a"]) == []


def test_what_file_and_folder_do_not_agree_on_is_told(tmp_path):
    origins = sources.read(written(tmp_path, WHOLE))
    lacking, gone = sources.told(tmp_path, origins, ["list", "other", "a_t1"])
    assert "has no entry for other: taken for subjects of their own" in lacking
    assert gone.endswith("has entries without a file, which are left out: a_flair")
    assert sources.told(tmp_path, origins, list(origins)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "is not TOML: "),
        ('a = "CC0"', r"a is 'CC0'; expected a table \[a\] with what, subject"),
        ('[a]\nlicense = "CC0"', r"\[a\] has a key 'license'; expected some of what, subject, licence"),
        ("[a.nii.gz]", r"\[a\] has a key 'nii'"),
        ("[a]\nlicence = 3", r"licence of \[a\] is 3; expected a text of one line"),
        ('[a]\nattribution = "b\\nc"', r"attribution of \[a\] is 'b\\nc'; expected a text of one line"),
        ('[a]\nlicence = ""', r"licence of \[a\] is ''; expected a text of one line"),
        ('[a]\nlicence = "MIT, A"', "expected no comma"),
        ('[a]\nattribution = "a) b"', "expected every parenthesis to be closed"),
        ('[a]\nsplit = "dev"', r"split of \[a\] is 'dev'; expected one of train, validation, test"),
        ('[a]\naxis = "time"', r"axis of \[a\] is 'time'; expected one of slice, none"),
        ('[a]\nsubject = "../b"', r"subject of \[a\] is '\.\./b'; expected letters, digits"),
        (
            '[a]\nsubject = "s"\nsplit = "train"\n[b]\nsubject = "s"\nsplit = "test"',
            r"has subject s in train and in test; expected all of a subject in one split",
        ),
        (f"a = {'[' * 5000}{']' * 5000}", "nested too deep"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=rf"sources\.toml.*{message}"):
        sources.read(written(tmp_path, text))


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "sources.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"sources\.toml cannot be read: Is a directory"):
        sources.read(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "sources.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"sources\.toml is not TOML: "):
        sources.read(other)
