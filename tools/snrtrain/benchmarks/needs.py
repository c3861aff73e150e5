"""What each part of `bench.py` and `soak.py` takes, told before it begins."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """minutes: on two idle cores, about. gib: of memory, all processes together; disk_gib: in the temporary folder."""

    minutes: float
    gib: float
    disk_gib: float = 0.0

    def __str__(self) -> str:
        disk = f", {self.disk_gib:g} GiB of the temporary folder" if self.disk_gib else ""
        time = f"about {self.minutes:g} minute{'' if self.minutes == 1 else 's'} on two idle cores"
        return f"{time}, {self.gib:g} GiB of memory{disk}"


def listed(needs: Mapping[str, Need]) -> str:
    """For --help: a line for each part, with its defaults."""
    width = max(map(len, needs))
    return "needs, with the defaults:\n" + "\n".join(f"  {name:<{width}}  {need}" for name, need in needs.items())
