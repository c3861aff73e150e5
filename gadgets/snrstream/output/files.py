"""What a reconstruction leaves in a folder: images.h5, dicom/ and preview.png, each that can be made."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import ismrmrd
from ismrmrd.xsd import ismrmrdHeader

from ..errors import ConfigurationError, OutputsMissing, ScanError, SnrstreamError
from ..system.interruption import what_interrupted
from .dicom import write_dicom
from .folder import Replacement, check_replaceable
from .images_file import write_images
from .preview import draw_preview

log = logging.getLogger(__name__)


def write_outputs(
    images: Sequence[ismrmrd.Image], header_xml: bytes | str, header: ismrmrdHeader | None, folder: Path
) -> None:
    """Write images as ISMRMRD (`images.h5`), DICOM (`dicom/*.dcm`) and PNG (`preview.png`) into a folder.

    Each of the three is written aside, in the same folder, and moved in place as soon as it is whole. One that cannot
    be made costs none of the others. With the first of them, all outputs of an earlier run go; these stay as they were
    where none can be made.

    Parameters
    ----------
    images
        At least one; pixels (channel, z, y, x).
    header_xml
        The scan's header, for `images.h5`.
    header
        The same, parsed, for DICOM and the title; None where there is none.
    folder
        Made where it does not exist.

    Raises
    ------
    ConfigurationError
        The folder cannot be written, and as `check_replaceable`.
    ScanError
        There is no image, or none of the outputs can be made of them.
    OutputsMissing
        Some cannot be made. The others are there.
    """
    if not images:
        raise ScanError(f"no images to write to {folder}: the chain sent none, expected at least one")
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        check_replaceable(folder)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
        raise ConfigurationError(f"cannot write outputs to {folder}: {reason}, expected a folder") from error
    made_by: dict[str, Callable[[Path], object]] = {
        "images.h5": lambda path: write_images(images, header_xml, path),
        "dicom": lambda path: write_dicom(images, header, path),
        "preview.png": lambda path: draw_preview(images, _title(header)).save(path),
    }
    failures: dict[str, Exception] = {}
    replacement = Replacement(folder, staging)
    try:
        for name, make in made_by.items():
            try:
                make(staging / name)
                replacement.move_in(name)
            except Exception as exc:
                if what_interrupted() is not None:
                    raise
                log.debug("%s cannot be written:", name, exc_info=True)
                failures[name] = exc
                _remove(staging / name)  # of a disk that is full: the others may need it
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
    _tell(failures, folder, len(made_by))


def _tell(failures: dict[str, Exception], folder: Path, n_outputs: int) -> None:
    """Raise what `write_outputs` raises."""
    if not failures:
        return
    if len(failures) == n_outputs:
        first = next(iter(failures.values()))
        if isinstance(first, OSError):
            raise ConfigurationError(f"cannot write outputs to {folder}: {_why(first)}") from first
        raise first
    missing: dict[str, list[str]] = {}  # by the reason, which two may share
    for name, exc in failures.items():
        missing.setdefault(_why(exc), []).append(name)
    told = "; ".join(f"no {' and no '.join(names)} in {folder}: {why}" for why, names in missing.items())
    raise OutputsMissing(told, tuple(failures)) from next(iter(failures.values()))


def _why(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return exc.strerror or str(exc)
    return str(exc) if isinstance(exc, SnrstreamError) else f"internal error: {type(exc).__name__}: {exc}"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _title(header: ismrmrdHeader | None) -> str:
    measurement = getattr(header, "measurementInformation", None)
    return getattr(measurement, "protocolName", None) or "snrstream"
