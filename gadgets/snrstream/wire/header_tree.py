"""From the elements of a header's XML to ismrmrd's classes. Whatever cannot be read is left out, and told."""

import dataclasses
import typing
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

from ismrmrd import xsd

from ..system.safe_xml import local_name
from .header_values import Unreadable, read_value, unit_of

Record = TypeVar("Record")

MOST_TOLD = 20
LONGEST_SHOWN = 40  # characters of a value
PERSONAL = ("subjectInformation", "studyInformation")  # whose values do not belong into logs and comments of images
BY_PLACE = (float, xsd.diffusionType)  # what lists of these hold goes by its place: TE of the second contrast


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str
    kind: Any
    is_record: bool
    is_list: bool
    is_required: bool
    pattern: str | None


class Warnings:
    """Lines for a person; a header that is all wrong gives few of them. told: the first ones."""

    def __init__(self, told: Iterable[str] = ()) -> None:
        self._lines = list(told)
        self._n_more = 0

    def add(self, text: str) -> None:
        """Tell one line, once."""
        if text in self._lines:
            return
        if len(self._lines) < MOST_TOLD:
            self._lines.append(text)
        else:
            self._n_more += 1

    @property
    def lines(self) -> tuple[str, ...]:
        """All of them, in order."""
        more = (f"the header has {self._n_more} more faults of this kind",) if self._n_more else ()
        return (*self._lines, *more)


def read_record(element: ET.Element, kind: type[Record], warnings: Warnings) -> Record:
    """Read the root element of a header.

    Elements that the schema does not know, or that are of another namespace than the root, are skipped; empty ones are
    taken as absent. What the schema requires and the XML lacks is None, whatever the class says.

    Parameters
    ----------
    element : ET.Element
        The root.
    kind : type
        The schema's class for it.
    warnings : Warnings
        Gets a line for whatever is left out, rounded, doubled or missing. Not for what a section `encoding` lacks.

    Returns
    -------
    object
        Of that class.
    """
    record: Record = _Reader(element.tag.rpartition("}")[0], warnings).record([element], kind, "", "")
    return record


class _Reader:
    def __init__(self, namespace: str, warnings: Warnings) -> None:
        self._namespace, self._warnings = namespace, warnings

    def record(self, elements: list[ET.Element], kind: Any, path: str, unit: str) -> Any:
        """One record out of all elements that stand for it."""
        groups: defaultdict[str, list[ET.Element]] = defaultdict(list)
        for element in elements:
            for child in element:
                if child.tag.rpartition("}")[0] == self._namespace and (len(child) or (child.text or "").strip()):
                    groups[local_name(child)].append(child)
        values: dict[str, Any] = {}
        for field in _fields(kind):
            here, of_field = f"{path}.{field.name}" if path else field.name, unit_of(field.name, unit)
            if field.is_list:
                values[field.name] = self._list(groups[field.name], field, here, of_field)
            else:
                values[field.name] = self._one(groups[field.name], field, here, of_field)
        return kind(**values)

    def _one(self, found: list[ET.Element], field: _Field, path: str, unit: str) -> Any:
        is_record, in_encoding = field.is_record, path.startswith("encoding.")
        if not found:
            if field.is_required and not is_record and not in_encoding:
                self._warnings.add(f"header lacks {path}: left empty")
            return self.record([], field.kind, path, unit) if is_record and field.is_required else None
        if len(found) > 1:
            distinct = list({_canonical(element): element for element in found}.values())
            if len(distinct) == 1 or (not is_record and not in_encoding):
                self._warnings.add(f"header has {len(found)} elements {path}; expected one: the first is taken")
                found = found[:1]
            elif not is_record:
                shown = self._shown(" and ".join(_text(element) for element in distinct), path)
                self._warnings.add(f"header has {path} {shown}; expected one: none is taken")
                return xsd.trajectoryType.OTHER if field.kind is xsd.trajectoryType else None
            else:
                self._warnings.add(f"header has {len(found)} elements {path}; expected one: they are taken as one")
        return self.record(found, field.kind, path, unit) if is_record else self._value(found[0], field, path, unit)

    def _list(self, found: list[ET.Element], field: _Field, path: str, unit: str) -> list[Any]:
        values = [
            self.record([element], field.kind, path, unit)
            if field.is_record
            else self._value(element, field, path, unit)
            for element in found
        ]
        if field.kind is xsd.encodingType:
            return values
        complete = [value for value in values if _is_complete(value)]
        if len(complete) == len(values):
            return values
        if field.kind in BY_PLACE:
            self._warnings.add(f"{path} of the header is incomplete: all {len(values)} are left out")
            return []
        self._warnings.add(f"{len(values) - len(complete)} of {len(values)} {path} in the header are left out")
        return complete

    def _value(self, element: ET.Element, field: _Field, path: str, unit: str) -> Any:
        text = _text(element)
        try:
            if len(element) and not text:
                raise Unreadable("a value")
            value, repaired = read_value(text, field.kind, unit, field.pattern)
        except Unreadable as exc:
            is_trajectory = field.kind is xsd.trajectoryType
            done = "taken as 'other'" if is_trajectory else "left out"
            self._warnings.add(f"header has {path} {self._shown(text, path)}; expected {exc}: {done}")
            return xsd.trajectoryType.OTHER if is_trajectory else None
        if repaired:
            done = "taken for what it means" if path.startswith(PERSONAL) else f"taken as {value}"
            self._warnings.add(f"header has {path} {self._shown(text, path)}: {done}")
        return value

    def _shown(self, text: str, path: str) -> str:
        if path.startswith(PERSONAL):
            return f"of {len(text)} characters"
        return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...")


@cache
def _fields(kind: Any) -> list[_Field]:
    hints = typing.get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        is_list = typing.get_origin(hint) is list
        choices = [choice for choice in typing.get_args(hint) or (hint,) if choice is not type(None)]
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        is_record, pattern = dataclasses.is_dataclass(choices[0]), field.metadata.get("pattern")
        found.append(_Field(field.name, choices[0], is_record, is_list, no_default, pattern))
    return found


def _is_complete(value: Any) -> bool:
    if not dataclasses.is_dataclass(value):
        return value is not None
    kind: Any = type(value)
    return all(_is_complete(getattr(value, field.name)) for field in _fields(kind) if field.is_required)


def _text(element: ET.Element) -> str:
    return " ".join((element.text or "").split()) if len(element) else (element.text or "").strip()


def _canonical(element: ET.Element) -> tuple[Any, ...]:
    return element.tag, (element.text or "").strip(), tuple(_canonical(child) for child in element)
