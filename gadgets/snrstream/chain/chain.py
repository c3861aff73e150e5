"""A stream configuration (XML) to a chain of gadgets that pass items on, one process, no serialisation.

A gadget is a module with a frozen dataclass `Parameters` and a generator function
`process(items, header, parameters)`; a chain is their composition, pulled from its end.
"""

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ismrmrd import xsd

from ..errors import ConfigurationError, SnrstreamError, UnknownPipeline
from ..items import ScanWarning
from ..system.resources import folder, is_plain_name
from ..wire.messages import Pause
from .configuration import configured_gadgets
from .parameters import parse_parameters

GADGETS = (
    "noise_adjust",
    "accumulate",
    "compress_channels",
    "grappa",
    "taper",
    "coil_combine",
    "partial_fourier",
    "kspace_filter",
    "denoise",
    "resize",
    "image_finish",
)
COMPLETION: dict[str, dict[str, Any]] = {
    "grappa": {},
    "coil_combine": {},
    "image_finish": {"output": "complex"},
}  # from acquired lines to images

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chain:
    """Gadget names with their parameters, in order of the stream."""

    steps: tuple[tuple[str, Any], ...]

    def run(self, items: Iterable[Any], header: xsd.ismrmrdHeader) -> Iterator[Any]:
        """What the last gadget makes of `items`, those of Gadgetron's own gadgets among them (`adapted`).

        Lazy: an item is taken when an output is asked for. Among `items`, each `Pause` tells that the next one is not
        there yet; from the first of them on, `denoise` takes the liberty to work beside the others until the next.
        """
        from ..gadgetron.items import adapted

        items = adapted(items, header, self.steps[0][0])
        for name, parameters in self.steps:
            items = _module(name).process(items, header, parameters)
        yield from (item for item in items if not isinstance(item, (ScanWarning, Pause)))


def parse_chain(text: bytes | str, source: str) -> Chain:
    """The chain of a stream configuration.

    Gadgets that end with something which cannot leave the chain are followed by those that make images of it. Raises
    ConfigurationError, naming `source`, on what `configured_gadgets` finds, on unknown properties and values, and on
    gadgets in another order.
    """
    steps = tuple(
        (name, parse_parameters(_module(name).Parameters, f"{name} in {source}", properties))
        for name, properties in configured_gadgets(text, source, GADGETS)
    )
    names = [name for name, _ in steps]
    if names != [name for name in GADGETS if name in names]:
        raise ConfigurationError(
            f"{source} has the gadgets {', '.join(names[:20])}; expected each at most once, in this order: "
            f"{', '.join(GADGETS)}"
        )
    return Chain(steps + _completion(names[-1], source))


def named_chain(name: str) -> Chain:
    """The chain of `pipelines/<name>`, with or without `.xml`. The name cannot lead elsewhere."""
    pipelines = folder("pipelines")
    if not is_plain_name(name):
        raise ConfigurationError(f"pipeline name {name!r} is not a plain name; expected a file of pipelines/")
    path = pipelines / f"{name.removesuffix('.xml')}.xml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in pipelines.glob("*.xml"))) or "none"
        raise UnknownPipeline(f"unknown pipeline {name!r}; known: {known}")
    return parse_chain(read_configuration(path), path.name)


def chain_file(name: str) -> Path | None:
    """The file that `--pipeline NAME|FILE` means, or None where it is a name to look up in `pipelines/`.

    Raises ConfigurationError where it looks like a file and there is none.
    """
    path = Path(name)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"pipeline file {name[:200]!r} cannot be read: {exc}") from None
    if not is_plain_name(name):
        raise ConfigurationError(f"pipeline file {name[:200]!r} does not exist; expected a name or an XML file")
    return None


def read_configuration(path: Path) -> bytes:
    """The text of a stream configuration. Raises ConfigurationError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"pipeline file {path} cannot be read: {exc.strerror or exc}") from None


def preload() -> None:
    """Import all gadgets, so that a server's first scan does not wait for it."""
    for name in GADGETS:
        _module(name)


def warm_up() -> None:
    """Run the pipelines in `pipelines/` once: their models, each as its gadget will, and the rest on a scan of our own.

    What fails, or a pipeline that cannot be read, is a warning: the scan that asks for it will be told.
    """
    chains = []
    for path in sorted(folder("pipelines").glob("*.xml")):
        try:
            chains.append(named_chain(path.name))
        except ConfigurationError as exc:
            log.warning("%s", exc)
    for model in dict.fromkeys(parameters for chain in chains for name, parameters in chain.steps if name == "denoise"):
        _tried(_module("denoise").warm_up, model)
    reconstructions = [tuple(step for step in chain.steps if step[0] != "denoise") for chain in chains]
    for steps in dict.fromkeys(steps for steps in reconstructions if "accumulate" in dict(steps)):
        _tried(_reconstruct_trial, Chain(steps))


def _tried(run: Callable[[Any], None], subject: Any) -> None:
    try:
        run(subject)
    except (SnrstreamError, MemoryError) as exc:
        log.warning("not ready: %s", str(exc) or "out of memory")


def _reconstruct_trial(chain: Chain) -> None:
    from ..wire.encoder import encode
    from . import trial_scan

    log.info("trial scan through %s", ", ".join(name for name, _ in chain.steps))
    for image in chain.run(trial_scan.acquisitions(), trial_scan.HEADER):
        encode(image)


def _completion(last: str, source: str) -> tuple[tuple[str, Any], ...]:
    """The steps from what the gadget `last` hands on to complex ISMRMRD images; acquisitions may leave as they are."""
    later = GADGETS[GADGETS.index(last) + 1 :]
    names = [name for name in COMPLETION if name in later] if last != "noise_adjust" else []
    if names:
        log.info("%s ends with %s: completed by %s", source, last, ", ".join(names))
    return tuple((name, _module(name).Parameters(**COMPLETION[name])) for name in names)


def _module(name: str) -> Any:
    """The gadget's module, imported when a chain first uses it, for torch and ONNX Runtime are slow to load."""
    return importlib.import_module(f"snrstream.gadgets.{name}")
