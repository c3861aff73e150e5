"""Values of JSON as the types of a manifest's fields. All raise ValueError of one line."""

from types import NoneType, UnionType
from typing import Any, get_args, get_origin

LARGEST_NUMBER = 1e30
LONGEST_SHOWN = 100  # characters of a wrong value
MOST_PARTS = 1000  # of a list of any length
ACCEPTED: dict[type, tuple[type, ...]] = {str: (str,), int: (int,), bool: (bool,), float: (int, float)}


def parse_value(value: Any, kind: Any, what: str) -> Any:
    """`value` of JSON as the type of a field: str, int, float, bool, dict, tuple of these, or None beside them.

    Raises
    ------
    ValueError
        It is of another type, or cannot be printed, or is no finite number.
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return None
    if get_origin(kinds[0]) is tuple:
        return tuple(parse_value(part, part_kind, what) for part, part_kind in _parts(value, get_args(kinds[0]), what))
    accepted: tuple[type, ...] = ACCEPTED.get(kinds[0], (dict,))
    is_accepted = isinstance(value, accepted) and (kinds[0] is bool or not isinstance(value, bool))
    if not is_accepted:
        raise ValueError(f"{what} is {shown(value)}; expected {accepted[-1].__name__}")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{what} is {shown(value)}; expected printable characters")
    if kinds[0] is float and not abs(value) < LARGEST_NUMBER:
        raise ValueError(f"{what} is {shown(value)}; expected a finite number")
    return value


def _parts(value: Any, kinds: tuple[Any, ...], what: str) -> list[tuple[Any, Any]]:
    """The parts of a list, each with its type. kinds: a type for each, or one type and an ellipsis for any number."""
    if kinds[-1] is Ellipsis:
        if not isinstance(value, list) or len(value) > MOST_PARTS:
            raise ValueError(f"{what} is {shown(value)}; expected a list of at most {MOST_PARTS}")
        return [(part, kinds[0]) for part in value]
    if not isinstance(value, list) or len(value) != len(kinds):
        raise ValueError(f"{what} is {shown(value)}; expected a list of {len(kinds)} numbers")
    return list(zip(value, kinds, strict=True))


def expect(condition: bool, found: str, expected: str) -> None:
    """Raise ValueError with what was found and what was expected, unless the condition holds."""
    if not condition:
        raise ValueError(f"{found}; expected {expected}")


def shown(value: Any) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."
