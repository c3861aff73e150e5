"""A chain: gadgets with their parameters, one behind the other, in one process and without serialisation."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ismrmrd import xsd

from ..gadgetron.items import adapted
from ..gadgets.gadget import Scan, stream
from ..items import Item
from ..system.threads import limit_scan
from ..wire.messages import Pause
from .configuration import configured_gadgets
from .parameters import parse_parameters
from .registry import BUILT_IN, COMPLETION, Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chain:
    """Gadget names with their parameters, in order of the stream.

    Attributes
    ----------
    steps : tuple
        Of each gadget, its name and its parameters, an instance of its module's `Parameters`.
    registry : Registry
        Where the names are known.
    """

    steps: tuple[tuple[str, Any], ...]
    registry: Registry = BUILT_IN

    def run(
        self, items: Iterable[Item | Pause], header: xsd.ismrmrdHeader, warnings: tuple[str, ...] = ()
    ) -> Iterator[Item]:
        """Run a scan, lazily: an item is taken when an output is asked for. The calling thread's threads are limited.

        Parameters
        ----------
        items : iterable of Item and Pause
            The scan's data, those of Gadgetron's own gadgets too (`adapted`). Each `Pause` tells that the next item is
            not there yet; from the first of them on, `denoise` takes the liberty to work beside the others.
        header : ismrmrdHeader
            Of the scan.
        warnings : tuple of str
            For the meta attributes of all images.

        Returns
        -------
        iterator of Item
            What the last gadget makes of them. What follows from one item has left before the next is taken.

        Raises
        ------
        ScanError
            Where the scan cannot be reconstructed.
        """
        limit_scan()
        scan = Scan(header, warnings)
        made: Iterator[Item | Pause] = adapted(items, scan, self.registry.takes(self.steps[0][0]))
        for name, parameters in self.steps:
            made = stream(self.registry.module(name), made, scan, parameters)
        return (item for item in made if not isinstance(item, Pause))


def parse_chain(text: bytes | str, source: str, registry: Registry = BUILT_IN) -> Chain:
    """Read a stream configuration.

    Gadgets that end with something which cannot leave the chain are followed by those that make images of it.

    Parameters
    ----------
    text : bytes or str
        XML, in any of the dialects of `configured_gadgets`.
    source : str
        What to call it in errors.
    registry : Registry
        The gadgets that it may name.

    Raises
    ------
    ConfigurationError
        On what `configured_gadgets` finds, on unknown properties and values, and on gadgets in another order.
    """
    steps = tuple(
        (name, parse_parameters(registry.module(name).Parameters, f"{name} in {source}", properties))
        for name, properties in configured_gadgets(text, source, registry.names)
    )
    names = [name for name, _ in steps]
    registry.require_order(names, source)
    added = registry.completion(names[-1])
    if added:
        log.info("%s ends with %s: completed by %s", source, names[-1], ", ".join(added))
    last_steps = tuple((name, registry.module(name).Parameters(**COMPLETION[name])) for name in added)
    return Chain(steps + last_steps, registry)
