"""Parsing XML from strangers: no entities, no external references, no more of it than anybody needs."""

import io
import xml.etree.ElementTree as ET

from ..errors import SnrstreamError

DEEPEST = 64  # levels of elements
MOST_ELEMENTS = 100_000


def parse_xml(text: bytes | str, what: str, error: type[SnrstreamError]) -> ET.Element:
    """Parse XML from a stranger, after cutting off trailing NUL bytes that some peers send.

    Parameters
    ----------
    text : bytes or str
        The XML.
    what : str
        What an error calls it.
    error : type[SnrstreamError]
        The class of that error.

    Returns
    -------
    xml.etree.ElementTree.Element
        The root element.

    Raises
    ------
    SnrstreamError
        Of the class `error`, where the text is not well-formed or immoderate, and where it declares a document type,
        the only place from which entities and external references can come.
    """
    data = text.encode() if isinstance(text, str) else bytes(text)
    data = data.rstrip(b"\0").strip()
    if b"\0" in data:  # UTF-16 or UTF-32, in which the search below would be blind
        raise error(f"{what} holds NUL bytes; expected UTF-8")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise error(f"{what} declares a document type or entities; expected plain XML without them")
    try:
        # S314: what the parser is feared for is refused above, before it sees it.
        events = ET.iterparse(io.BytesIO(data), ("start", "end"))  # noqa: S314
        root: ET.Element = next(events)[1]  # which begins
        depth = n_elements = 1
        for event, _ in events:
            depth += 1 if event == "start" else -1
            n_elements += event == "start"
            if depth > DEEPEST or n_elements > MOST_ELEMENTS:
                raise error(f"{what} has too much XML; expected up to {MOST_ELEMENTS} elements, {DEEPEST} levels deep")
    except (ET.ParseError, ValueError, LookupError) as exc:  # LookupError: an unknown encoding
        raise error(f"{what} is not well-formed XML: {exc}") from None
    return root


def local_name(element: ET.Element) -> str:
    """Give an element's tag without its namespace.

    Parameters
    ----------
    element : ET.Element
        Of any namespace, or none.

    Returns
    -------
    str
        What follows the namespace.
    """
    return element.tag.rpartition("}")[2]
