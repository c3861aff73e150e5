"""Raw data of a scan on disk until its images have been sent: a patient need not be scanned again."""

import logging
import os
import re
import tempfile
import time
from pathlib import Path

from .errors import ConfigurationError

log = logging.getLogger(__name__)


class RawRecord:
    """The messages of one peer, as they came, in a file that `snrstream recon --from-stream` reads.

    It ends in `.mrd.part` while the scan runs, and stays so where the process is killed.

    A disk that is full, or gone, ends the record with a warning, not the scan.
    """

    def __init__(self, folder: Path, peer: str) -> None:
        self._path: Path | None = None
        name = f"{time.strftime('%Y%m%dT%H%M%S')}_{re.sub(r'[^A-Za-z0-9.]+', '-', peer)}_"
        try:
            descriptor, path = tempfile.mkstemp(".mrd.part", name, folder)
            self._file = os.fdopen(descriptor, "wb", buffering=0)  # what came is there, should the process be killed
            self._path = Path(path)
        except OSError as exc:
            self._give_up(exc)

    def write(self, data: memoryview) -> None:
        """More of what came."""
        if self._path is None:
            return
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as exc:
            self._give_up(exc)

    def keep(self) -> Path | None:
        """The scan failed: the file's final name; None where it could not be written."""
        if self._path is None:
            return None
        try:
            self._file.close()
            return self._path.rename(self._path.with_suffix(""))
        except OSError as exc:
            self._give_up(exc)
            return None

    def discard(self) -> None:
        """The images are sent: the file goes."""
        if self._path is not None:
            path, self._path = self._path, None
            try:
                self._file.close()
                path.unlink(missing_ok=True)
            except OSError as exc:
                log.warning("raw data cannot be removed: %s", exc)

    def _give_up(self, exc: OSError) -> None:
        log.warning("raw data cannot be kept: %s", exc.strerror or exc)
        self.discard()


def record_folder(path: Path) -> Path:
    """A folder to keep raw data in, made where there is none. Raises ConfigurationError where none can be written."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path):
            return path
    except OSError as exc:
        raise ConfigurationError(f"folder {path} for raw data cannot be written: {exc.strerror or exc}") from None
