"""What the text of a header's element means, as the schema's type for it; also as converters misspell it."""

import base64
import binascii
import math
import re
from enum import Enum
from typing import Any

from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

LONGEST_NUMBER = 40  # characters
LARGEST_INTEGER = 2**63 - 1
ROUNDING = 1e-3  # what arithmetic leaves behind in a number that is whole: 127767151.99999999

UNITS = ("T", "kg", "m", "Hz", "deg", "mm")  # a field's name ends with its unit
TIMES = ("TR", "TE", "TI", "echo_spacing")  # which are in ms

_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)")
_ZONE = r"(?:Z|[-+]\d\d:?\d\d)?"
_DATE = re.compile(r"(\d{4})(-?)(\d\d)\2(\d\d)" + _ZONE)
_TIME = re.compile(r"(\d\d)(:?)(\d\d)\2(\d\d)(?:\.(\d+))?" + _ZONE)


class Unreadable(ValueError):
    """The text is no value of its type. Its own text says what is expected."""


def unit_of(name: str, outer: str) -> str:
    """The unit of the element `name`; `outer` is that of the element around it, "" where there is none."""
    last = name.rpartition("_")[2]
    return last if last in UNITS else "ms" if name in TIMES else outer


def read_value(text: str, kind: type, unit: str = "", pattern: str | None = None) -> tuple[Any, bool]:
    """Read an element's text.

    Parameters
    ----------
    text : str
        Without spaces around it, not empty.
    kind : type
        Of the value: `int`, `float`, `str`, `bytes`, `XmlDate`, `XmlTime` or an enumeration of the schema.
    unit : str
        Which may follow a number.
    pattern : str or None
        What a text must match, in capitals or not.

    Returns
    -------
    value : object
        Of that type; None for a calibration mode that says that there is none.
    repaired : bool
        Whether a person should know of how it was read. Not where a number is whole but for its rounding, or a word
        is spelled in other capitals.

    Raises
    ------
    Unreadable
        Where it has no single meaning.
    """
    if kind is int or kind is float:
        return _number(text, kind, unit)
    if kind is XmlDate:
        return _date(text)
    if kind is XmlTime:
        return _time(text)
    if issubclass(kind, Enum):
        return _word(text, kind), False
    if kind is bytes:
        try:
            return base64.b64decode("".join(text.split()), validate=True), False
        except (binascii.Error, ValueError):
            raise Unreadable("base64") from None
    if pattern is not None:
        text = text.upper()
        if not re.fullmatch(pattern, text):
            raise Unreadable(f"one of {pattern}")
    return text, False


def _number(text: str, kind: type, unit: str) -> tuple[int | float, bool]:
    expected = "a whole number" if kind is int else "a number"
    found = _NUMBER.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if found is None or found[2].lower() not in ("", unit.lower()):
        raise Unreadable(f"{expected} in {unit}" if unit else expected)
    number, has_unit = float(found[1]), bool(found[2])
    if not math.isfinite(number):
        raise Unreadable(expected)
    if kind is float:
        return number, has_unit
    whole = int(found[1]) if found[1].lstrip("+-").isdigit() else round(number)
    if abs(whole) > LARGEST_INTEGER:
        raise Unreadable(f"{expected} of 64 bits")
    return whole, has_unit or abs(number - whole) > ROUNDING


def _date(text: str) -> tuple[XmlDate, bool]:
    found = _DATE.fullmatch(text)
    try:
        if found is None or found[1] == "0000":
            raise ValueError
        return XmlDate.from_string(f"{found[1]}-{found[3]}-{found[4]}"), not found[2]
    except ValueError:
        raise Unreadable("a date such as 2000-01-31") from None


def _time(text: str) -> tuple[XmlTime, bool]:
    found = _TIME.fullmatch(text)
    try:
        if found is None or found[1] == "24":
            raise ValueError
        fraction = f".{found[5][:6]}" if found[5] else ""
        return XmlTime.from_string(f"{found[1]}:{found[3]}:{found[4]}{fraction}"), not found[2]
    except ValueError:
        raise Unreadable("a time such as 14:05:59") from None


def _word(text: str, kind: type[Enum]) -> Enum | None:
    words = {str(member.value).lower(): member for member in kind}
    if text.lower() in words:
        return words[text.lower()]
    if kind is xsd.calibrationModeType and text.lower() in ("none", "noacceleration"):
        return None  # for which the schema leaves the mode out
    raise Unreadable(f"one of {', '.join(str(member.value) for member in kind)}")
