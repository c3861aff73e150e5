"""Stream configurations, in all dialects of their XML, to gadget names and properties.

<configuration><stream><external> ... <configuration><gadget name=""> ...      Gadgetron's version 2
<configuration><gadget name=""><property name="" value=""/>                    what Gadgetron sends to a module
<gadgetronStreamConfiguration><gadget><classname/><property><name/><value/>    Gadgetron's older clients
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

from ..errors import ConfigurationError
from ..system.safe_xml import local_name, parse_xml

OUR_MODULE = {"name": "snrstream.gadgetron", "target": "chain", "type": "python"}
OLD_ROOT = "gadgetronStreamConfiguration"

Configured = tuple[str, dict[str, str]]  # a gadget's name and its properties


def configured_gadgets(text: bytes | str, source: str, known: Sequence[str]) -> list[Configured]:
    """Read the gadgets of a configuration. A Gadgetron stream may hold only external modules of this package.

    Parameters
    ----------
    text : bytes or str
        XML in one of the dialects above.
    source : str
        What to call it in errors.
    known : sequence of str
        Names that gadgets may have.

    Returns
    -------
    list of Configured
        Name and properties of each gadget, in the configuration's order.

    Raises
    ------
    ConfigurationError
        For anything else than gadgets among the known ones and their properties.
    """
    root = parse_xml(text, f"stream configuration {source}", ConfigurationError)
    if local_name(root) not in ("configuration", OLD_ROOT):
        raise ConfigurationError(f"{source} has root element {local_name(root)!r}; expected 'configuration'")
    if local_name(root) == OLD_ROOT:
        elements = [child for child in root if local_name(child) not in ("reader", "writer")]
        _only_gadgets(elements, source)
    else:
        elements = list(_elements(root, source, known))
    if not elements:
        raise ConfigurationError(f"{source} names no gadget; expected some of: {', '.join(known)}")
    return [_gadget(element, source, known) for element in elements]


def is_of_module(text: bytes) -> bool:
    """Whether this is the bare `<configuration>` of an external module, as Gadgetron sends it, and no client's."""
    root = parse_xml(text, "configuration", ConfigurationError)
    return local_name(root) == "configuration" and all(local_name(child) != "stream" for child in root)


def _elements(root: ET.Element, source: str, known: Sequence[str]) -> Iterator[ET.Element]:
    streams = [child for child in root if local_name(child) == "stream"]
    if not streams:
        yield from _only_gadgets(list(root), source)
        return
    if len(streams) > 1:
        raise ConfigurationError(f"{source} has {len(streams)} streams; expected one")
    beside = {local_name(child) for child in root} - {"version", "readers", "writers", "stream"}
    if beside:
        raise ConfigurationError(f"{source} has {', '.join(sorted(beside))} beside its stream; expected none")
    for node in streams[0]:
        if local_name(node) == "gadget" and "name" in node.attrib:
            yield node
        elif local_name(node) == "external":
            yield from _of_module(node, source)
        else:
            raise ConfigurationError(
                f"{source}: {local_name(node)} {_label(node)} is not one of ours and needs a real Gadgetron; "
                f"expected gadgets among: {', '.join(known)}"
            )


def _of_module(node: ET.Element, source: str) -> Iterator[ET.Element]:
    """The gadgets of an external module, which must be ours."""
    children = {local_name(child): child for child in node}
    if len(children) != len(node):
        raise ConfigurationError(f"{source}: an external module has an element twice; expected each once")
    execute, configuration = children.get("execute"), children.get("configuration")
    if execute is not None and execute.attrib != OUR_MODULE:
        raise ConfigurationError(f"{source}: external module {execute.attrib} cannot run here; expected {OUR_MODULE}")
    if configuration is not None:
        yield from _only_gadgets(list(configuration), source)


def _only_gadgets(elements: list[ET.Element], source: str) -> list[ET.Element]:
    for element in elements:
        if local_name(element) != "gadget":
            raise ConfigurationError(f"{source}: unknown element {local_name(element)!r}; expected 'gadget'")
    return elements


def _gadget(element: ET.Element, source: str, known: Sequence[str]) -> Configured:
    name = element.get("name", _label(element))
    if name not in known:
        raise ConfigurationError(f"{source}: unknown gadget {name!r:.200}; known: {', '.join(known)}")
    properties: dict[str, str] = {}
    for child in element:
        if local_name(child) in ("name", "dll", "classname"):
            continue
        key, value = _part(child, "name"), _part(child, "value")
        if local_name(child) != "property" or key is None or value is None:
            raise ConfigurationError(f'{source}: gadget {name} has an element other than <property name="" value=""/>')
        if key in properties:
            raise ConfigurationError(f"{source}: gadget {name} sets property {key!r:.200} twice")
        properties[key] = value
    return name, properties


def _part(element: ET.Element, name: str) -> str | None:
    """An attribute, or the text of a child in its place."""
    texts = [child.text or "" for child in element if local_name(child) == name]
    return element.get(name, texts[0].strip() if len(texts) == 1 else None)


def _label(element: ET.Element) -> str:
    """What a gadget or another node of a stream is called."""
    return _part(element, "classname") or _part(element, "name") or "without a name"
