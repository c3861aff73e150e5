"""A header that uses everything the schema has, around the geometry of a small scan."""

import dataclasses
import enum
import typing
from typing import Any

from ismrmrd import xsd
from xsdata.models.datatype import XmlDate, XmlTime

from snrtrain.benchmarks import small_scan

VALUES = {int: 1, float: 1.5, str: "text", bytes: b"bytes", XmlDate: XmlDate(1970, 1, 31), XmlTime: XmlTime(14, 5, 59)}
LETTERS = {"patientGender": "F"}  # for which the schema has a pattern


def full_header() -> bytes:
    """XML of every element, but for encodings with two of each list; matrix, lines and R are those of `small_scan`."""
    header = _filled(xsd.ismrmrdHeader)
    (encoding,) = xsd.CreateFromDocument(small_scan.HEADER).encoding
    whole = header.encoding.pop()
    header.encoding = [whole]
    whole.encodedSpace, whole.reconSpace, whole.trajectory = (
        encoding.encodedSpace, encoding.reconSpace, encoding.trajectory,
    )  # fmt: skip
    for name, limit in vars(whole.encodingLimits).items():
        limit.center = 1
        setattr(whole.encodingLimits, name, getattr(encoding.encodingLimits, name) or limit)
    whole.parallelImaging.accelerationFactor = encoding.parallelImaging.accelerationFactor
    header.measurementInformation.measurementDependency = []  # the small scan brings its own noise
    return xsd.ToXML(header).encode()


def _filled(kind: Any) -> Any:
    hints = typing.get_type_hints(kind)
    return kind(
        **{field.name: LETTERS.get(field.name) or _value(hints[field.name]) for field in dataclasses.fields(kind)}
    )


def _value(hint: Any) -> Any:
    if typing.get_origin(hint) is list:
        (hint,) = typing.get_args(hint)
        return [_value(hint), _value(hint)]
    kind = next((choice for choice in typing.get_args(hint) if choice is not type(None)), hint)
    if dataclasses.is_dataclass(kind):
        return _filled(kind)
    return next(iter(kind)) if issubclass(kind, enum.Enum) else VALUES[kind]
