"""Noise measurements in Gadgetron's storage server (ismrmrd/mrd-storage-server), where its address is given.

The address is the environment variable GADGETRON_STORAGE_ADDRESS, `http://host:port`, as Gadgetron sets it for its
external modules. Nothing goes anywhere else: no proxies, no redirections. Nothing that goes wrong here stops a scan.
"""

import contextlib
import http.client
import logging
import os
import socket
import urllib.parse

from ismrmrd import xsd

from ..errors import ProtocolError
from ..system.time_limit import within
from ..wire.measurement import storage_tags
from .blob import decode_noise, encode_noise
from .measurement import NoiseMeasurement
from .store import LIFETIME_S

log = logging.getLogger(__name__)

LIMIT_S = 2.0  # that a scan waits, and time_limit.GRACE_S more for what cannot be cut short
MOST_BYTES = 1 << 24


def keep(measurement: str, noise: NoiseMeasurement, header: xsd.ismrmrdHeader) -> None:
    """Store a noise measurement. A failure is a warning in the log.

    Parameters
    ----------
    measurement : str
        Its id.
    noise : NoiseMeasurement
        What is stored, for 48 hours.
    header : ismrmrdHeader
        Of the scan that measured it: device, subject and session, without which the server keeps nothing.
    """
    _ask("store", measurement, header, encode_noise(noise))


def find(measurement: str, header: xsd.ismrmrdHeader | None) -> NoiseMeasurement | None:
    """Ask for the latest noise measurement under an id. A failure is a warning in the log.

    Parameters
    ----------
    measurement : str
        Its id.
    header : ismrmrdHeader or None
        Of the scan that names it; None where only the id is known, of which device, subject and session are parts then.

    Returns
    -------
    NoiseMeasurement or None
        None where no server is named, and where it has nothing, is not there or gives something else.
    """
    data = _ask("find", measurement, header)
    try:
        return decode_noise(data) if data is not None else None
    except ProtocolError as exc:
        log.warning("storage server holds something else under noise measurement %.100r: %s", measurement, exc)
        return None


def _ask(what: str, measurement: str, header: xsd.ismrmrdHeader | None, blob: bytes | None = None) -> bytes | None:
    """The answer's body, or None; with `blob`, that is stored."""
    address = os.environ.get("GADGETRON_STORAGE_ADDRESS", "").strip().rstrip("/")
    if not address:
        return None
    tags = storage_tags(header, measurement)
    if not tags:
        log.info("storage server cannot %s noise measurement %.100r: it names no subject", what, measurement)
        return None
    query = {**tags, "name": "noise_covariance", "measurement": measurement}
    if blob is not None:
        query["_ttl"] = f"{LIFETIME_S}s"
    path = f"/v1/blobs/data{'/latest' if blob is None else ''}?{_query(query)}"
    try:
        connection, prefix = _connection(address)
        opened: list[socket.socket] = []
        # A server that sends a byte now and then keeps every limit on silence.
        return within(
            LIMIT_S,
            "storage server",
            lambda: _answer(connection, opened, prefix + path, blob),
            lambda: _cut(opened),
        )
    except (OSError, http.client.HTTPException, ValueError, RuntimeError) as exc:
        log.warning("storage server %.100r could not %s noise measurement %.100r: %s", address, what, measurement, exc)
        return None


def _connection(address: str) -> tuple[http.client.HTTPConnection, str]:
    """Not yet open, and the path that the address begins with. There are no proxies and no redirections."""
    url = urllib.parse.urlsplit(address)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if url.scheme not in kinds or not url.hostname:
        raise ValueError("expected an address that begins with http:// or https://")
    return kinds[url.scheme](url.hostname, url.port, timeout=LIMIT_S), url.path


def _answer(
    connection: http.client.HTTPConnection, opened: list[socket.socket], path: str, blob: bytes | None
) -> bytes:
    """The body. `opened` gets the socket, for http.client forgets it before the answer is read."""
    with contextlib.closing(connection):
        connection.connect()
        opened.append(connection.sock)
        method = "GET" if blob is None else "POST"
        connection.request(method, path, blob, {"Content-Type": "application/octet-stream"})
        with connection.getresponse() as response:
            if not 200 <= response.status < 300:
                raise ValueError(f"HTTP Error {response.status}: {response.reason}")
            data = response.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"its answer exceeds {MOST_BYTES >> 20} MiB")
    return data


def _cut(opened: list[socket.socket]) -> None:
    """Wakes whoever reads it."""
    for sock in opened:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _query(tags: dict[str, str]) -> str:
    return urllib.parse.urlencode(tags, quote_via=urllib.parse.quote, errors="replace")
