"""Noise measurements kept in a folder by measurement id, for the scans that name them.

The folder is the environment variable SNRSTREAM_NOISE_STORE, else `snrstream/noise` in $XDG_STATE_HOME, else in
~/.local/state. One file a measurement, numpy's npz without pickle, named by the SHA-256 of its id, for ids are
strangers' text. A file is complete or not there; nothing that goes wrong here stops a scan.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np

from .measurement import NoiseMeasurement

log = logging.getLogger(__name__)

LIFETIME_S = 172_800  # 48 hours, as Gadgetron keeps them
MOST_ENTRIES = 500
MOST_BYTES = 1 << 26
LONGEST_ID = 256  # characters
_ENTRY = re.compile(r"[0-9a-f]{64}\.npz.*")  # with what a killed process left of one


def keep(measurement: str, noise: NoiseMeasurement) -> None:
    """Write a measurement, in place of an earlier one of its id; old entries go.

    The log has the id, for a scan that names another one finds nothing. Whatever goes wrong is a warning there, and
    nothing half-written stays.

    Parameters
    ----------
    measurement : str
        Its id, of at most 256 characters.
    noise : NoiseMeasurement
        What is kept for 48 hours.
    """
    if len(measurement) > LONGEST_ID:
        log.warning(
            "noise measurement is not kept: its id has %d characters; expected at most %d", len(measurement), LONGEST_ID
        )
        return
    try:
        path = _path(measurement)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, _packed(measurement, noise))
        log.info("noise measurement of %d samples is kept for scans that name ID %s", noise.n_samples, measurement)
        _clean(path.parent)
    except (OSError, RuntimeError) as exc:  # RuntimeError: no home folder
        log.warning("noise measurement %.100r is not kept: %s", measurement, exc)


def find(measurement: str) -> NoiseMeasurement | None:
    """Look up a measurement.

    A file that is no such entry is a warning in the log that names it.

    Parameters
    ----------
    measurement : str
        Its id.

    Returns
    -------
    NoiseMeasurement or None
        None where nothing is kept under the id, or nothing that can be used any more.
    """
    if len(measurement) > LONGEST_ID:
        return None
    path: Path | None = None
    try:
        path = _path(measurement)
        noise, found, written_at = _unpacked(_read(path))
        if found != measurement:
            raise ValueError("it holds another measurement")
    except FileNotFoundError:
        return None
    except Exception as exc:  # noqa: BLE001 - numpy, zipfile and json raise nearly anything on damaged files
        log.warning("noise measurement %.100r cannot be read from %s: %s", measurement, path, exc)
        return None
    if time.time() - written_at > LIFETIME_S:
        log.info("noise measurement %.100r is older than %d hours: not used", measurement, LIFETIME_S // 3600)
        return None
    return noise


def measurements() -> list[str]:
    """List what is kept.

    Returns
    -------
    list of str
        The ids of all measurements that can be used, in alphabetical order.
    """
    try:
        paths = [path for path in _folder().iterdir() if path.suffix == ".npz"]
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return []
    found = []
    for path in paths:
        with contextlib.suppress(Exception):  # as in find; whoever asks for this one will see the warning
            _, measurement, written_at = _unpacked(_read(path))
            if time.time() - written_at <= LIFETIME_S:
                found.append(measurement)
    return sorted(found)


def _path(measurement: str) -> Path:
    name = hashlib.sha256(measurement.encode(errors="surrogatepass")).hexdigest()
    return _folder() / f"{name}.npz"


def _folder() -> Path:
    given = os.environ.get("SNRSTREAM_NOISE_STORE")
    if given:
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state") / "snrstream" / "noise"


def _packed(measurement: str, noise: NoiseMeasurement) -> bytes:
    about = {
        "measurement_id": measurement,
        "n_samples": noise.n_samples,
        "dwell_us": noise.dwell_us,
        "bandwidth_ratio": noise.bandwidth_ratio,
        "labels": noise.labels,
        "written_at": time.time(),
    }
    file = io.BytesIO()
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(file, allow_pickle=False, covariance=noise.covariance, about=text)
    return file.getvalue()


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it exceeds {MOST_BYTES >> 20} MiB")
    return data


def _unpacked(data: bytes) -> tuple[NoiseMeasurement, str, float]:
    """The measurement, its id, and when it was written."""
    with np.load(io.BytesIO(data), allow_pickle=False) as entry:
        about, covariance = json.loads(entry["about"].tobytes()), entry["covariance"]
    values = {name: about[name] for name in ("n_samples", "dwell_us", "bandwidth_ratio")}
    noise = NoiseMeasurement(covariance, **values, labels=tuple(about["labels"]))
    return noise, str(about["measurement_id"]), float(about["written_at"])


def _write(path: Path, data: bytes) -> None:
    """All of it or nothing, for readers and after a power cut. Mode 0600 is mkstemp's own."""
    descriptor, aside = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _clean(folder: Path) -> None:
    """Remove entries beyond their lifetime, and the oldest of too many. Other processes may do the same."""
    times: list[tuple[float, Path]] = []
    for path in folder.iterdir():
        if _ENTRY.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):
                times.append((path.stat().st_mtime, path))
    oldest = time.time() - LIFETIME_S
    times.sort(reverse=True)
    for number, (written_at, path) in enumerate(times):
        if number >= MOST_ENTRIES or written_at < oldest:
            path.unlink(missing_ok=True)
