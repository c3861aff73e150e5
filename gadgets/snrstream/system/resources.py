"""Where the pipelines and models lie.

Those that ship: beside the package when installed, else in the repository. Those of the user: in the folders that the
environment names.
"""

import os
import re
from pathlib import Path

DEFAULT_PIPELINE = "grappa_denoise"

LONGEST_NAME = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def folder(kind: str) -> Path:
    """The folder `pipelines` or `models`; SNRSTREAM_PIPELINES or SNRSTREAM_MODELS where that is set."""
    return folders(kind)[0]


def folders(kind: str) -> list[Path]:
    """The folders of `models`, in the order in which a name is looked up: the user's, then the shipped one.

    kind: `models` is a list of folders in the environment, SNRSTREAM_MODELS, parted by `:` as in PATH.
    """
    given = os.environ.get(f"SNRSTREAM_{kind.upper()}", "").split(os.pathsep)
    return [*(Path(place) for place in given if place), shipped_folder(kind)]


def shipped_folder(kind: str) -> Path:
    """The folder `pipelines` or `models` that ships."""
    package = Path(__file__).resolve().parents[1]
    installed = package / kind
    return installed if installed.is_dir() else package.parents[1] / kind


def is_plain_name(name: str) -> bool:
    """Whether `name` is a single file name, so that it cannot lead out of a folder."""
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None and ".." not in name
