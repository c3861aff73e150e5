"""The header of MRD v2 (package `mrd`) as an ISMRMRD header.

Both are trees of the same fields, which v2 spells in its own way: `flip_angle_deg` is `flipAngle_deg`, `t_r` is `TR`.
"""

import base64
import binascii
import dataclasses
import datetime
import enum
import typing
from typing import Any, TypeVar

import mrd
import numpy as np
from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

from ..header_text import allowed

Record = TypeVar("Record")


def header_of(header: mrd.Header) -> xsd.ismrmrdHeader:
    """Take over all fields of the ISMRMRD header, from v2's of the same names.

    A word that ISMRMRD does not have stays as it is, and text that is not base64 is taken for what is meant: written as
    XML, `parse_header` reads them as it does others' mistakes.

    Parameters
    ----------
    header : mrd.Header
        Of an MRD v2 stream.

    Returns
    -------
    ismrmrd.xsd.ismrmrdHeader
        The same in ISMRMRD's words.
    """
    return _record(header, xsd.ismrmrdHeader)


def plain(name: str) -> str:
    """What the two spellings of a name have in common."""
    return name.replace("_", "").lower()


def _record(source: object, kind: type[Record]) -> Record:
    values = {plain(name): value for name, value in vars(source).items()}
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(values[plain(name)], hint) for name, hint in hints.items()})


def _value(value: Any, hint: Any) -> Any:
    if isinstance(value, list):
        (hint,) = typing.get_args(hint)
        return [_value(one, hint) for one in value]
    if value is None or value == mrd.CalibrationMode.NOACCELERATION:  # for which v1 leaves the mode out
        return None
    kind = next((k for k in typing.get_args(hint) if k is not type(None)), hint)
    if isinstance(value, enum.Enum):
        return _word(value, kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(value, kind)
    if isinstance(value, datetime.date):
        return XmlDate.from_date(value)
    if isinstance(value, mrd.Time):
        return XmlTime.from_string(str(value))
    if isinstance(value, float):
        # v2 has float32 where v1 has decimal text: 0.93, not 0.9300000071525574.
        return float(str(np.float32(value))) if np.float32(value) == value else value
    if kind is str:
        return allowed(value)
    if kind is bytes:
        try:
            return base64.b64decode(value)
        except (binascii.Error, ValueError):
            return str(value).encode("utf-8", "replace")
    return value


def _word(value: enum.Enum, kind: type) -> Any:
    """The member of the same name; the name itself where v1 has text, or no such member."""
    members = {plain(member.name): member for member in kind} if issubclass(kind, enum.Enum) else {}
    name = value.name or str(value.value)
    return members.get(plain(name), name)
