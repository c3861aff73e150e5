"""Parsing XML from strangers: no entities, no external references."""

import xml.etree.ElementTree as ET

from .errors import SnrstreamError


def parse_xml(text: bytes | str, what: str, error: type[SnrstreamError]) -> ET.Element:
    """The root element of `text`, after cutting off trailing NUL bytes that some peers send.

    Raises `error`, naming `what`, where the text is not well-formed, and where it declares a document
    type, the only place from which entities and external references can come.
    """
    data = text.encode() if isinstance(text, str) else bytes(text)
    data = data.rstrip(b"\0").strip()
    if b"\0" in data:  # UTF-16 or UTF-32, in which the search below would be blind
        raise error(f"{what} holds NUL bytes; expected UTF-8")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise error(f"{what} declares a document type or entities; expected plain XML without them")
    try:
        return ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError) as exc:  # LookupError: an unknown encoding
        raise error(f"{what} is not well-formed XML: {exc}") from None


def local_name(element: ET.Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]
