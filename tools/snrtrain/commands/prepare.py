"""Make a training archive of raw scans and of magnitude volumes, split by subject into train, validation and test.

    python tools/prepare.py volumes FOLDER --archive ARCHIVE --images 2000 --stacks 300 --series 300 --workers 8
    python tools/prepare.py raw SCAN.h5 ... --archive ARCHIVE [--subject NAME]
    python tools/prepare.py pairs FOLDER|SCAN.h5 ... --archive ARCHIVE

`volumes` scans them in simulation (coils, phase, noise); `raw` reconstructs ISMRMRD files with the code that runs at
the scanner; `pairs` makes the volumes of sN2N, two images each out of disjoint halves of k-space. Several commands may
fill one archive. What is finished is kept: an interrupted command goes on where it was. A subject, which is a file
unless --subject or the folder's sources.toml joins some, goes into one split: by --split, else by sources.toml, else by
--seed, 8 to 1 to 1, and stays there.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from snrstream.errors import ConfigurationError
from snrstream.system.resources import LONGEST_NAME, is_plain_name
from snrtrain.archive import production, raw, series, sources, subjects, volumes
from snrtrain.archive.archive import SPLITS
from snrtrain.commands.parser import Parser
from snrtrain.methods import pairs
from snrtrain.simulation import simulated, simulated_pairs
from snrtrain.simulation.simulated import Source

UNKNOWN_LICENCE = "licence not stated"
FEWEST_HELD_OUT = 2
INTERRUPTED = "interrupted; the same command goes on from here"


def main(arguments: list[str] | None = None) -> None:
    """Make an archive. Raises ConfigurationError where it cannot."""
    options = _parser().parse_args(arguments)
    least_of = {"workers": 1, "channels": 1, "images": 0, "stacks": 0, "series": 0, "count": 0, "seed": 0}
    for name, least in least_of.items():
        value = getattr(options, name, None)
        if value is not None and value < least:
            raise ConfigurationError(f"--{name} is {value}; expected {least} or more")
    options.run(options)


def _volumes(options: argparse.Namespace) -> None:
    folder = volumes.volume_folder(options.folder)
    origins = _origins(folder)
    splits = _splits(
        options, [origin.subject for origin in origins.values()], sources.splits_of(origins.values(), folder)
    )
    made_of = _checked(options, folder, origins, splits)
    wanted = {"none": options.images, "slice": options.stacks, "time": options.series}
    counts = {split: {axis: _count(n, split) for axis, n in wanted.items()} for split in SPLITS}
    subjects.keep(options.archive, splits)
    tasks = simulated.plan(options.archive, made_of, counts, options.seed, not options.no_synthetic)
    _say(options, len(tasks), production.complete(tasks, simulated.make, options.workers, "scans"))


def _raw(options: argparse.Namespace) -> None:
    files = _subjects([Path(file) for file in options.files], options.subject)
    patients = {path: raw.check(path) for path in files}
    splits = _splits(options, files.values())
    _check_patients(options, files, patients, splits)
    subjects.keep(options.archive, splits)
    _store_raw(options, files, splits, "entries")


def _pairs(options: argparse.Namespace) -> None:
    folders = [Path(source) for source in options.sources if Path(source).is_dir()]
    files = _subjects([Path(s) for s in options.sources if Path(s) not in folders], options.subject)
    patients = {path: raw.check(path) for path in files}
    origins = {folder: _origins(folder) for folder in folders}
    every = [origin for of_folder in origins.values() for origin in of_folder.values()]
    said = sources.splits_of(every, " and ".join(map(str, folders)))
    splits = _splits(options, [*files.values(), *(origin.subject for origin in every)], said)
    _check_patients(options, files, patients, splits)
    tasks = []
    for folder in folders:
        counts = {split: _count(options.count, split) for split in SPLITS}
        of_folder = _checked(options, folder, origins[folder], splits)
        tasks += simulated_pairs.plan(options.archive, of_folder, counts, options.seed)
    if folders and not tasks:
        raise ConfigurationError(
            f"no volume in {folders[0]} is thick enough to be split; expected "
            f"{simulated_pairs.FEWEST_PARTITIONS} slices over {simulated_pairs.THINNEST:g} of the field of view"
        )
    subjects.keep(options.archive, splits)
    if tasks:
        _say(options, len(tasks), production.complete(tasks, simulated_pairs.make, options.workers, "pairs"))
    if files:
        _store_raw(options, files, splits, "pairs")


def _origins(folder: Path) -> dict[str, sources.Origin]:
    """The origin of each file in a folder; where sources.toml and the folder do not agree, that is told."""
    known, names = sources.read(folder), volumes.names_in(folder)
    for line in sources.told(folder, known, names):
        print(line, flush=True)
    return sources.of_names(known, names)


def _checked(
    options: argparse.Namespace, folder: Path, origins: dict[str, sources.Origin], splits: dict[str, str]
) -> dict[str, list[Source]]:
    """The volumes and series of each split, all of them read once before anything is simulated."""
    checked: dict[str, list[Source]] = {split: [] for split in SPLITS}
    apart: list[str] = []
    for name, origin in origins.items():
        split, terms = splits[origin.subject], origin.terms(options.licence or UNKNOWN_LICENCE)
        kind: Literal["series", "volume"] = "series" if series.is_series(folder, name) else "volume"
        source = Source(origin.subject, kind, terms, folder, floor=split != "test", name=name)
        source.check()
        checked[split].append(source)
        apart += [name] * (kind == "volume" and not source.has_neighbours())
    if apart:
        print(
            f"single images alone, for lack of {volumes.FEWEST_SLICES} neighbouring slices at most "
            f"{volumes.FARTHEST_MM:g} mm apart: {', '.join(apart)}",
            flush=True,
        )
    return checked


def _subjects(files: list[Path], subject: str | None) -> dict[Path, str]:
    """Files and their subjects. Raises ConfigurationError for two files of one name, and a subject that is none."""
    if subject is not None and not is_plain_name(subject):
        raise ConfigurationError(
            f"--subject is {subject!r}; expected letters, digits, - _ and . alone, {LONGEST_NAME} at most"
        )
    by_name: dict[str, Path] = {}
    for path in files:
        if by_name.setdefault(path.stem, path) != path:
            raise ConfigurationError(f"{by_name[path.stem]} and {path} have one name; expected different ones")
    return {path: subject or path.stem for path in files}


def _check_patients(
    options: argparse.Namespace, files: dict[Path, str], patients: dict[Path, str | None], splits: dict[str, str]
) -> None:
    """Raises ConfigurationError where files of one patient go into different splits that the user did not choose."""
    chosen = subjects.parse_choices(options.split)
    firsts: dict[str, Path] = {}
    for path, name in files.items():
        first = firsts.setdefault(patients[path] or str(path), path)
        other = files[first]
        if splits[other] != splits[name] and not {other, name} <= set(chosen):
            raise ConfigurationError(
                f"{first} and {path} have one patientID, yet go into {splits[other]} and {splits[name]}; "
                "expected --subject NAME for the files of one, or --split NAME=SPLIT for each"
            )


def _store_raw(options: argparse.Namespace, files: dict[Path, str], splits: dict[str, str], what: str) -> None:
    licence = options.licence or UNKNOWN_LICENCE
    tasks = [
        raw.FileTask(options.archive / splits[name] / name, path, name, licence, options.channels)
        for path, name in files.items()
    ]
    missing = [task for task in tasks if not task.is_done(what)]
    store = raw.store if what == "entries" else pairs.store
    production.run(store, missing, options.workers, "files", n_done=len(tasks) - len(missing))
    _say(options, len(tasks), len(missing))


def _splits(options: argparse.Namespace, names: Iterable[str], said: Mapping[str, str] | None = None) -> dict[str, str]:
    """The split of each subject, which is also printed: what a model learns from must not be what it is judged by.

    said: by sources.toml.
    """
    known = subjects.in_archive(options.archive)
    splits = subjects.assign(names, subjects.parse_choices(options.split), known, options.seed, said or {})
    print("\n".join([*subjects.overruled(splits, said or {}), subjects.told(splits, known)]), flush=True)
    return splits


def _count(n_train: int, split: str) -> int:
    """Of a split: a tenth of those of train, and no fewer than two, to validate and to test on."""
    return n_train if split == "train" else min(n_train, max(FEWEST_HELD_OUT, round(0.1 * n_train)))


def _say(options: argparse.Namespace, n_all: int, n_made: int) -> None:
    print(f"{options.archive}: {n_made} made, {n_all - n_made} kept")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    of_volumes = commands.add_parser(
        "volumes",
        help="scan magnitude volumes and series in simulation: single images, stacks and series",
        description="Scan magnitude volumes (x, y, z) and series (x, y, slice, phase) in simulation. Single images, "
        "stacks and series are all made, unless their number is 0: as many as given to train on; to validate and to "
        "test on a tenth of that each, two at least.",
    )
    of_volumes.add_argument("folder", nargs="?", help="of .nii.gz files; default: $SNRSTREAM_TEST_DATA/volumes")
    of_volumes.add_argument("--images", type=int, default=60, help="single images to train on (%(default)s)")
    of_volumes.add_argument("--stacks", type=int, default=12, help="stacks of neighbouring slices (%(default)s)")
    of_volumes.add_argument("--series", type=int, default=12, help="series that move and change (%(default)s)")
    of_volumes.add_argument("--no-synthetic", action="store_true", help="no pictures, phantoms and textures")
    of_raw = commands.add_parser(
        "raw",
        help="reconstruct raw scans",
        description="Reconstruct raw scans. Each file is taken for a subject of its own, so scans of one person may "
        "come into different splits: give those together with --subject. Files of one command whose headers have the "
        "same patientID are refused in different splits; more of a person than that is not recognised.",
    )
    of_raw.add_argument("files", nargs="+", metavar="SCAN.h5")
    of_pairs = commands.add_parser("pairs", help="make pairs for sN2N of raw scans in 3D or of simulated ones")
    of_pairs.add_argument("sources", nargs="+", metavar="FOLDER|SCAN.h5", help="folder of .nii.gz files; raw scan")
    of_pairs.add_argument("--count", type=int, default=24, help="simulated ones to train on (%(default)s)")
    for command, run in ((of_volumes, _volumes), (of_raw, _raw), (of_pairs, _pairs)):
        command.set_defaults(run=run)
        command.add_argument("--archive", type=Path, required=True, help="folder, made where there is none")
        command.add_argument(
            "--split", action="append", default=[], metavar="NAME=SPLIT", help="where a subject goes; repeatable"
        )
        command.add_argument(
            "--licence", metavar="'LICENCE[, ATTRIBUTION]'",
            help="of files for which no sources.toml tells it, for the model's card",
        )  # fmt: skip
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    for command in (of_raw, of_pairs):
        command.add_argument("--subject", metavar="NAME", help="whose scans all these are; default: the file's name")
        command.add_argument("--channels", type=int, help="compress raw data to so many; default: as scanned")
    return parser
