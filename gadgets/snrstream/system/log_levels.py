"""Whose log lines are worth a line on stderr."""

import logging

OURS = ("snrstream", "gadgetron")


def quiet_third_parties() -> None:
    """Let only our own loggers, and the `gadgetron` package's, be as talkative as the root logger was told to be.

    All others begin with WARNING: at DEBUG, numba alone writes tens of thousands of lines while it compiles, and a host
    that reads stderr slowly would block the scan. Calling it again changes nothing.
    """
    root = logging.getLogger()
    if root.level >= logging.WARNING:
        return
    for name in OURS:
        logging.getLogger(name).setLevel(root.level)
    root.setLevel(logging.WARNING)
