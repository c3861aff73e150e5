"""One session: what a peer asks for, in which dialect, and what it gets. Messages in, messages out; no sockets."""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import TypeAlias

import ismrmrd

from ..chain.chain import Chain, parse_chain
from ..chain.configuration import is_of_module
from ..chain.pipelines import named_chain
from ..chain.registry import BUILT_IN, Registry
from ..errors import ConfigurationError, ConnectionFailed, ProtocolError
from ..noise.query import is_noise_query, noise_list, noise_summary
from ..system.progress import Progress
from ..system.resources import DEFAULT_PIPELINE
from ..wire.header import parse_header
from ..wire.messages import (
    DATA,
    LONGEST_TEXT,
    ConfigFile,
    ConfigText,
    Data,
    Dependency,
    Fault,
    Header,
    Message,
    Pause,
    Query,
    Response,
    Text,
    data_of,
)
from . import openrecon
from .failure import fault
from .queries import answer

log = logging.getLogger(__name__)

MOST_QUERIES = 1000  # of one session
OPENRECON = "openrecon"  # the name that OpenRecon always sends; the pipeline's own comes after the header
IS_ALIVE, DEPENDENCIES = "isalive", "gtquery"  # of FIRE and Gadgetron's tools

Send: TypeAlias = Callable[[Message], None]


