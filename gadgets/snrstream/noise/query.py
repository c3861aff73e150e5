"""Questions about noise measurements: is this one kept, and which ones are.

Gadgetron's client asks for one ahead of the scan that names it. It sends a configuration whose only gadget is
NoiseSummaryGadget and expects message 1019 with ISMRMRD meta XML. It prints what it is told, takes the noise level for
its compression, and sends the scan in any case.
"""

import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

import numpy as np

from ..errors import ConfigurationError
from ..system.safe_xml import local_name, parse_xml
from . import storage_server
from . import store as noise_store

PREFIX = "GadgetronNoiseCovarianceMatrix_"


def is_noise_query(text: bytes) -> bool:
    """Tell whether a configuration asks for nothing but a stored noise measurement, as Gadgetron's client does.

    Parameters
    ----------
    text : bytes
        The XML of the configuration, or whatever came in its place.

    Returns
    -------
    bool
        False for what is no XML, too.
    """
    root = _parsed(text)
    return root is not None and [
        e.text for e in root.iter() if local_name(e) == "classname" and e.text != "DependencyQueryWriter"
    ] == ["NoiseSummaryGadget"]


def noise_summary(config_xml: bytes) -> bytes:
    """Answer whether a noise measurement is kept, and how much noise it found.

    Parameters
    ----------
    config_xml : bytes
        The configuration that asks, with the id of the measurement in its property `noise_file`.

    Returns
    -------
    bytes
        XML as ISMRMRD's C++ library writes it: attributes in alphabetical order, indented by tabs. Sigmas are the SD of
        complex noise samples, in raw units.
    """
    measurement = _asked_for(config_xml)
    noise = noise_store.find(measurement) or storage_server.find(measurement, None) if measurement else None
    if noise is None:
        return _meta({"status": "failed"})
    sigma = np.sqrt(noise.covariance.diagonal().real)
    return _meta(
        {
            "channels": str(len(sigma)),
            "max_sigma": f"{sigma.max():g}",
            "mean_sigma": f"{sigma.mean():g}",
            "min_sigma": f"{sigma.min():g}",
            "noise_dwell_time_us": f"{noise.dwell_us:g}",
            "status": "success",
        }
    )


def noise_list() -> bytes:
    """Answer who asks by the configuration `gtquery.xml` which measurements are kept.

    Returns
    -------
    bytes
        XML with their names, or `Dummy` where there are none.
    """
    names = [f"{PREFIX}{measurement}" for measurement in noise_store.measurements()]
    return _meta({"NoiseDependencies": names or ["Dummy"]})


def _asked_for(config_xml: bytes) -> str:
    """The measurement id in the property `noise_file`; empty where there is none."""
    root = _parsed(config_xml)
    for element in root.iter() if root is not None else ():
        if local_name(element) == "property":
            values = {local_name(child): child.text or "" for child in element} | element.attrib
            if values.get("name", "").strip() == "noise_file":
                return values.get("value", "").strip().removeprefix(PREFIX)
    return ""


def _parsed(text: bytes) -> ET.Element | None:
    try:
        return parse_xml(text, "configuration", ConfigurationError)
    except ConfigurationError:
        return None


def _meta(attributes: dict[str, str | list[str]]) -> bytes:
    lines = ['<?xml version="1.0"?>', "<ismrmrdMeta>"]
    for name, values in attributes.items():
        lines += ["\t<meta>", f"\t\t<name>{name}</name>"]
        lines += [f"\t\t<value>{escape(value)}</value>" for value in ([values] if isinstance(values, str) else values)]
        lines += ["\t</meta>"]
    return "\n".join([*lines, "</ismrmrdMeta>", ""]).encode("ascii", "xmlcharrefreplace")
