"""`snrstream serve`: the server, until it is told to stop."""

import argparse
import threading
from collections.abc import Iterable

from ..chain.registry import known_gadgets
from ..hosts import server
from ..hosts.conversation import Options
from ..hosts.raw_record import record_folder
from ..system.threads import limit_threads


def serve(options: argparse.Namespace) -> Iterable[str]:
    """Serve; there is nothing to say on stdout."""
    threading.current_thread().name = "server"  # in the log, beside the addresses of clients
    folder = record_folder(options.keep_raw) if options.keep_raw is not None else None
    limit_threads(options.threads)
    server.serve(
        options.host,
        options.port,
        Options(options.clients, options.patience, folder, known_gadgets(options.gadgets)),
    )
    return ()
