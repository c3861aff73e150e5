"""One way in for raw data that lies somewhere: HDF5, ISMRMRD messages, kept raw data, MRD v2, told by content."""

import itertools
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import h5py
import ismrmrd
from ismrmrd import xsd

from ..errors import ProtocolError, ScanError
from ..wire.header import parse_header
from ..wire.messages import DATA, MessageId
from ..wire.scan_file import ScanFile
from ..wire.v2 import MAGIC
from .stream_reader import first_bytes, open_reader

HDF5 = b"\x89HDF\r\n\x1a\n"
KINDS = "an ISMRMRD HDF5 file, a stream of ISMRMRD messages or one of MRD v2"


class RawScan(Protocol):
    """An opened raw scan, of whichever format. A context manager.

    path: where it lies. header_xml: the ISMRMRD header as text.
    """

    path: Path
    header_xml: bytes

    @property
    def n_acquisitions(self) -> int | None:
        """How many it holds; None where only reading it would tell."""

    @property
    def header(self) -> xsd.ismrmrdHeader:
        """The parsed header. Raises ScanError where it cannot be read."""
        ...

    def acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        """Its acquisitions, in order; anew at each call."""
        ...

    def items(self) -> Iterator[Any]:
        """All its data, in order: also the waveforms and Gadgetron's items that a stream may hold."""
        ...

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class StreamFile:
    """A `RawScan` in a file, or a named pipe, that holds a stream. One that is cut short gives what it has."""

    n_acquisitions = None

    def __init__(self, path: Path) -> None:
        self.path, self._place = path, path.absolute()
        try:
            self._file = path.open("rb")
        except OSError as exc:
            raise ScanError(f"{path} cannot be read: {exc.strerror or exc}") from None
        try:
            start = first_bytes(self._file, path.name)
            if not _is_stream(start):
                raise ScanError(f"{path} is {'no raw data' if start else 'empty'}; expected {KINDS}")
            self._reader = open_reader(self._file, path.name)
            self.header_xml = self._reader.header_xml
        except BaseException:
            self.close()
            raise
        self._readings = itertools.count()

    @cached_property
    def header(self) -> xsd.ismrmrdHeader:
        """The parsed header."""
        return parse_header(self.header_xml)

    def acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        """Its acquisitions, in order."""
        return (item for item in self.items() if isinstance(item, ismrmrd.Acquisition))

    def items(self) -> Iterator[Any]:
        """All its data, in order, but waveforms of MRD v2. Raises ProtocolError for what is none."""
        if self._file.closed:
            raise ScanError(f"{self.path} is closed; expected an open scan")
        if next(self._readings):  # in one step: other threads may ask, too
            if not self._file.seekable():
                raise ProtocolError(f"{self.path} is a pipe and can be read once; expected a file")
            return self._read_anew()
        return (item for item in self._reader.items() if isinstance(item, DATA))

    def _read_anew(self) -> Iterator[Any]:
        """By a file of its own: an earlier reading may go on beside it."""
        try:
            file = self._place.open("rb")
        except OSError as exc:
            raise ScanError(f"{self.path} cannot be read again: {exc.strerror or exc}") from None
        with file:
            yield from (item for item in open_reader(file, self.path.name).items() if isinstance(item, DATA))

    def close(self) -> None:
        """Close the file, also where another thread waits for a pipe to give more, which then ends by itself."""
        self._file.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def open_scan(path: str | Path, group: str | None = None) -> RawScan:
    """Open a raw scan, read-only. Its format is told by its content, not by its name.

    Parameters
    ----------
    path : str or Path
        An ISMRMRD HDF5 file, a file with a stream of ISMRMRD messages, such as the raw data that `snrstream serve
        --keep-raw` keeps, or an MRD v2 stream, which needs the package mrd-python.
    group : str or None
        The group of an HDF5 file that holds the scan; by default `dataset`, or the only one that holds any.

    Returns
    -------
    RawScan
        Its header and data; a context manager.

    Raises
    ------
    ScanError
        Where the file is missing, none of these, cut short before its data, or lacks the group, header or data. The
        groups that hold a scan are named.
    ProtocolError
        For a stream that has no header ahead of its data.
    ConfigurationError
        For MRD v2 without its package.
    """
    if group is not None and not isinstance(group, str):
        raise ScanError(f"group is of {type(group)}; expected a text")
    path = Path(path)
    try:
        if not path.exists() or path.is_dir():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise ScanError(f"{path} {what}; expected {KINDS}")
        if path.is_file() and _is_hdf5(path):
            return ScanFile(path, group)
    except (OSError, ValueError) as exc:
        raise ScanError(f"{str(path)[:200]!r} cannot be read: {getattr(exc, 'strerror', None) or exc}") from None
    if group is not None:
        raise ScanError(f"{path} is no HDF5 file and has no group {group[:100]!r}; expected none to be named")
    return StreamFile(path)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(len(HDF5))
    return start == HDF5 or bool(h5py.is_hdf5(path))  # whose mark may lie behind a block of the user's


def _is_stream(start: bytes) -> bool:
    return bool(start) and (
        MAGIC.startswith(start[: len(MAGIC)])
        or any(number.to_bytes(2, "little").startswith(start[:2]) for number in MessageId)
    )
