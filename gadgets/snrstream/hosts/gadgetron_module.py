"""The chain as one external Python module of a real Gadgetron.

Gadgetron starts it from the same configuration files that the embedded host runs:

    <external>
      <execute name="snrstream.gadgetron" target="chain" type="python"/>
      <configuration> <gadget name="..."/> ... </configuration>
    </external>
"""

import logging
from typing import TYPE_CHECKING, Union

from ..chain.registry import known_gadgets
from ..errors import ProtocolError
from ..system.log_levels import quiet_third_parties
from ..system.threads import limit_threads
from ..wire.messages import Close
from .failure import logged_failure
from .gadgetron_connection import PEER, ModuleConnection
from .session import Session

if TYPE_CHECKING:
    from gadgetron.external.connection import Connection

log = logging.getLogger(__name__)


def chain(connection: Union["Connection", ModuleConnection]) -> None:
    """Run the gadgets of the module's own `<configuration>` on everything that Gadgetron sends, to its CLOSE.

    A failure is reported as Gadgetron's error message, and its input read to the end, for a reset connection or a mere
    CLOSE would look like success with images missing.

    Parameters
    ----------
    connection : Connection or ModuleConnection
        What `python -m gadgetron` opened.

    Raises
    ------
    SystemExit
        With status 1, after a failure: the process ends.
    """
    quiet_third_parties()
    if isinstance(connection, ModuleConnection):
        peer = connection
    else:
        log.warning("the gadgetron package read configuration and header: install snrstream by pip to do without it")
        peer = ModuleConnection.taken_over(connection)
    try:
        limit_threads(1)
        _converse(peer)
        return
    except Exception as exc:  # noqa: BLE001 - it is logged, and told to Gadgetron
        peer.fail(logged_failure(exc))
    raise SystemExit(1)


def _converse(peer: ModuleConnection) -> None:
    session = Session(PEER, known_gadgets())
    session.run(peer.messages, peer.send)
    if not session.has_scan:
        raise ProtocolError(f"{PEER} closed before a scan came; expected a configuration and a header")
    peer.send(Close())
