"""What `recon` and `send` leave behind: a folder of images, or a noise measurement that is kept."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import ismrmrd

from ..errors import ConfigurationError, OutputsMissing, ScanError, SnrstreamError
from ..hosts.scan_source import RawScan
from ..output.files import write_outputs
from ..output.folder import OUTPUT_NAMES, check_replaceable
from ..system.interruption import what_interrupted
from ..wire.header import parse_header
from ..wire.measurement import measurement_id

log = logging.getLogger(__name__)

Image = TypeVar("Image")


@contextlib.contextmanager
def output_folder(folder: Path, scan: Path | None = None) -> Iterator[None]:
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
        if scan is not None and scan.resolve() in [(folder / name).resolve() for name in ("images.h5", "preview.png")]:
            raise ConfigurationError(f"output would overwrite the scan {scan}; expected another folder")
        check_replaceable(folder)
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it holds the outputs
                folder.rmdir()


def finished(images: Iterable[Image]) -> tuple[list[Image], Exception | None]:
    """The images as they come, and why there are no more of them, be it a scan, a gadget, or a server that fails.

    Raises what comes ahead of the first image, for then there is nothing to save, and the end by a signal.
    """
    found: list[Image] = []
    try:
        for image in images:
            found.append(image)
    except Exception as exc:
        if not found or what_interrupted() is not None:
            raise
        return found, exc
    return found, None


def written(images: Sequence[ismrmrd.Image], header_xml: bytes, folder: Path) -> tuple[str, OutputsMissing | None]:
    """Write images as `write_outputs` does: the line that tells of it, and what is missing beside them."""
    missing = None
    try:
        write_outputs(images, header_xml, parse_header(header_xml), folder)
    except OutputsMissing as exc:
        missing = exc
    names = [name for name in OUTPUT_NAMES if missing is None or name not in missing.names]
    there = ", ".join("dicom/" if name == "dicom" else name for name in names)
    series = ", ".join(str(n) for n in sorted({image.image_series_index for image in images}))
    return f"{len(images)} images (series {series}) in {folder}: {there}", missing


def require_all(failure: Exception | None, missing: OutputsMissing | None) -> None:
    """Raise what `finished` and `written` found, in one line: it follows those that tell what is there."""
    if failure is None:
        if missing is not None:
            raise missing
        return
    if not isinstance(failure, SnrstreamError):
        if missing is not None:
            log.error("%s", missing)
        raise failure
    more = "" if missing is None else f"; {missing}"
    raise type(failure)(f"{failure}: the images are of what came before{more}")


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
