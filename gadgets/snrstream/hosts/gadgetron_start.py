"""How `python -m gadgetron PORT snrstream.gadgetron chain` comes to be our session from the first byte on.

The package imports the module that it is told to run only after its own `Connection` has read configuration and header.
So `snrstream_gadgetron.pth`, which is installed beside this package, calls `take_over` as Python starts, in processes
of that start line and in no others.
"""


def take_over() -> None:
    """Have `python -m gadgetron` open a `ModuleConnection` in place of the package's `Connection`."""
    from gadgetron.external import connection

    from .gadgetron_connection import ModuleConnection

    # What is replaced is a name in the package, which mypy takes for a type that stays.
    connection.Connection = ModuleConnection  # type: ignore[misc, assignment]
