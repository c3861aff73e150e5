"""The command `snrstream`. Results on stdout, progress and logs on stderr, status 1 and one line on failure."""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterable
from typing import NoReturn

from ..errors import SnrstreamError
from ..system.interruption import Interrupted, interrupted_status, interruptible, what_interrupted
from ..system.log_levels import quiet_third_parties
from ..system.time_limit import leave
from .parser import fail, parser

log = logging.getLogger("snrstream.cli.main")  # even where it runs as __main__


def command() -> NoReturn:
    """The process `snrstream`, to its end."""
    interruptible()
    leave(main())


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : list of str or None
        Of the command line, without the program's name; those of the process where not given.

    Returns
    -------
    int
        The exit status: 0, or 1 for a failure, of which one line on stderr tells; 130 after SIGINT, 143 after SIGTERM.
    """
    options = parser().parse_args(arguments)
    serves = options.command == "serve"
    logging.basicConfig(
        handlers=[_LogHandler()],
        force=True,
        level=logging.DEBUG if options.verbose else logging.INFO,
        # A server's clients have threads that bear their addresses, and its log spans days.
        format=f"%(asctime)s %(levelname)-7s {'%(threadName)s: ' if serves else ''}%(message)s",
        datefmt="%Y-%m-%d %H:%M:%S" if serves else "%H:%M:%S",
    )
    quiet_third_parties()
    try:
        for line in _results(options):
            _say(line)
    except KeyboardInterrupt as exc:
        return _interrupted(exc)
    except Exception as exc:
        interruption = what_interrupted()
        if interruption is not None:
            log.debug("what came of the interruption:", exc_info=True)
            return _interrupted(interruption)
        if isinstance(exc, SnrstreamError):
            return fail(str(exc))
        # A defect: who sees it shall report it, not read a traceback.
        log.debug("the defect in full:", exc_info=True)
        return fail(f"internal error, please report it: {type(exc).__name__}: {exc}")
    return 0


def _interrupted(exc: KeyboardInterrupt) -> int:
    fail(f"interrupted by {exc.name}" if isinstance(exc, Interrupted) else "interrupted")
    return interrupted_status(exc)


def _results(options: argparse.Namespace) -> Iterable[str]:
    """What a command has to say on stdout, as it runs. Each is imported when it is asked for: help answers at once."""
    match options.command:
        case "recon":
            from .recon import recon

            return recon(options)
        case "serve":
            from .serve import serve

            return serve(options)
        case "send":
            from .send import send

            return send(options)
        case "models":
            from .models import models

            return models(options)
        case _:
            from .gadgets import gadgets

            return gadgets(options)


class _LogHandler(logging.Handler):
    """To stderr, above a progress bar that may be drawn there. One that cannot be written costs no scan."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        with contextlib.suppress(OSError):
            tqdm.write(self.format(record), file=sys.stderr)


def _say(text: str) -> None:
    """A result on stdout; a reader that is gone or cannot show it does not undo what was written."""
    try:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a replaced stdout may lack it
        print(text, flush=True)
    except (OSError, ValueError) as exc:
        log.warning("stdout cannot be written: %s", exc)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it fails again at exit


if __name__ == "__main__":
    command()
