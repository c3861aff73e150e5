"""Gadget parameters: a frozen dataclass, filled from `<property name= value=>` text at the edge."""

import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, TypeVar

from ..errors import ConfigurationError

T = TypeVar("T")

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def parse_parameters(cls: type[T], gadget: str, properties: dict[str, str]) -> T:
    """Make an instance of a gadget's parameters from the texts of its properties.

    Parameters
    ----------
    cls : type
        A dataclass. Its fields are bool, int, float, str, Literal[...] of str, or one of these or None. A
        `__post_init__` that finds a value out of range raises ValueError with what it expected.
    gadget : str
        What to call the gadget in errors.
    properties : dict
        Texts by the names of the fields; fields that are not among them have their defaults.

    Raises
    ------
    ConfigurationError
        For an unknown property or a value that cannot be taken; it names gadget, property and what is expected.
    """
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]  # of a dataclass, which no bound of T can say
    values: dict[str, Any] = {}
    for name, text in properties.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ConfigurationError(f"gadget {gadget}: unknown property {name!r:.200}; known: {listed}")
        values[name] = _value(cls, gadget, name, text)
    return _made(lambda: cls(**values), gadget)


def unreadable(cls: type) -> str:
    """Tell why `parse_parameters` cannot fill the dataclass `cls` from text; empty where it can."""
    hints = typing.get_type_hints(cls)
    for field in fields(cls):
        if field.default is MISSING and field.default_factory is MISSING:
            return f"{field.name} has no default; expected one"
        if not field.init:
            return f"{field.name} cannot be set (init=False); expected a field that can"
        hint = _bare(hints[field.name])
        texts = typing.get_origin(hint) is typing.Literal and all(isinstance(c, str) for c in typing.get_args(hint))
        if not texts and hint not in (bool, int, float, str):
            return (
                f"{field.name} is of {hint}; expected bool, int, float, str, Literal of texts, or one of these | None"
            )
    return ""


def replace_parameter(parameters: T, gadget: str, name: str, text: str) -> T:
    """Give one field of a gadget's parameters another value.

    Parameters
    ----------
    parameters : Parameters
        Before; they stay as they are.
    gadget : str
        What to call the gadget in errors.
    name : str
        Of the field.
    text : str
        The value.

    Raises
    ------
    ConfigurationError
        As `parse_parameters` does.
    """
    value = _value(type(parameters), gadget, name, text)
    return _made(lambda: replace(parameters, **{name: value}), gadget)  # type: ignore[type-var]  # the same


def _made(make: Callable[[], T], gadget: str) -> T:
    try:
        return make()
    except ValueError as exc:
        raise ConfigurationError(f"gadget {gadget}: {exc}") from None
    except Exception as exc:  # noqa: BLE001 - the __post_init__ of an own gadget may do anything
        reason = " ".join(str(exc).split())
        raise ConfigurationError(f"gadget {gadget}: {type(exc).__name__}: {reason[:300]}") from None


def _value(cls: type, gadget: str, name: str, text: str) -> Any:
    try:
        return _convert(typing.get_type_hints(cls)[name], text.strip())
    except ValueError as exc:
        raise ConfigurationError(f"gadget {gadget}: property {name} is {text!r:.200}; expected {exc}") from None


def _convert(hint: Any, text: str) -> Any:
    """`text` as the type `hint`; ValueError tells what was expected."""
    hint = _bare(hint)
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(KINDS[bool])
        return text.lower() == "true"
    try:
        return hint(text)
    except ValueError:
        raise ValueError(KINDS.get(hint, hint.__name__)) from None


def _bare(hint: Any) -> Any:
    """A type without what it is annotated with, and without None beside it."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
    return choices[0] if isinstance(hint, types.UnionType) and len(choices) == 1 else hint


@dataclass(frozen=True)
class Property:
    """What a gadget's property is, for people.

    Attributes
    ----------
    name
        As in a stream configuration.
    expected
        Its type or choices.
    default
        Its value where it is not set.
    meaning
        What it does, without a full stop at its end; empty where the gadget does not tell.
    """

    name: str
    expected: str
    default: str
    meaning: str


def properties_of(cls: type) -> list[Property]:
    """What the fields of a gadget's parameters say about themselves, in their order.

    Parameters
    ----------
    cls
        The gadget's dataclass `Parameters`: each field is `Annotated[type, "meaning"]`, and has a default.
    """
    hints, defaults = typing.get_type_hints(cls, include_extras=True), cls()
    return [
        Property(name, _expected(hint), _shown(getattr(defaults, name)), _meaning(hint))
        for name, hint in ((field.name, hints[field.name]) for field in fields(cls))
    ]


def _meaning(hint: Any) -> str:
    """The first text that an `Annotated` bears beside its type."""
    return next((note for note in getattr(hint, "__metadata__", ()) if isinstance(note, str)), "")


def _expected(hint: Any) -> str:
    hint = _bare(hint)
    if typing.get_origin(hint) is typing.Literal:
        *others, last = typing.get_args(hint)
        return f"{', '.join(others)} or {last}" if others else str(last)
    return KINDS.get(hint) or str(hint.__name__)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else "not set" if value in (None, "") else str(value)
