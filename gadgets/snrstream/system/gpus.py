"""The NVIDIA GPUs of this machine, whether or not a library of this installation can use them."""

from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/gpus")  # seen from a container too, even one that was given no GPU


def gpus() -> list[str]:
    """The names of the GPUs that the machine's driver tells of, such as `NVIDIA H200`; empty where it tells of none.

    A card whose name cannot be read is a `GPU`.
    """
    try:
        return [_name(card / "information") for card in sorted(DRIVER.iterdir())]
    except OSError:
        return []


def _name(information: Path) -> str:
    try:
        lines = information.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return names[0] if names and names[0] else "GPU"
