"""Where the pipelines and models lie: where the environment says, else beside the package when installed, else in the
repository."""

import os
import re
from pathlib import Path

LONGEST_NAME = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def folder(kind: str) -> Path:
    """The folder `pipelines` or `models`; SNRSTREAM_PIPELINES or SNRSTREAM_MODELS where that is set."""
    given = os.environ.get(f"SNRSTREAM_{kind.upper()}")
    if given:
        return Path(given)
    package = Path(__file__).resolve().parents[1]
    installed = package / kind
    return installed if installed.is_dir() else package.parents[1] / kind


def is_plain_name(name: str) -> bool:
    """Whether `name` is a single file name, so that it cannot lead out of a folder."""
    return len(name) <= LONGEST_NAME and _NAME.fullmatch(name) is not None and ".." not in name
