"""The commands of tools/: each module here has a `main`, and `run` ends its process as a user may expect."""

import importlib
import signal
import sys
from typing import NoReturn

from snrstream.errors import SnrstreamError


def run(name: str) -> NoReturn:
    """Run a command on the process's arguments and end the process with its status.

    name: of a module of this package. It has `main(arguments)`, which gives a status or None, and may have
    `INTERRUPTED`, what Ctrl-C or SIGTERM is answered with. Whatever a user can mend is one line on stderr and status
    1, without a traceback.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    module = None
    try:
        module = importlib.import_module(f"{__name__}.{name}")
        status = module.main()
        sys.stdout.flush()
        sys.exit(status)
    except SnrstreamError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: {getattr(module, 'INTERRUPTED', 'interrupted')}")
    except ModuleNotFoundError as error:
        sys.exit(f"{name}: the package {error.name} is not installed; expected the extras train and dev of snrstream")
    except OSError as error:
        what = error.filename or "a file"
        sys.exit(f"{name}: {what} cannot be read or written: {error.strerror or ' '.join(str(error).split())}")
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate" not in str(error):
            raise
        sys.exit(f"{name}: memory ends; expected a smaller task, or more memory")
