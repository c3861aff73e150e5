"""Raw data of a scan on disk until its images have been sent: a patient need not be scanned again."""

import contextlib
import logging
import os
import re
import tempfile
import threading
import time
from pathlib import Path

from ..errors import ConfigurationError

log = logging.getLogger(__name__)


class RawRecord:
    """The messages of one peer, as they came, in a file that `snrstream recon` reads.

    It ends in `.mrd.part` while the scan runs, and stays so where the process is killed. A disk that is full, or gone,
    ends the record with a warning, not the scan; what has been written stays.

    Parameters
    ----------
    folder : Path
        Where the file lies.
    peer : str
        Named in the file's name.
    """

    def __init__(self, folder: Path, peer: str) -> None:
        self._lock = threading.RLock()  # a scan is settled from another thread where the process ends
        self._path: Path | None = None
        self._fault: str | None = None  # why nothing more is written
        self._n_came = self._n_written = 0
        name = f"{time.strftime('%Y%m%dT%H%M%S')}_{re.sub(r'[^A-Za-z0-9.]+', '-', peer)}_"
        try:
            descriptor, path = tempfile.mkstemp(".mrd.part", name, folder)
            self._file = os.fdopen(descriptor, "wb", buffering=0)  # what came is there, should the process be killed
            self._path = Path(path)
        except OSError as exc:
            self._stop(exc)

    def write(self, data: memoryview) -> None:
        """Write more of what came.

        Parameters
        ----------
        data : memoryview
            The next bytes.
        """
        with self._lock:
            self._n_came += len(data)
            if self._fault is not None or self._path is None:
                return  # behind a gap no message could be read
            try:
                while data:
                    n_bytes = self._file.write(data)
                    self._n_written += n_bytes
                    data = data[n_bytes:]
            except OSError as exc:
                self._stop(exc)

    def keep(self) -> str | None:
        """Keep the file, for the scan failed.

        Returns
        -------
        str or None
            Where its raw data is, and how much where that is not all; None where there is none.
        """
        with self._lock:
            if self._path is None or not self._n_written:
                self.discard()
                return None
            path, self._path = self._path, None
            try:
                self._file.close()
            except OSError as exc:  # a file system over a network tells only now that it was full
                self._fault = exc.strerror or str(exc)
        try:
            path = path.rename(path.with_suffix(""))
        except OSError as exc:
            log.warning("raw data keeps the name %s: %s", path, exc.strerror or exc)
        if self._fault is None:
            return str(path)
        return f"{path}: no more than the first {self._n_written} of {self._n_came} bytes ({self._fault})"

    def discard(self) -> None:
        """Remove the file, for the images are sent."""
        with self._lock:
            if self._path is None:
                return
            path, self._path = self._path, None
            with contextlib.suppress(OSError):  # what cannot be written goes anyway
                self._file.close()
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            log.warning("raw data %s cannot be removed: %s", path, exc.strerror or exc)

    def _stop(self, exc: OSError) -> None:
        self._fault = exc.strerror or str(exc)
        if self._path is None or not self._n_written:
            log.warning("raw data cannot be kept: %s", self._fault)
        else:
            log.warning(
                "raw data is kept no further than %d bytes, in %s: %s", self._n_written, self._path, self._fault
            )


def record_folder(path: Path) -> Path:
    """Make a folder to keep raw data in where there is none, and try whether it can be written.

    Parameters
    ----------
    path : Path
        Of the folder.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    ConfigurationError
        Where no folder can be made there, or no file in it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path):
            return path
    except OSError as exc:
        raise ConfigurationError(f"folder {path} for raw data cannot be written: {exc.strerror or exc}") from None
