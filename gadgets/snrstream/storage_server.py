"""Noise measurements in Gadgetron's storage server (ismrmrd/mrd-storage-server), where its address is given.

The address is the environment variable GADGETRON_STORAGE_ADDRESS, `http://host:port`, as Gadgetron sets it for its
external modules. Nothing goes anywhere else: no proxies, no redirections. Nothing that goes wrong here stops a scan.
"""

import http.client
import logging
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ismrmrd import xsd

from .errors import ProtocolError
from .mrd.measurement import storage_tags
from .mrd.noise_blob import decode_noise, encode_noise
from .noise_measurement import NoiseMeasurement

log = logging.getLogger(__name__)

LIFETIME_S = 172_800  # what Gadgetron asks for
SILENCE_S, WHOLE_S = 3.0, 10.0
MOST_BYTES = 1 << 24


def keep(measurement: str, noise: NoiseMeasurement, header: xsd.ismrmrdHeader) -> None:
    """Store `noise` of the scan with `header` under its id `measurement`. A failure is a warning in the log."""
    _ask("store", measurement, header, encode_noise(noise))


def find(measurement: str, header: xsd.ismrmrdHeader | None) -> NoiseMeasurement | None:
    """The latest noise measurement under the id `measurement` that the scan with `header` names.

    header: None where only the id is known, of which device, subject and session are parts then. None where the
    server has nothing, is not there or gives something else: a warning in the log.
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
    url = f"{address}/v1/blobs/data{'/latest' if blob is None else ''}?{_query(query)}"
    try:
        if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
            raise ValueError("expected an address that begins with http:// or https://")
        return _body(urllib.request.Request(url, data=blob, headers={"Content-Type": "application/octet-stream"}))
    except (OSError, http.client.HTTPException, ValueError) as exc:
        log.warning("storage server %.100r could not %s noise measurement %.100r: %s", address, what, measurement, exc)
        if isinstance(exc, urllib.error.HTTPError):
            exc.close()
        return None


def _query(tags: dict[str, str]) -> str:
    return urllib.parse.urlencode(tags, quote_via=urllib.parse.quote, errors="replace")


def _body(request: urllib.request.Request) -> bytes:
    began = time.monotonic()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirection)
    data = bytearray()
    with opener.open(request, timeout=SILENCE_S) as response:
        while chunk := response.read1(1 << 16):
            data += chunk
            if len(data) > MOST_BYTES:
                raise ValueError(f"its answer exceeds {MOST_BYTES >> 20} MiB")
            if time.monotonic() - began > WHOLE_S:
                raise TimeoutError(f"no whole answer within {WHOLE_S:g} s")
    return bytes(data)


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """None: the redirection is the answer, and an error."""
