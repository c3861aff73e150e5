"""`snrstream gadgets`: what the gadgets are and which properties they have, in lines for the terminal and the manual.

All of it is what the gadgets say about themselves: the first line of their module, and the fields of `Parameters`.
"""

import argparse
import ast
import importlib.util
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

from ..chain.parameters import properties_of
from ..chain.registry import BUILT_IN, Registry, known_gadgets
from ..errors import ConfigurationError, printable
from ..gadgets.gadget import GadgetModule

PACKAGE = "snrstream.gadgets"
WIDTH = 100  # of a line for the terminal


def gadgets(options: argparse.Namespace) -> Iterator[str]:
    """All gadgets, with those of `--gadgets FOLDER` and of installed packages, or the one that is named."""
    known = known_gadgets(options.gadgets)
    lines = list_gadgets(known) if options.name is None else show_gadget(options.name, known)
    return map(printable, lines)  # own gadgets say about themselves what they like


def list_gadgets(known: Registry = BUILT_IN) -> Iterator[str]:
    """One line for each gadget, in their order in a pipeline. None of snrstream's is imported, for that takes long."""
    width = max(map(len, known.names))
    for name in known.names:
        yield f"{name.ljust(width)}  {_summary(name, known)}".rstrip()


def show_gadget(name: str, known: Registry = BUILT_IN) -> Iterator[str]:
    """What the gadget does and its properties: name, type or choices, default, meaning.

    Raises
    ------
    ConfigurationError
        No gadget has this name; those that there are are listed.
    """
    if name not in known.names:
        raise ConfigurationError(f"unknown gadget {name[:100]!r}; known: {', '.join(known.names)}")
    yield f"{name}: {_summary(name, known)}"
    module = known.module(name)
    for paragraph in _remarks(module):
        yield ""
        yield from textwrap.wrap(paragraph, WIDTH)
    properties = properties_of(module.Parameters)
    if not properties:
        yield ""
        yield "  no properties"
    for one in properties:
        yield ""
        yield f"  {one.name}: {one.expected}; default: {one.default}"
        yield from textwrap.wrap(one.meaning, WIDTH, initial_indent="    ", subsequent_indent="    ")


def gadgets_page() -> Iterator[str]:
    """The lines of Markdown in which the manual tells of all gadgets, in their order."""
    for name in BUILT_IN.names:
        module = BUILT_IN.module(name)
        yield f"### `{name}`"
        yield ""
        yield f"{_sentence(_summary(name, BUILT_IN))}."
        yield ""
        for paragraph in _remarks(module):
            yield paragraph
            yield ""
        properties = properties_of(module.Parameters)
        if not properties:
            yield "No properties."
            yield ""
            continue
        yield "| property | value | default | meaning |"
        yield "|---|---|---|---|"
        for one in properties:
            yield f"| `{one.name}` | {one.expected} | {one.default} | {one.meaning} |"
        yield ""


def _summary(name: str, known: Registry) -> str:
    """The first line of the gadget's module."""
    own = next((gadget.module for gadget in known.own if gadget.name == name), None)
    text = _docstring(f"{PACKAGE}.{name}") if own is None else own.__doc__
    text = text.strip() if isinstance(text, str) else ""
    return (text or name).splitlines()[0].removeprefix("Gadget: ").rstrip(".")


def _docstring(module: str) -> str | None:
    """That of a module, which is not imported."""
    place = importlib.util.find_spec(module)
    source = Path(place.origin).read_text(encoding="utf-8") if place is not None and place.origin else ""
    return ast.get_docstring(ast.parse(source))


def _remarks(module: GadgetModule) -> list[str]:
    """What concerns all of the gadget's properties together: its docstring without the first line, by paragraphs."""
    _, *paragraphs = (inspect.getdoc(module.Parameters) or "").split("\n\n")
    return [" ".join(paragraph.split()) for paragraph in paragraphs]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
