"""Options of the commands."""

import argparse
from typing import NoReturn

from snrstream.errors import ConfigurationError


class Parser(argparse.ArgumentParser):
    """argparse's, but for mistakes: one line as for everything else that is wrong, not the usage and status 2."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigurationError, which the command prints."""
        raise ConfigurationError(f"{message} (see {self.prog} --help)")
