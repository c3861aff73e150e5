"""What a user set on a console, or by `--set`: JSON after the header, as OpenRecon, FIRE and our own client send it."""

import collections
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..chain.chain import Chain
from ..chain.parameters import replace_parameter
from ..errors import ConfigurationError

LONGEST = 1 << 16  # characters
MOST_WARNINGS = 20  # of parameters that are ignored, for they travel with each image
PARAMETERS = '"parameters"'
PIPELINE_KEYS = ("customconfig", "config")  # under which a console names the pipeline, the first above the second


@dataclass(frozen=True)
class Settings:
    """What a client wants of the pipeline's gadgets.

    Attributes
    ----------
    values : dict[str, object]
        By property, and for consoles the pipeline's own name.
    strict : bool
        Whether each must be a property, as with `snrstream send --set`. Consoles send parameters of their own.
    """

    values: dict[str, object]
    strict: bool = False

    def text(self) -> str:
        """Write them as they travel, right after the header.

        Returns
        -------
        str
            JSON.
        """
        return json.dumps({"parameters": self.values, **({"strict": True} if self.strict else {})})


def settings_of(text: str, expected: bool) -> Settings | None:
    """Read the settings in a text such as `{"parameters": {"config": "grappa_denoise", "alpha": 0.5}}`.

    Parameters
    ----------
    text : str
        What came right after the header.
    expected : bool
        Whether it can be nothing but settings: what the user set would be lost if it were passed over.

    Returns
    -------
    Settings or None
        None where the text is something else and may be.

    Raises
    ------
    ConfigurationError
        Where the text is something else and settings are expected.
    """
    # What names parameters is meant as settings, be it readable or not.
    expected = expected or PARAMETERS in text
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it has {len(text)} characters; expected at most {LONGEST}")
        content = json.loads(text, object_pairs_hook=_once)
        found = content.get("parameters") if content and isinstance(content, dict) else content
        if not isinstance(found, dict):
            raise ValueError('expected {"parameters": {...}}')
        strict = content.get("strict", False)
        if not isinstance(strict, bool):
            raise ValueError(f'"strict" is {strict!r:.100}; expected true or false')
    except (ValueError, RecursionError) as exc:
        if not expected:
            return None
        reason = " ".join(str(exc).split())
        raise ConfigurationError(f"parameters of the console cannot be read: {text[:100]!r}: {reason}") from None
    return Settings(found, strict)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON. Raises ValueError where it has a key twice, for nobody knows which value is meant."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for key, n in collections.Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"{twice[:100]!r} is in it twice; expected once")
    return values


def pipeline_name(parameters: Mapping[str, object]) -> str | None:
    """Find the pipeline that a console's parameters name, as python-ismrmrd-server reads them.

    Parameters
    ----------
    parameters : Mapping[str, object]
        By their ids.

    Returns
    -------
    str or None
        None where they name none.
    """
    names = [str(parameters[key]) for key in PIPELINE_KEYS if parameters.get(key)]
    return names[0] if names else None


def with_properties(chain: Chain, pipeline: str, properties: Mapping[str, object]) -> Chain:
    """Set properties of a chain's gadgets as a user of the command line sets them: each must be one.

    Parameters
    ----------
    chain : Chain
        Which stays as it is.
    pipeline : str
        What the chain is called.
    properties : Mapping[str, object]
        By their names.

    Returns
    -------
    Chain
        With these properties in place of its own.

    Raises
    ------
    ConfigurationError
        For a property that no gadget has, listing those that there are, and for values that the gadget cannot take.
    """
    chain, unknown = _changed(chain, properties, "")
    if unknown:
        known = [(gadget, [field.name for field in dataclasses.fields(values)]) for gadget, values in chain.steps]
        listed = "; ".join(f"{gadget}: {', '.join(names)}" for gadget, names in known if names) or "none"
        raise ConfigurationError(f"unknown property {unknown[0][:100]!r} for {pipeline}; its gadgets have: {listed}")
    return chain


def adjusted(chain: Chain, parameters: Mapping[str, object]) -> tuple[Chain, list[str]]:
    """Set those properties of a chain's gadgets that a console's parameters name.

    A parameter that is no property of exactly one gadget is warned of and left alone, for a console may send ones of
    its own.

    Parameters
    ----------
    chain : Chain
        Which stays as it is.
    parameters : Mapping[str, object]
        By their ids.

    Returns
    -------
    chain : Chain
        With these properties in place of its own.
    warnings : list of str
        For its images.

    Raises
    ------
    ConfigurationError
        For values that the gadget cannot take.
    """
    properties = {key: value for key, value in parameters.items() if key not in PIPELINE_KEYS}
    chain, unknown = _changed(chain, properties, ", parameter of the console")
    warnings = [
        f"parameter {key[:100]!r} of the console is no property of the pipeline's gadgets: ignored"
        for key in unknown[:MOST_WARNINGS]
    ]
    if len(unknown) > MOST_WARNINGS:
        warnings.append(f"{len(unknown) - MOST_WARNINGS} more parameters of the console are ignored, too")
    return chain, warnings


def _changed(chain: Chain, properties: Mapping[str, object], origin: str) -> tuple[Chain, list[str]]:
    """The chain with these properties, and the names of those that are not of exactly one gadget.

    A console's ids hold letters and digits only: `missingnoise` is `missing_noise`. Of properties that exclude each
    other (`instead_of` in a field's metadata), the given one takes the place of the pipeline's: that of another model
    so takes the place of an alpha that was chosen for the pipeline's model.
    """
    steps = list(chain.steps)
    unknown = []
    taken: set[str] = set()
    named = set(map(_id, properties))
    for key, value in properties.items():
        found = [
            (place, field)
            for place, (_, values) in enumerate(steps)
            for field in dataclasses.fields(values)
            if _id(field.name) == _id(key)
        ]
        if len(found) != 1:
            unknown.append(key)
            continue
        (place, field), (gadget, values) = found[0], steps[found[0][0]]
        replaced = set(field.metadata.get("instead_of", ()))
        defaults = {
            f.name: f.default for f in dataclasses.fields(values) if f.name in replaced and _id(f.name) not in named
        }
        if field.name in taken:
            raise ConfigurationError(f"{gadget}{origin}: property {field.name} is set twice; expected once")
        taken.add(field.name)
        text = _text(value)
        without = dataclasses.replace(values, **defaults)
        changed = replace_parameter(without, f"{gadget}{origin}", field.name, text)
        if getattr(changed, field.name) != getattr(values, field.name):
            steps[place] = gadget, changed
    return dataclasses.replace(chain, steps=tuple(steps)), unknown


def _text(value: object) -> str:
    """A value as in a stream configuration."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return str(value)
    except ValueError:  # a whole number with more digits than Python writes
        return "inf"


def _id(name: str) -> str:
    """What a console calls the property `name`."""
    return name.lower().replace("_", "")
