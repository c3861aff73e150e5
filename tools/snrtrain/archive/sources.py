"""What a folder of volumes tells of its files: whose they are, under which licence, in which split.

`sources.toml` has a table for each file, every key of which may be left out:

    [NAME]                 # of NAME.nii.gz
    what = "T2 brain"      # for people
    subject = "anna"       # whose files go into one split; the file's name where it is not said
    licence = "CC-BY-4.0"
    attribution = "A. Author, the project's name"
    split = "train"        # or validation, or test
    axis = "none"          # the third axis is no direction: a list of images, no neighbours; else "slice"
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snrstream.errors import ConfigurationError
from snrstream.system.resources import LONGEST_NAME, is_plain_name
from snrtrain import toml_file
from snrtrain.archive.archive import SPLITS

FILE = "sources.toml"
KEYS = ("what", "subject", "licence", "attribution", "split", "axis")
CHOICES = {"split": SPLITS, "axis": ("slice", "none")}


@dataclass(frozen=True)
class Origin:
    """One file's entry. licence, attribution: empty where nobody said. split: None then. axis: of what the third is."""

    subject: str
    licence: str = ""
    attribution: str = ""
    split: str | None = None
    axis: str = "slice"

    def terms(self, otherwise: str) -> str:
        """Licence and attribution as a model's card has them; otherwise: the licence where the entry has none."""
        return ", ".join(part for part in (self.licence or otherwise, self.attribution) if part)


def read(folder: Path) -> dict[str, Origin]:
    """The entries of a folder's sources.toml by file name without its ending, in their order; none without the file.

    Raises ConfigurationError where it cannot be read, or says what cannot be.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    tables = toml_file.read(path, str(path), "a table for each volume")
    origins = {name: _origin(path, name, table) for name, table in tables.items()}
    splits = splits_of(origins.values(), path)
    return {name: replace(origin, split=splits.get(origin.subject)) for name, origin in origins.items()}


def of_names(origins: Mapping[str, Origin], names: Iterable[str]) -> dict[str, Origin]:
    """The origin of each file; one that has no entry is a subject of its own."""
    return {name: origins.get(name) or Origin(name) for name in names}


def splits_of(origins: Iterable[Origin], where: object) -> dict[str, str]:
    """The split of each subject that has one. Raises ConfigurationError, naming `where`, for a subject in two."""
    splits: dict[str, str] = {}
    for origin in origins:
        if origin.split and splits.setdefault(origin.subject, origin.split) != origin.split:
            raise ConfigurationError(
                f"{where} has subject {origin.subject} in {splits[origin.subject]} and in {origin.split}; "
                "expected all of a subject in one split"
            )
    return splits


def told(folder: Path, origins: Mapping[str, Origin], names: Iterable[str]) -> list[str]:
    """A line for each kind of file that sources.toml and the folder do not agree on; none without the file."""
    if not (folder / FILE).is_file():
        return []
    here = set(names)
    lacking, gone = sorted(here - set(origins)), sorted(set(origins) - here)
    lines = []
    if lacking:
        lines.append(
            f"{folder / FILE} has no entry for {', '.join(lacking)}: taken for subjects of their own, split by --split "
            "or --seed, under --licence"
        )
    if gone:
        lines.append(f"{folder / FILE} has entries without a file, which are left out: {', '.join(gone)}")
    return lines


def _origin(path: Path, name: str, table: Any) -> Origin:
    """Raises ConfigurationError, naming the file and the entry, for what cannot be."""
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: {name} is {table!r}; expected a table [{name}] with {', '.join(KEYS)}")
    for key, value in table.items():
        where = f"{path}: {key} of [{name}] is {value!r}"
        if key not in KEYS:
            raise ConfigurationError(f"{path}: [{name}] has a key {key!r}; expected some of {', '.join(KEYS)}")
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ConfigurationError(f"{where}; expected a text of one line")
        if key in CHOICES and value not in CHOICES[key]:
            raise ConfigurationError(f"{where}; expected one of {', '.join(CHOICES[key])}")
        if key == "subject" and not is_plain_name(value):
            raise ConfigurationError(f"{where}; expected letters, digits, - _ and . alone, {LONGEST_NAME} at most")
        if key in ("licence", "attribution") and not _is_balanced(value):
            raise ConfigurationError(f"{where}; expected every parenthesis to be closed")
        if key == "licence" and "," in value:
            raise ConfigurationError(
                f"{where}; expected no comma: what follows one is the attribution, a key of its own"
            )
    return Origin(
        table.get("subject", name), table.get("licence", ""), table.get("attribution", ""), table.get("split"),
        table.get("axis", "slice"),
    )  # fmt: skip


def _is_balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0
