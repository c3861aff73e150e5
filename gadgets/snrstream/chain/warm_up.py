"""A server's first scan waits for nothing: gadgets are imported, models run and pipelines tried before it comes."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ..errors import ConfigurationError, SnrstreamError
from ..system.resources import folder
from .chain import Chain
from .pipelines import named_chain
from .registry import BUILT_IN, Registry

TRIAL = "trial scan"

log = logging.getLogger(__name__)

Subject = TypeVar("Subject")


def preload(registry: Registry = BUILT_IN) -> None:
    """Import all gadgets."""
    for name in registry.names:
        registry.module(name)


def warm_up(registry: Registry = BUILT_IN) -> None:
    """Run the pipelines in `pipelines/` once: their models, each as its gadget will, and the rest on a scan of our own.

    What fails, or a pipeline that cannot be read, is a warning: the scan that asks for it will be told. Meanwhile the
    thread is called `trial scan`, so that a server's log tells what is said of it from what is said of a patient's.

    Parameters
    ----------
    registry : Registry
        The gadgets that the pipelines may name.
    """
    with _thread_name(TRIAL):
        chains = []
        for path in sorted(folder("pipelines").glob("*.xml")):
            try:
                chains.append(named_chain(path.name, registry))
            except ConfigurationError as exc:
                log.warning("%s", exc)
        steps = [step for chain in chains for step in chain.steps]
        for model in dict.fromkeys(parameters for name, parameters in steps if name == "denoise"):
            _tried(_warm_up_model, model)
        reconstructions = [tuple(step for step in chain.steps if step[0] != "denoise") for chain in chains]
        for reconstruction in dict.fromkeys(steps for steps in reconstructions if "accumulate" in dict(steps)):
            _tried(_reconstruct_trial, Chain(reconstruction, registry))


def _tried(run: Callable[[Subject], None], subject: Subject) -> None:
    try:
        run(subject)
    except (SnrstreamError, MemoryError) as exc:
        log.warning("not ready: %s", str(exc) or "out of memory")


def _warm_up_model(parameters: Any) -> None:
    from ..gadgets import denoise

    denoise.warm_up(parameters)


def _reconstruct_trial(chain: Chain) -> None:
    from ..wire.encoder import encode
    from ..wire.messages import data_of
    from . import trial_scan

    log.info("through %s", ", ".join(name for name, _ in chain.steps))
    for image in chain.run(trial_scan.acquisitions(), trial_scan.HEADER):
        encode(data_of(image))


@contextlib.contextmanager
def _thread_name(name: str) -> Iterator[None]:
    thread = threading.current_thread()
    before, thread.name = thread.name, name
    try:
        yield
    finally:
        thread.name = before
