"""Which volumes are measured, and which of their slices."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from snrstream.errors import ConfigurationError
from snrtrain.archive import series, sources, volumes

SMALLEST_SIDE = 11  # pixels: the window of SSIM


def add_options(parser: argparse.ArgumentParser, own: Sequence[str] | None = None) -> None:
    """own: the volumes that the project keeps for this; by default what the folder's sources.toml keeps for testing."""
    these = f"of {', '.join(own)} those in the folder" if own else "those that its sources.toml keeps for test"
    parser.add_argument("--volumes", help="folder of .nii.gz; default: $SNRSTREAM_TEST_DATA/volumes")
    parser.add_argument(
        "--names", nargs="+", metavar="NAME",
        help=f"volumes, without {volumes.ENDING}; default: {these}, else all of it. Volumes that the "
        "model was trained on, by its manifest, are marked, and nothing is judged by them",
    )  # fmt: skip
    parser.set_defaults(own=own)


def chosen(options: argparse.Namespace) -> tuple[Path, list[str]]:
    """Folder and names. Raises ConfigurationError where there are none, or a name leads out of the folder."""
    folder = volumes.volume_folder(options.volumes)
    for name in options.names or ():
        if Path(name).name != name:
            raise ConfigurationError(f"--names has {name}; expected names of files in {folder}")
    if options.names:
        return folder, options.names
    names, own = [name for name in volumes.names_in(folder) if not series.is_series(folder, name)], options.own
    if not names:
        raise ConfigurationError(f"folder {folder} holds series of images alone; expected volumes (x, y, z)")
    if own is None:
        own = [name for name, origin in sources.read(folder).items() if origin.split == "test"]
    return folder, [name for name in own if name in names] or names


def middle_slices(volume: volumes.Volume, n_slices: int, slab_mm: float = volumes.SLAB_MM) -> volumes.Stack:
    """See `volumes.central_stack`. Raises ConfigurationError where slices are too small to be measured."""
    stack = volumes.central_stack(volume, n_slices, slab_mm)
    height, width = stack.slices.shape[1:]
    if min(height, width) < SMALLEST_SIDE:
        raise ConfigurationError(
            f"volume {volume.name} has slices of {height} x {width} pixels; expected {SMALLEST_SIDE} or more"
        )
    return stack
