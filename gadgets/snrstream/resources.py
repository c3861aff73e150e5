"""Where the pipelines and models lie: beside the package when installed, in the repository otherwise."""

import re
from pathlib import Path

LONGEST_NAME = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def folder(kind: str) -> Path:
    """The folder `pipelines` or `models`."""
    package = Path(__file__).resolve().parent
    installed = package / kind
    return installed if installed.is_dir() else package.parents[1] / kind


def is_plain_name(name: str) -> bool:
    """Whether `name` is a single file name, so that it cannot lead out of a folder."""
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None and ".." not in name
