"""One session: what a peer asks for, in which dialect, and what it gets. Messages in, messages out; no sockets."""

import itertools
import logging
from collections.abc import Generator, Iterator
from pathlib import PurePath
from typing import Any

import ismrmrd
from gadgetron.types.acquisition_bucket import AcquisitionBucket
from gadgetron.types.image_array import ImageArray
from gadgetron.types.recon_data import ReconData

from . import openrecon
from .chain import Chain, named_chain, parse_chain
from .configuration import is_of_module
from .errors import ConnectionFailed, ProtocolError
from .items import ScanWarning
from .mrd.header import parse_header
from .mrd.messages import ConfigFile, ConfigText, Dependency, Fault, Header, Pause, Query, Response, Text
from .noise_query import is_noise_query, noise_list, noise_summary
from .progress import Progress
from .queries import answer

log = logging.getLogger(__name__)

DATA = (ismrmrd.Acquisition, ismrmrd.Image, ismrmrd.Waveform, ReconData, ImageArray, AcquisitionBucket)
MOST_QUERIES = 1000  # of one session
LONGEST_TEXT = 1000  # characters of a peer's text, and of an error
DEFAULT_PIPELINE = "grappa_denoise"
OPENRECON = "openrecon"  # the name that OpenRecon always sends; the pipeline's own comes after the header
IS_ALIVE, DEPENDENCIES = "isalive", "gtquery"  # of FIRE and Gadgetron's tools


class Session:
    """One peer's session, whichever dialect it speaks.

    begun: whether the peer has said anything. has_scan: whether it has sent the header of a scan.
    is_gadgetron: whether it is a Gadgetron that dialled us as its external module, which takes other errors.
    """

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.begun = self.has_scan = self.is_gadgetron = False
        self._n_queries = 0

    def answers(self, messages: Iterator[Any]) -> Iterator[Any]:
        """All that goes back to the peer before CLOSE. `messages` ends with the peer's own.

        Raises SnrstreamError where the peer asks for what cannot be had; `fault` is how to tell it.
        """
        first = yield from self._next(messages)
        self.begun = True
        if isinstance(first, ConfigText) and is_noise_query(first.xml):
            # A Gadgetron client asks for a stored noise measurement ahead of its scan.
            for _ in messages:
                pass
            yield Dependency(noise_summary(first.xml))
            return
        chain, name = self._chain(first)
        if name == DEPENDENCIES:
            yield Dependency(noise_list())
        if chain is None and name != OPENRECON:
            return
        second = yield from self._next(messages)
        if second is None:
            log.info("no scan came with %s", name)
            return
        if not isinstance(second, Header):
            raise ProtocolError(f"{_kind(second)} after the configuration; expected the ISMRMRD header")
        self.has_scan = True
        header = parse_header(second.xml)
        third = yield from self._next(messages)
        parameters = None
        if isinstance(third, Text):
            parameters = openrecon.console_parameters(third.text, expected=name == OPENRECON)
        chain, name, warnings = self._on_console(chain, name, parameters)
        if parameters is None and third is not None:
            messages = itertools.chain([third], messages)
        log.info("scan with %s", name)
        with Progress(f"{self.peer} {name}") as progress:
            for item in chain.run(self._items(messages, progress, warnings), header):
                if isinstance(item, ismrmrd.Waveform) and not self.is_gadgetron:
                    continue  # Gadgetron's client fails at messages that it does not expect back
                yield item
                if isinstance(item, ismrmrd.Image):
                    progress.image()
        log.info("%d acquisitions in, %d images out", progress.n_acquisitions, progress.n_images)

    def fault(self, text: str) -> Text | Fault:
        """The message that tells the peer of a failure, in its dialect."""
        text = text[:LONGEST_TEXT]
        return Fault(f"snrstream: {text}") if self.is_gadgetron else Text(f"ERROR: {text}")

    def _next(self, messages: Iterator[Any]) -> Generator[Any, None, Any]:
        """The next message that is no query; queries before it are answered. None at the peer's CLOSE."""
        for message in messages:
            match message:
                case Query():
                    yield self._response(message)
                case Pause():
                    continue
                case _:
                    return message
        return None

    def _response(self, query: Query) -> Response:
        self._n_queries += 1
        if self._n_queries > MOST_QUERIES:
            raise ProtocolError(f"more than {MOST_QUERIES} queries in one session; expected fewer")
        return Response(query.id, answer(query.text))

    def _chain(self, first: Any) -> tuple[Chain | None, str]:
        """The chain that the first message asks for, and what to call it; None for a peer that wants none (yet)."""
        match first:
            case None:
                return None, "nothing"
            case ConfigFile(name):
                stem = PurePath(name).name.removesuffix(".xml")
                if stem == name.removesuffix(".xml") and stem in (IS_ALIVE, DEPENDENCIES, OPENRECON):
                    return None, stem
                return named_chain(name), name
            case ConfigText(xml):
                self.is_gadgetron = is_of_module(xml)
                return parse_chain(xml, "configuration of the client"), "a configuration of its own"
        raise ProtocolError(f"{_kind(first)} begins the session; expected a configuration")

    def _on_console(
        self, chain: Chain | None, name: str, parameters: dict[str, Any] | None
    ) -> tuple[Chain, str, list[str]]:
        """The chain as the console's parameters will have it, what to call it, and warnings for its images."""
        chosen = openrecon.pipeline_name(parameters) if parameters else None
        if chosen is not None:
            chain, name = named_chain(chosen), chosen
        if chain is None:
            log.warning("the console names no pipeline: %s is taken", DEFAULT_PIPELINE)
            chain, name = named_chain(DEFAULT_PIPELINE), DEFAULT_PIPELINE
        chain, warnings = openrecon.adjusted(chain, parameters or {})
        if parameters:
            log.info("parameters of the console: %.1000s", parameters)
        return chain, name, warnings

    def _items(self, messages: Iterator[Any], progress: Progress, warnings: list[str]) -> Iterator[Any]:
        """The data of a scan, counted, behind warnings for its images; texts of the peer are logged."""
        for text in warnings:
            log.warning(text)
            yield ScanWarning(text)
        for message in messages:
            match message:
                case ismrmrd.Acquisition():
                    progress.acquisition()
                    yield message
                case Text(text):
                    log.info("the client says: %.1000r", text)
                case Query():
                    yield self._response(message)  # which every gadget passes on
                case Fault(text):
                    raise ConnectionFailed(f"{self.peer} failed: {' '.join(text[:LONGEST_TEXT].split())}")
                case _ if isinstance(message, (*DATA, Pause)):
                    yield message
                case _:
                    raise ProtocolError(f"{_kind(message)} among the data; expected acquisitions, images or waveforms")


def _kind(message: Any) -> str:
    return type(message).__name__
