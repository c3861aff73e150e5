"""What every gadget keeps: items are handed to it one by one, and it answers with what follows from them.

A gadget is a module with a frozen dataclass `Parameters` and a function `start`, see `GadgetModule`. One that works
on one kind of item, each by itself, is a line: `each(ReconImage, function)`. One that collects items is a class of
`Gadget`.
"""

import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ismrmrd import xsd
from torch import Tensor

from ..errors import ConnectionFailed
from ..items import Item
from ..wire.header import ScanHeader
from ..wire.messages import Pause

log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=Item)


@dataclass
class Scan:
    """What all gadgets of one run share.

    Attributes
    ----------
    header : ismrmrdHeader
        Of the scan; not to be changed.
    warnings : tuple of str
        What images should carry in their meta attributes, from the next bucket on. The warnings of the
        header, as `parse_header` found them, are added and logged.
    snr_units : bool
        Whether the data that comes is prewhitened.
    sample_sd : Tensor or None, (ro,), float32
        The noise's SD along the readouts that `epi` made, without oversampling; None where lines come as acquired.
    unused_gpu : str
        Why the images are reconstructed on the CPU of a machine that has a GPU; empty where nothing is amiss.
    """

    header: xsd.ismrmrdHeader
    warnings: tuple[str, ...] = ()
    snr_units: bool = True
    sample_sd: Tensor | None = None
    unused_gpu: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.header, ScanHeader):
            for text in self.header.warnings:
                log.warning(text)
            self.warnings += self.header.warnings

    def warn(self, text: str, snr_units: bool = True) -> None:
        """Have the images that come after carry a warning.

        Parameters
        ----------
        text : str
            What is wrong: one line for a person.
        snr_units : bool
            Whether the data that follows is prewhitened all the same.
        """
        self.warnings += (text,)
        self.snr_units &= snr_units


class Gadget(Protocol):
    """One gadget at work on one scan. What its methods answer is taken item by item, the next when it is asked for."""

    @abstractmethod
    def take(self, item: Item) -> Iterable[Item]:
        """Work on the next item.

        Parameters
        ----------
        item : Item
            Of any kind: a gadget answers with the item itself where it has no use for it.

        Returns
        -------
        Iterable of Item
            What follows from it, in order; often nothing yet.

        Raises
        ------
        ScanError
            Where the data cannot be used.
        """

    def pause(self) -> Iterable[Item]:
        """Let go of what was only held back to work beside the next item, for the source has none for now."""
        return ()

    def end(self) -> Iterable[Item]:
        """Answer with what is left, for the scan is complete. Raises ScanError where the scan lacks something."""
        return ()

    def failed(self) -> Iterable[Item]:
        """Answer with what is finished but for its turn, for the scan ends with an error."""
        return ()

    def close(self) -> None:
        """Stop what still works, for nobody wants more."""
        return None


class GadgetModule(Protocol):
    """A module that holds a gadget.

    Attributes
    ----------
    Parameters : type
        A frozen dataclass, whose fields are the gadget's properties; each has a default.
    """

    @property
    def Parameters(self) -> type[Any]:
        """The class of the gadget's parameters."""

    def start(self, scan: Scan, parameters: Any) -> Gadget:
        """The gadget for a scan.

        Parameters
        ----------
        scan : Scan
            The scan that begins.
        parameters : Parameters
            An instance of the module's own class.

        Raises
        ------
        ScanError
            Where the header cannot be used.
        """


def each(kind: type[Kind], function: Callable[[Kind], Item]) -> Gadget:
    """Make a gadget of a function on single items.

    Parameters
    ----------
    kind : type
        What the function takes; other items pass.
    function : callable
        From an item to the one that takes its place.
    """
    return _Each(kind, function)


class _Each(Gadget):
    def __init__(self, kind: type[Kind], function: Callable[[Kind], Item]) -> None:
        self._kind: type[Any] = kind
        self._function: Callable[[Any], Item] = function

    def take(self, item: Item) -> Iterable[Item]:
        return (self._function(item) if isinstance(item, self._kind) else item,)


def stream(module: GadgetModule, items: Iterable[Item | Pause], scan: Scan, parameters: Any) -> Iterator[Item | Pause]:
    """Drive one gadget through a scan, lazily: an item is taken when what follows from those before it has left.

    Parameters
    ----------
    module : GadgetModule
        The gadget.
    items : iterable of Item and Pause
        What comes. A `Pause` tells that the next one is not there yet; the gadget does not see it.
    scan : Scan
        Shared with the other gadgets of the run.
    parameters : Parameters
        Of the gadget.

    Yields
    ------
    Item or Pause
        What the gadget makes; each `Pause` behind all that leaves for it.

    Raises
    ------
    SnrstreamError
        What the gadget raises, or the source. So does a defect. What the gadget has finished leaves before, but for
        `ConnectionFailed`: then nobody is there for it.
    """
    with contextlib.closing(module.start(scan, parameters)) as gadget:
        take = gadget.take
        try:
            for item in items:
                if isinstance(item, Pause):
                    yield from gadget.pause()
                    yield item
                else:
                    yield from take(item)
        except ConnectionFailed:
            raise
        except Exception as failure:
            try:
                yield from gadget.failed()
            except Exception as exc:
                raise failure from exc
            raise
        yield from gadget.end()


def run(
    module: GadgetModule,
    items: Iterable[Item],
    scan: Scan | xsd.ismrmrdHeader,
    parameters: Any = None,
) -> Iterator[Item]:
    """Run one gadget alone, as in a notebook or a test.

    Parameters
    ----------
    module : GadgetModule
        The gadget, such as `snrstream.gadgets.grappa`.
    items : iterable of Item
        What it takes.
    scan : Scan or ismrmrdHeader
        The header, or a `Scan` where the warnings are of interest.
    parameters : Parameters
        Of the gadget; its defaults where they are not given.

    Returns
    -------
    iterator of Item
        What it makes, lazily.

    Raises
    ------
    SnrstreamError
        As `stream` does.
    """
    if not isinstance(scan, Scan):
        scan = Scan(scan)
    made = stream(module, items, scan, module.Parameters() if parameters is None else parameters)
    return (item for item in made if not isinstance(item, Pause))
