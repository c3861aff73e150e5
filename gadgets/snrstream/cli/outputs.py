"""What `recon` and `send` leave behind: a folder of images, or a noise measurement that is kept."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import ismrmrd

from ..errors import ConfigurationError, ScanError
from ..hosts.scan_source import RawScan
from ..output.files import check_replaceable, write_outputs
from ..wire.measurement import measurement_id


@contextlib.contextmanager
def output_folder(folder: Path, scan: Path) -> Iterator[None]:
    """Make the folder, or find out that it cannot hold the outputs, before the reconstruction and not after it.

    One that was made, and in which nothing came to lie, goes again. Raises ConfigurationError, also where an output
    would overwrite the scan.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigurationError(f"output folder {folder} cannot be made: {exc.strerror}") from None
    try:
        if scan.resolve() in [(folder / name).resolve() for name in ("images.h5", "preview.png")]:
            raise ConfigurationError(f"output would overwrite the scan {scan}; expected another folder")
        check_replaceable(folder)
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it holds the outputs
                folder.rmdir()


def written(images: Sequence[ismrmrd.Image], scan: RawScan, folder: Path) -> str:
    """Write images as `write_outputs` does; the line that tells of it."""
    write_outputs(images, scan.header_xml, scan.header, folder)
    series = ", ".join(str(n) for n in sorted({image.image_series_index for image in images}))
    return f"{len(images)} images (series {series}) in {folder}: images.h5, dicom/, preview.png"


def check_required(command: str, **given: object) -> None:
    """Raises ConfigurationError where arguments are missing that this use of the command needs."""
    names = {"scan": "SCAN", "output": "--output"}
    missing = [names[name] for name, value in given.items() if value is None]
    if missing:
        raise ConfigurationError(f"the following arguments are required: {', '.join(missing)} (see {command} --help)")


def noise_id(scan: RawScan) -> str:
    """The id under which the noise measurement of a scan is kept. Raises ScanError where it has none."""
    measurement = measurement_id(scan.header)
    if measurement is None:
        raise ScanError(f"{scan.path} has no measurementID; expected the id by which its noise is kept and named")
    return measurement
