"""Raw scans in ISMRMRD HDF5 files."""

import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Self

import h5py
import ismrmrd
import numpy as np
from ismrmrd import xsd

from ..errors import ScanError
from .acquisitions import COMPRESSED_FLAGS
from .header import parse_header

USUAL_GROUP = "dataset"
MOST_GROUPS = 20  # that an error names
AT_ONCE = 64  # acquisitions in one read

_one_at_a_time = threading.RLock()  # h5py crashes where one thread reads lines as another closes its own file


class ScanFile:
    """An open raw scan, read-only. A context manager.

    header_xml: the header as stored, bytes. n_acquisitions: how many the file holds.

    Parameters
    ----------
    path : str or Path
        The file.
    group : str or None
        The group in it that holds the scan; by default `dataset`, or the only one that holds any.

    Raises
    ------
    ScanError
        Where the file is missing, not HDF5, cut short, or lacks group, header or data.
    """

    def __init__(self, path: str | Path, group: str | None = None) -> None:
        self.path, self._is_closed = Path(path), False
        with _one_at_a_time:
            try:
                if not self.path.is_file():
                    raise ScanError(f"{path} does not exist; expected an ISMRMRD HDF5 file")
                self._group = _group_of(self.path, group)
                self._dataset = ismrmrd.Dataset(str(path), self._group, mode="r")
            except (OSError, ValueError) as exc:
                raise ScanError(f"{path} cannot be opened as HDF5: {_line(exc)}") from None
            try:
                self.header_xml = self._read_header()
                self.n_acquisitions = self._count()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @cached_property
    def header(self) -> xsd.ismrmrdHeader:
        """The parsed header. Raises ScanError where it cannot be read."""
        return parse_header(self.header_xml)

    def close(self) -> None:
        """Close the file."""
        with _one_at_a_time:
            if not self._is_closed:
                self._is_closed = True
                self._dataset.close()
                del self._dataset  # whose end closes it once more

    def items(self) -> Iterator[ismrmrd.Acquisition]:
        """As `acquisitions`: waveforms in the file are left alone."""
        return self.acquisitions()

    def acquisitions(self) -> Iterator[ismrmrd.Acquisition]:
        """All acquisitions in the order of the file. Raises ScanError for one that cannot be read."""
        for start in range(0, self.n_acquisitions, AT_ONCE):
            # ismrmrd's own read_acquisition opens the HDF5 dataset anew for each field of each acquisition.
            try:
                with _one_at_a_time:
                    if self._is_closed:
                        raise ValueError("the scan is closed; expected an open one")
                    records = self._dataset._dataset["data"][start : start + AT_ONCE]
            except (OSError, ValueError, TypeError, LookupError, RuntimeError) as exc:
                raise ScanError(f"{self._place(start)} cannot be read: {_line(exc)}") from None
            for number, record in enumerate(records, start):
                yield self._acquisition(number, record)

    def _acquisition(self, number: int, record: np.void) -> ismrmrd.Acquisition:
        try:
            head = ismrmrd.AcquisitionHeader.from_buffer_copy(record["head"])
            head.flags &= ~COMPRESSED_FLAGS  # as the samples are found: a file has plain ones alone
            n_channels, n_samples = head.active_channels, head.number_of_samples
            data = record["data"].view(np.complex64).reshape(n_channels, n_samples)
            trajectory = record["traj"].view(np.float32).reshape(n_samples, head.trajectory_dimensions)
        except (ValueError, TypeError, AttributeError) as exc:
            raise ScanError(f"{self._place(number)} does not fit its own header: {_line(exc)}") from None
        return ismrmrd.Acquisition(head, data=data, trajectory=trajectory)

    def _place(self, number: int) -> str:
        return f"{self.path}: acquisition {number} of {self.n_acquisitions}"

    def _read_header(self) -> bytes:
        try:
            header = self._dataset.read_xml_header()
        except LookupError as exc:
            raise ScanError(f"{self.path} is no ISMRMRD file: {_line(exc)} (group {self._group!r})") from None
        except (OSError, ValueError, TypeError, IndexError, RuntimeError, AttributeError) as exc:
            raise ScanError(f"{self.path}: the header cannot be read: {_line(exc)}") from None
        return header.encode() if isinstance(header, str) else bytes(header)

    def _count(self) -> int:
        try:
            data = self._dataset._dataset["data"]
            names = data.dtype.names if isinstance(data, h5py.Dataset) else None
            n_acquisitions = int(data.size) if names else 0
        except (KeyError, OSError, ValueError, TypeError, RuntimeError) as exc:
            raise ScanError(f"{self.path} holds no acquisitions: {_line(exc)}") from None
        if set(names or ()) != {"head", "traj", "data"}:
            raise ScanError(f"{self.path}: {self._group}/data holds no acquisitions; expected head, traj and data")
        if data.ndim != 1:
            raise ScanError(f"{self.path}: {self._group}/data has shape {data.shape}; expected one dimension")
        return n_acquisitions


def _group_of(path: Path, wanted: str | None) -> str:
    """The group to take. Raises ScanError, which names those that hold a scan, and OSError."""
    names: list[str] = []

    def look(name: str, found: object) -> None:
        if isinstance(found, h5py.Group) and {"xml", "data"} <= found.keys():
            names.append(name)

    with h5py.File(path, "r") as file:
        if wanted is None and USUAL_GROUP in file:
            return USUAL_GROUP
        file.visititems(look)
    if wanted is not None:
        if wanted.strip("/") in names:
            return wanted
        told = f"has no scan in group {wanted[:100]!r}"
    elif len(names) == 1:
        return names[0]
    else:
        told = f"holds {len(names)} scans, none in group {USUAL_GROUP!r}" if names else "is no ISMRMRD file"
    shown = ", ".join(names[:MOST_GROUPS]) + (", ..." if len(names) > MOST_GROUPS else "")
    expected = f"one of its groups: {shown}" if names else "a group with a header, xml, and acquisitions, data"
    raise ScanError(f"{path} {told}; expected {expected}")


def _line(exc: Exception) -> str:
    return " ".join(str(exc).split()).strip("'\"")
