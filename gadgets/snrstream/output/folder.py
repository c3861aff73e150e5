"""The folder of outputs: what may be replaced in it, and what is."""

import re
from pathlib import Path

import h5py

from ..errors import ConfigurationError
from ..system.interruption import uninterrupted

OUTPUT_NAMES = ("images.h5", "dicom", "preview.png")


def check_replaceable(folder: Path) -> None:
    """Require a folder for outputs: new, empty, or with those of an earlier run, which are replaced.

    A folder named dicom may hold somebody's only copy of a scan: none but our own files are replaced. And outputs do
    not go among files of another kind, such as raw scans, unless earlier ones are there already. Hidden files do not
    count.

    Raises
    ------
    ConfigurationError
        The folder holds something else, or cannot be read.
    """
    try:
        _check_our_names(folder)
        _check_others(folder)
    except OSError as error:
        raise ConfigurationError(f"output folder {folder} cannot be read: {error.strerror or error}") from error


def _check_others(folder: Path) -> None:
    if not folder.is_dir() or (folder / "images.h5").is_file():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name not in OUTPUT_NAMES and path.name[0] != ".")
    if others:
        raise ConfigurationError(
            f"output folder {folder} holds files that snrstream did not write ({others[0]}, {len(others)} in all); "
            "expected a new folder, an empty one or one with earlier outputs"
        )


def _check_our_names(folder: Path) -> None:
    for output in ("images.h5", "preview.png"):
        if (folder / output).is_dir():
            raise ConfigurationError(f"{folder / output} is a folder, expected a file or nothing")
    if (folder / "images.h5").is_file() and _holds_raw_data(folder / "images.h5"):
        raise ConfigurationError(
            f"{folder / 'images.h5'} is a raw scan and would be lost: choose another output folder"
        )
    dicom = folder / "dicom"
    if not dicom.exists() and not dicom.is_symlink():  # a link that leads nowhere cannot be written either
        return
    if not dicom.is_dir():
        raise ConfigurationError(f"{dicom} is a file, expected a folder or nothing")
    ours = re.compile(r"series\d+_image\d+(_\d+)?\.dcm")
    foreign = sorted(path.name for path in dicom.iterdir() if not ours.fullmatch(path.name))
    if foreign:
        raise ConfigurationError(
            f"{dicom} holds files that snrstream did not write ({foreign[0]}, {len(foreign)} in all) and "
            "would delete: choose another output folder"
        )


def _holds_raw_data(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "dataset/data" in file
    except OSError:
        return False


class Replacement:
    """New outputs in the place of earlier ones, never beside them: with the first new one, all earlier ones go.

    Parameters
    ----------
    folder : Path
        Where they lie.
    staging : Path
        A folder in the same file system, where new ones are made, and earlier ones end.
    """

    def __init__(self, folder: Path, staging: Path) -> None:
        self._folder, self._staging = folder, staging
        self._has_new = False

    def move_in(self, name: str) -> None:
        """Move a new output from the staging folder in place. Raises OSError, with all as it was."""
        with uninterrupted():
            moved = [] if self._has_new else [other for other in OUTPUT_NAMES if (self._folder / other).exists()]
            done = []
            try:
                for other in moved:
                    (self._folder / other).rename(self._staging / f"earlier_{other}")
                    done.append(other)
                (self._staging / name).rename(self._folder / name)
            except OSError:
                for other in done:
                    (self._staging / f"earlier_{other}").rename(self._folder / other)
                raise
            self._has_new = True
