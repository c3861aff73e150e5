"""Every subject goes wholly into one split: train, validation or test."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from snrstream.errors import ConfigurationError
from snrtrain.archive.archive import SPLITS
from snrtrain.archive.production import writing

SPLIT_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def assign(
    names: Iterable[str], chosen: Mapping[str, str], known: Mapping[str, str], seed: int, said: Mapping[str, str] = {}
) -> dict[str, str]:  # fmt: skip
    """The split of each subject in `names`.

    In the order of their names, by `chosen`, what the user says; else as in the archive already (`known`), and as the
    volumes' sources.toml has it (`said`); the others by `seed`, so that each split has one and the shares come near to
    `SPLIT_SHARES`. Raises ConfigurationError for a choice that contradicts another or the archive, where the archive
    contradicts sources.toml and no choice says so, and where subjects that nobody chose for leave a split empty.
    """
    subjects = sorted(set(names))
    for name, split in chosen.items():
        if name not in subjects:
            raise ConfigurationError(f"--split names {name!r}; the subjects are: {', '.join(subjects)}")
        if split not in SPLITS:
            raise ConfigurationError(f"--split {name}={split}; expected one of {', '.join(SPLITS)}")
        if known.get(name, split) != split:
            raise ConfigurationError(f"--split {name}={split}; the archive has that subject in {known[name]} already")
    for name in set(subjects) & set(known) & set(said) - set(chosen):
        if known[name] != said[name]:
            raise ConfigurationError(
                f"sources.toml has subject {name} in {said[name]}, the archive in {known[name]}; expected another "
                f"archive, or --split {name}={known[name]}"
            )
    wanted = {name: chosen.get(name) or known.get(name) or said.get(name) for name in subjects}
    splits = {name: split for name, split in wanted.items() if split}
    free = [name for name in subjects if name not in splits]
    everyone = {**known, **splits}
    total = len(everyone) + len(free)
    for index in np.random.default_rng(seed).permutation(len(free)):
        counts = {split: list(everyone.values()).count(split) for split in SPLITS}
        empty = [split for split in SPLITS if counts[split] == 0]
        split = empty[0] if empty else max(SPLITS, key=lambda name: SPLIT_SHARES[name] * total - counts[name])
        everyone[free[index]] = splits[free[index]] = split
    lacking = [split for split in SPLITS if split not in everyone.values()]
    if lacking and not set(subjects) <= set(chosen) | set(known) | set(said):
        raise ConfigurationError(
            f"{total} subject{'s' if total > 1 else ''} ({', '.join(sorted(everyone))}) leave none for "
            f"{' and '.join(lacking)}; expected 3 or more, or --split NAME=SPLIT for each"
        )
    return {name: splits[name] for name in subjects}


def told(splits: Mapping[str, str], known: Mapping[str, str]) -> str:
    """A line for each split: how many subjects, and which. known: those that the archive has had before."""
    lines = []
    for split in SPLITS:
        names = [name for name, where in splits.items() if where == split]
        before = sum(where == split and name not in splits for name, where in known.items())
        more = f", beside {before} that the archive has" if before else ""
        lines.append(
            f"{split}: {len(names)} subject{'' if len(names) == 1 else 's'}{more}: {', '.join(names) or 'none'}"
        )
    return "\n".join(lines)


def overruled(splits: Mapping[str, str], said: Mapping[str, str]) -> list[str]:
    """A line for each subject that is in another split than sources.toml has it in; those of test first."""
    return [
        f"{name} goes into {splits[name]} by --split, against sources.toml, which keeps it for {said[name]}"
        + ": nothing may be measured by it" * (said[name] == "test")
        for name in sorted(said, key=lambda name: (said[name] != "test", name))
        if splits.get(name, said[name]) != said[name]
    ]


def keep(folder: Path, splits: Mapping[str, str]) -> None:
    """Make each subject's folder in the archive, so that it stays in its split before it has entries as well."""
    for name, split in splits.items():
        place = folder / split / name
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)


def in_archive(folder: Path) -> dict[str, str]:
    """The split of each subject that an archive has a folder of."""
    return {path.name: split for split in SPLITS for path in sorted((folder / split).glob("*")) if path.is_dir()}


def parse_choices(texts: Iterable[str]) -> dict[str, str]:
    """`name=split` texts as a mapping. Raises ConfigurationError for others, and for a name that comes twice."""
    chosen: dict[str, str] = {}
    for text in texts:
        name, separator, split = text.rpartition("=")
        if not separator or not name or chosen.get(name, split) != split:
            raise ConfigurationError(f"--split is {text!r}; expected NAME=SPLIT, each name once")
        chosen[name] = split
    return chosen
