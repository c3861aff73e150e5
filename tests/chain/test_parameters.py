"""Parameters of gadgets: from text to values, and what their fields say about themselves."""

import typing
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from snrstream.chain.parameters import Property, parse_parameters, properties_of
from snrstream.chain.registry import BUILT_IN
from snrstream.errors import ConfigurationError


@dataclass(frozen=True)
class Parameters:
    """Of every kind."""

    name: Annotated[str, "whose it is"] = ""
    count: Annotated[int, "how many"] = 3
    share: Annotated[float | None, "how much"] = None
    mode: Annotated[Literal["one", "two", "three"], "which"] = "two"
    whole: Annotated[bool, "whether all of it"] = False
    bare: float = 0.15


def test_a_field_tells_its_type_default_and_meaning() -> None:
    assert properties_of(Parameters) == [
        Property("name", "text", "not set", "whose it is"),
        Property("count", "a whole number", "3", "how many"),
        Property("share", "a number", "not set", "how much"),
        Property("mode", "one, two or three", "two", "which"),
        Property("whole", "true or false", "false", "whether all of it"),
        Property("bare", "a number", "0.15", ""),
    ]


def test_values_are_converted_by_the_bare_type() -> None:
    texts = {"name": "x", "count": "4", "share": "0.5", "mode": "one", "whole": "TRUE", "bare": "1e-3"}
    assert parse_parameters(Parameters, "one", texts) == Parameters("x", 4, 0.5, "one", True, 1e-3)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("count", "1.5", "a whole number"),
        ("share", "half", "a number"),
        ("mode", "four", "one of one, two, three"),
        ("whole", "1", "true or false"),
    ],
)
def test_a_value_of_another_type_is_an_error_that_says_what_was_expected(name, text, expected) -> None:
    with pytest.raises(ConfigurationError, match=f"gadget one: property {name} is '{text}'; expected {expected}"):
        parse_parameters(Parameters, "one", {name: text})


def test_every_field_of_every_gadget_is_documented() -> None:
    for gadget in BUILT_IN.names:
        cls = BUILT_IN.module(gadget).Parameters
        assert all(known.meaning for known in properties_of(cls)), gadget
        assert set(typing.get_type_hints(cls)) == {known.name for known in properties_of(cls)}
