"""`snrstream gadgets`: the gadgets tell what they do and which properties they have."""

import pytest

from snrstream.chain.registry import BUILT_IN
from snrstream.cli.gadgets import list_gadgets, show_gadget
from snrstream.errors import ConfigurationError


def test_all_gadgets_are_listed_in_their_order_a_line_each() -> None:
    lines = list(list_gadgets())
    assert [line.split()[0] for line in lines] == list(BUILT_IN.names)
    assert all(len(line.split()) > 3 and line.isprintable() and not line.endswith(".") for line in lines)


@pytest.mark.parametrize("name", BUILT_IN.names)
def test_each_property_of_a_gadget_is_told_with_its_meaning(name) -> None:
    lines = list(show_gadget(name))
    assert lines[0].startswith(f"{name}: ")
    properties = [place for place, line in enumerate(lines) if line.startswith("  ") and line[2] != " "]
    assert properties
    for place in properties:
        assert lines[place] == "  no properties" or lines[place + 1].startswith("    "), lines[place]


def test_what_a_property_takes_is_told_and_its_default() -> None:
    lines = list(show_gadget("denoise"))
    assert "  alpha: a number; default: not set" in lines
    assert "  frames: streaming or series; default: streaming" in lines
    assert "  residual: true or false; default: false" in lines and "  timeout_s: a number; default: 30" in lines
    assert "  window: a whole number; default: 7" in list(show_gadget("coil_combine"))


def test_what_concerns_all_properties_together_is_told() -> None:
    assert "1.5 where it is not set" in " ".join(show_gadget("kspace_filter"))


def test_an_unknown_gadget_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigurationError, match="unknown gadget 'denoiser'; known: noise_adjust, epi, accumulate"):
        list(show_gadget("denoiser"))
