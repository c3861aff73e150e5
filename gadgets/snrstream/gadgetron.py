"""The chain as one external Python module of a real Gadgetron.

Gadgetron starts it from the same configuration files that the embedded host runs:

    <external>
      <execute name="snrstream.gadgetron" target="chain" type="python"/>
      <configuration> <gadget name="..."/> ... </configuration>
    </external>
"""

import functools
import logging
import socket
from typing import TYPE_CHECKING

from gadgetron.types.acquisition_bucket import AcquisitionBucket
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconData

from .chain import parse_chain
from .errors import ConnectionFailed, SnrstreamError
from .mrd.encoder import encode
from .mrd.gadgetron_codecs import read_bucket, read_image_array, read_recon_data
from .mrd.header import parse_header
from .mrd.messages import Fault, MessageId
from .threads import limit_threads

if TYPE_CHECKING:
    from gadgetron.external.connection import Connection

log = logging.getLogger(__name__)


def chain(connection: "Connection") -> None:
    """Run the gadgets of the module's own `<configuration>` on everything that Gadgetron sends.

    A failure is reported as Gadgetron's error message, after its input was read to the end, for a reset
    connection or a mere CLOSE would look like success with images missing.
    """
    # gadgetron's own reader waits for ever where the peer is gone.
    connection.socket.read = functools.partial(_read, connection.socket.socket)
    # The package's own codecs of these fail at much of what Gadgetron sends (see `mrd.gadgetron_codecs`).
    connection.add_reader(MessageId.RECON_DATA, read_recon_data)
    connection.add_reader(MessageId.IMAGE_ARRAY, read_image_array)
    connection.add_reader(MessageId.BUCKET, read_bucket)
    connection.add_writer(
        lambda item: isinstance(item, (ReconData, ImageArray, AcquisitionBucket)),
        lambda peer, item: peer.write(encode(item)),
    )
    items = iter(connection)
    limit_threads(1)
    try:
        gadgets = parse_chain(connection.raw_bytes.config, "configuration of the external module")
        for item in gadgets.run(items, parse_header(connection.raw_bytes.header)):
            connection.send(item)
        return
    except ConnectionFailed:
        raise
    except SnrstreamError as exc:
        text = str(exc)
        log.error("%s", text)
    except Exception as exc:
        text = f"internal error: {type(exc).__name__}: {exc}"
        log.exception("a defect of snrstream")
    connection.socket.write(encode(Fault(f"snrstream: {text}")))
    for _ in items:
        pass


def _read(sock: socket.socket, n_bytes: int) -> bytearray:
    """Exactly `n_bytes`. Raises ConnectionFailed at the end of the connection."""
    data = bytearray()
    while len(data) < n_bytes:
        chunk = sock.recv(min(n_bytes - len(data), 1 << 20))
        if not chunk:
            raise ConnectionFailed(f"Gadgetron went away after {len(data)} of {n_bytes} bytes")
        data += chunk
    return data
