"""What a reconstruction leaves in a folder: images.h5, dicom/ and preview.png, all of them or none."""

import io
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
from ismrmrd.hdf5 import get_hdf5type
from ismrmrd.xsd import ismrmrdHeader

from ..errors import ConfigurationError, ScanError
from .dicom import write_dicom
from .image_values import label_of
from .preview import draw_preview

OUTPUT_NAMES = ("images.h5", "dicom", "preview.png")


def write_outputs(
    images: Sequence[ismrmrd.Image], header_xml: bytes | str, header: ismrmrdHeader | None, folder: Path
) -> None:
    """Write images as ISMRMRD (`images.h5`), DICOM (`dicom/*.dcm`) and PNG (`preview.png`) into a folder.

    Everything is written aside, in the same folder, and moved in place at the end: outputs of an earlier
    run are replaced as a whole, and stay as they were where this run fails.

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
        There is no image, or one that cannot be written.
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
    try:
        _write_images(images, header_xml, staging / "images.h5")
        write_dicom(images, header, staging / "dicom")
        title = _title(header)
        draw_preview(images, title).save(staging / "preview.png")
        _move_in_place(staging, folder)
    except OSError as error:
        raise ConfigurationError(f"cannot write outputs to {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def _title(header: ismrmrdHeader | None) -> str:
    measurement = getattr(header, "measurementInformation", None)
    return getattr(measurement, "protocolName", None) or "snrstream"


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


def _write_images(images: Sequence[ismrmrd.Image], header_xml: bytes | str, path: Path) -> None:
    """One group `image_<series>` a series, which holds images of one shape and one type."""
    shapes: dict[int, tuple[tuple[int, ...], np.dtype]] = {}
    # HDF5 crashes where the disk is full when it closes a file: it writes to memory, and plain I/O to disk.
    memory = io.BytesIO()
    with ismrmrd.Dataset(memory, "dataset", mode="w") as dataset:
        dataset.write_xml_header(header_xml.encode() if isinstance(header_xml, str) else header_xml)
        for image in images:
            kind = (image.data.shape, image.data.dtype)
            if image.data.dtype.itemsize != get_hdf5type(image.data_type).itemsize:
                raise ScanError(f"{label_of(image)} has {kind[1]} pixels, which images.h5 has no type for")
            first = shapes.setdefault(image.image_series_index, kind)
            if kind != first:
                raise ScanError(
                    f"{label_of(image)} is {kind[1]} {kind[0]}, expected {first[1]} {first[0]} as in the first "
                    "image of the series: a series in images.h5 has one shape and type"
                )
            dataset.append_image(f"image_{image.image_series_index}", _with_attribute_length(image))
    path.write_bytes(memory.getbuffer())


def _with_attribute_length(image: ismrmrd.Image) -> ismrmrd.Image:
    """The same image, its header knowing the length of its meta attributes.

    ismrmrd only sets that length when it serialises, and libismrmrd reads as many bytes of attributes as
    the header says: with 0, every C++ reader of the file would see images without meta.
    """
    head = image.getHead()
    head.attribute_string_len = len(image.attribute_string.encode())
    return ismrmrd.Image(head, meta=image.meta, data=image.data)


def _move_in_place(staging: Path, folder: Path) -> None:
    """Swap outputs for those of an earlier run, which go back where a move fails."""
    moved: list[tuple[Path, Path]] = []
    try:
        for output in OUTPUT_NAMES:
            moves = [(folder / output, staging / f"stale_{output}"), (staging / output, folder / output)]
            for source, target in moves:
                if source.exists():
                    source.rename(target)
                    moved.append((source, target))
    except OSError:
        for source, target in reversed(moved):
            target.rename(source)
        raise
