"""What a user set on the console: the parameters that OpenRecon and FIRE send as JSON after the header."""

import dataclasses
import json
from typing import Any

from .chain import Chain
from .errors import ConfigurationError
from .parameters import replace_parameter

LONGEST = 1 << 16  # characters
EXCLUSIVE = (("alpha", "alphabyg"), ("alphabyg", "alpha"))  # of `denoise`


def console_parameters(text: str, expected: bool) -> dict[str, Any] | None:
    """The `parameters` of a text such as `{"parameters": {"config": "grappa_denoise", "alpha": 0.5}}`.

    None where the text is something else; a ConfigurationError where they are `expected`, for what the user set would
    be lost.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it has {len(text)} characters; expected at most {LONGEST}")
        content = json.loads(text)
        found = content.get("parameters") if content and isinstance(content, dict) else content
        if not isinstance(found, dict):
            raise ValueError('expected {"parameters": {...}}')
    except (ValueError, RecursionError) as exc:
        if not expected:
            return None
        reason = " ".join(str(exc).split())
        raise ConfigurationError(f"parameters of the console cannot be read: {text[:100]!r}: {reason}") from None
    return found


def pipeline_name(parameters: dict[str, Any]) -> str | None:
    """The pipeline that the parameters name, as python-ismrmrd-server reads them; None where they name none."""
    names = [str(parameters[key]) for key in ("customconfig", "config") if parameters.get(key)]
    return names[0] if names else None


def adjusted(chain: Chain, parameters: dict[str, Any]) -> tuple[Chain, list[str]]:
    """The chain with those properties of its gadgets that the parameters name, and warnings for its images.

    A console's ids hold letters and digits only: `missingnoise` is `missing_noise`. A parameter that is no
    property of exactly one gadget is warned of and left alone, for a console may send ones of its own. Of properties
    that exclude each other, the console's takes the place of the pipeline's.
    Raises ConfigurationError for values that the gadget cannot take.
    """
    steps = list(chain.steps)
    warnings = []
    names = {key.lower().replace("_", "") for key in parameters}
    for one, other in EXCLUSIVE:
        if one in names and other not in names:
            steps = [(gadget, _without(values, other)) for gadget, values in steps]
    for key, value in parameters.items():
        if key in ("config", "customconfig"):
            continue
        found = [
            (place, field.name)
            for place, (_, values) in enumerate(steps)
            for field in dataclasses.fields(values)
            if field.name.replace("_", "") == key.lower().replace("_", "")
        ]
        if len(found) != 1:
            warnings.append(f"parameter {key[:100]!r} of the console is no property of the pipeline's gadgets: ignored")
            continue
        (place, name), (gadget, values) = found[0], steps[found[0][0]]
        text = str(value).lower() if isinstance(value, bool) else str(value)
        steps[place] = gadget, replace_parameter(values, f"{gadget}, parameter of the console", name, text)
    return Chain(tuple(steps)), warnings


def _without(parameters: Any, key: str) -> Any:
    """The parameters with their default for the field that the console calls `key`, where there is one."""
    defaults = {f.name: f.default for f in dataclasses.fields(parameters) if f.name.replace("_", "") == key}
    return dataclasses.replace(parameters, **defaults) if defaults else parameters
