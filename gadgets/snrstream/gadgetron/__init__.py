"""What a real Gadgetron sees of snrstream: `chain`, the entry point of its external modules, and its own items as ours.

<execute name="snrstream.gadgetron" target="chain" type="python"/>
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`chain`, when it is asked for: the adapters in this folder lie below the hosts, which run it."""
    if name == "chain":
        from ..hosts.gadgetron_module import chain

        return chain
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
