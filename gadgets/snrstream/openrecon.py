"""What a user set on the console: the parameters that OpenRecon and FIRE send as JSON after the header."""

import dataclasses
import json
from typing import Any

from .chain import Chain
from .errors import ConfigurationError
from .parameters import replace_parameter

LONGEST = 1 << 16  # characters


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
    that exclude each other (`instead_of` in a field's metadata), the console's takes the place of the pipeline's: that
    of another model so takes the place of an alpha that was chosen for the pipeline's model.
    Raises ConfigurationError for values that the gadget cannot take.
    """
    steps = list(chain.steps)
    warnings = []
    named = set(map(_id, parameters))
    for key, value in parameters.items():
        if key in ("config", "customconfig"):
            continue
        found = [
            (place, field)
            for place, (_, values) in enumerate(steps)
            for field in dataclasses.fields(values)
            if _id(field.name) == _id(key)
        ]
        if len(found) != 1:
            warnings.append(f"parameter {key[:100]!r} of the console is no property of the pipeline's gadgets: ignored")
            continue
        (place, field), (gadget, values) = found[0], steps[found[0][0]]
        replaced = set(field.metadata.get("instead_of", ()))
        defaults = {
            f.name: f.default for f in dataclasses.fields(values) if f.name in replaced and _id(f.name) not in named
        }
        text = str(value).lower() if isinstance(value, bool) else str(value)
        without = dataclasses.replace(values, **defaults)
        changed = replace_parameter(without, f"{gadget}, parameter of the console", field.name, text)
        if getattr(changed, field.name) != getattr(values, field.name):
            steps[place] = gadget, changed
    return Chain(tuple(steps)), warnings


def _id(name: str) -> str:
    """What a console calls the property `name`."""
    return name.lower().replace("_", "")