class Session:
    """One peer's session, whichever dialect it speaks.

    Parameters
    ----------
    peer : str
        What errors and the log call the other end.
    registry : Registry
        The gadgets that its configuration may name.

    Attributes
    ----------
    begun : bool
        Whether the peer has said anything.
    has_scan : bool
        Whether it has sent the header of a scan.
    is_gadgetron : bool
        Whether it is a Gadgetron that dialled us as its external module, which takes other errors.
    """

    def __init__(self, peer: str, registry: Registry = BUILT_IN) -> None:
        self.peer, self._registry = peer, registry
        self.begun = self.has_scan = self.is_gadgetron = False

    def run(self, messages: Iterator[Message | Pause], send: Send) -> None:
        """Hold the session to its end.

        Parameters
        ----------
        messages : iterator of Message or Pause
            From the peer's first to its last, which is the one ahead of its CLOSE, as they come.
        send : Send
            Takes all that goes back to the peer before our CLOSE, each as soon as it is there. It may be called while
            the next message is asked for: queries are answered there and then, whatever the session is about, for
            their peer may wait for it.

        Raises
        ------
        SnrstreamError
            Where the peer asks for what cannot be had; `fault` is how to tell it.
        """
        messages = self._without_queries(messages, send)
        self._hold(messages, send)
        try:
            for _ in messages:  # who has got all that it wanted may still ask
                pass
        except ConnectionFailed:
            if self.has_scan:
                raise  # others may go without CLOSE

    def fault(self, text: str) -> Text | Fault:
        """Tell of a failure in the peer's dialect.

        Parameters
        ----------
        text : str
            Cut where it is long.

        Returns
        -------
        Text or Fault
            The message that tells the peer.
        """
        return fault(text, self.is_gadgetron)

    def hear(self, message: Message | Pause) -> None:
        """Learn the dialect of a peer that is not answered.

        Parameters
        ----------
        message : Message or Pause
            Any that it sends.
        """
        if self.begun or isinstance(message, (Pause, Query)):
            return
        self.begun = True
        if isinstance(message, ConfigText):
            with contextlib.suppress(ConfigurationError):
                self.is_gadgetron = is_of_module(message.xml)

    def _without_queries(self, messages: Iterator[Message | Pause], send: Send) -> Iterator[Message | Pause]:
        """The messages but queries, which are answered."""
        n_queries = 0
        for message in messages:
            if not isinstance(message, Query):
                yield message
                continue
            n_queries += 1
            if n_queries > MOST_QUERIES:
                raise ProtocolError(f"more than {MOST_QUERIES} queries in one session; expected fewer")
            send(Response(message.id, answer(message.text)))

    def _hold(self, messages: Iterator[Message | Pause], send: Send) -> None:
        """The session without its queries. Messages that it has no use for may be left."""
        first = _next(messages)
        self.begun = True
        if isinstance(first, ConfigText) and is_noise_query(first.xml):
            # A Gadgetron client asks for a stored noise measurement ahead of its scan.
            send(Dependency(noise_summary(first.xml)))
            return
        chain, name = self._chain(first)
        if name == DEPENDENCIES:
            send(Dependency(noise_list()))
        if chain is None and name != OPENRECON:
            return
        second = _next(messages)
        if second is None:
            log.info("no scan came with %s", name)
            return
        if not isinstance(second, Header):
            raise ProtocolError(f"{_kind(second)} after the configuration; expected the ISMRMRD header")
        self.has_scan = True
        header = parse_header(second.xml)
        third = _next(messages)
        settings = None
        if isinstance(third, Text):
            settings = openrecon.settings_of(third.text, expected=name == OPENRECON)
        chain, name, warnings = _adjusted(chain, name, settings or openrecon.Settings({}), self._registry)
        for text in warnings:
            log.warning(text)
        if settings is None and third is not None:
            messages = itertools.chain([third], messages)
        log.info("scan with %s", name)
        with Progress(f"{self.peer} {name}") as progress:
            for item in chain.run(self._items(messages, progress), header, tuple(warnings)):
                if isinstance(item, ismrmrd.Waveform) and not self.is_gadgetron:
                    continue  # Gadgetron's client fails at messages that it does not expect back
                send(data_of(item))
                if isinstance(item, ismrmrd.Image):
                    progress.image()
        log.info("%d acquisitions in, %d images out", progress.n_acquisitions, progress.n_images)

    def _chain(self, first: Message | None) -> tuple[Chain | None, str]:
        """The chain that the first message asks for, and what to call it; None for a peer that wants none (yet)."""
        match first:
            case None:
                return None, "nothing"
            case ConfigFile(name):
                stem = PurePath(name).name.removesuffix(".xml")
                if stem == name.removesuffix(".xml") and stem in (IS_ALIVE, DEPENDENCIES, OPENRECON):
                    return None, stem
                return named_chain(name, self._registry), name
            case ConfigText(xml):
                self.is_gadgetron = is_of_module(xml)
                chain = parse_chain(xml, "configuration of the client", self._registry)
                return chain, "the client's configuration"
        raise ProtocolError(f"{_kind(first)} begins the session; expected a configuration")

    def _items(self, messages: Iterator[Message | Pause], progress: Progress) -> Iterator[Data | Pause]:
        """The data of a scan, counted; texts of the peer are logged."""
        for message in messages:
            match message:
                case ismrmrd.Acquisition():
                    progress.acquisition()
                    yield message
                case Text(text):
                    log.info("the client says: %.1000r", text)
                case Fault(text):
                    raise ConnectionFailed(f"{self.peer} failed: {' '.join(text[:LONGEST_TEXT].split())}")
                case _ if isinstance(message, (*DATA, Pause)):
                    yield message
                case _:
                    raise ProtocolError(f"{_kind(message)} among the data; expected acquisitions, images or waveforms")


def _next(messages: Iterator[Message | Pause]) -> Message | None:
    """The next message; None at the peer's CLOSE."""
    return next((message for message in messages if not isinstance(message, Pause)), None)


def _adjusted(
    chain: Chain | None, name: str, settings: openrecon.Settings, registry: Registry
) -> tuple[Chain, str, list[str]]:
    """The chain as the client's settings will have it, what to call it, and warnings for its images."""
    chosen = None if settings.strict else openrecon.pipeline_name(settings.values)
    if chosen is not None:
        chain, name = named_chain(chosen, registry), chosen
    if chain is None:
        log.warning("the console names no pipeline: %s is taken", DEFAULT_PIPELINE)
        chain, name = named_chain(DEFAULT_PIPELINE, registry), DEFAULT_PIPELINE
    if settings.values:
        log.info("settings of the client: %.1000s", settings.values)
    if settings.strict:
        return openrecon.with_properties(chain, name, settings.values), name, []
    chain, warnings = openrecon.adjusted(chain, settings.values)
    return chain, name, warnings


def _kind(message: object) -> str:
    return type(message).__name__
