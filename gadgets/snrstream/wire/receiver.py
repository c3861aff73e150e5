"""The noise bandwidth of the receivers, and what to take it for where the header does not tell."""

from typing import TypeGuard

from ismrmrd import xsd

SIEMENS_RATIO = 0.793  # of Siemens' noise measurements; what Gadgetron takes for all vendors
LARGEST_RATIO = 2.0


def noise_bandwidth_ratio(header: xsd.ismrmrdHeader) -> float:
    """Read `relativeReceiverNoiseBandwidth`.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Returns
    -------
    float
        The noise bandwidth of the receivers in units of the sampling bandwidth. Where the header has none, or none
        between 0 and 2: 0.793 for Siemens, and 1 for all others, whose noise comes through the same filter as their
        data.
    """
    found = _of_header(header)
    if _is_usable(found):
        return float(found)
    return SIEMENS_RATIO if _is_siemens(header) else 1.0


def noise_bandwidth_warnings(header: xsd.ismrmrdHeader) -> list[str]:
    """Say where `noise_bandwidth_ratio` had to guess.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Returns
    -------
    list of str
        A line for the images. None where the header tells, nor where it lacks the ratio and the vendor is Siemens:
        that of Siemens is known.
    """
    found = _of_header(header)
    if _is_usable(found) or (found is None and _is_siemens(header)):
        return []
    system = header.acquisitionSystemInformation
    vendor = (system.systemVendor if system is not None else None) or "unknown"
    what = "header lacks" if found is None else f"header has {found:g} for"
    return [
        f"{what} relativeReceiverNoiseBandwidth (vendor {vendor[:40]}); expected a number between 0 and "
        f"{LARGEST_RATIO:g}: {noise_bandwidth_ratio(header):g} is taken, and all SNR goes with its square root"
    ]


def _of_header(header: xsd.ismrmrdHeader) -> float | None:
    system = header.acquisitionSystemInformation
    return system.relativeReceiverNoiseBandwidth if system is not None else None


def _is_usable(ratio: float | None) -> TypeGuard[float]:
    return ratio is not None and 0 < ratio <= LARGEST_RATIO


def _is_siemens(header: xsd.ismrmrdHeader) -> bool:
    system = header.acquisitionSystemInformation
    return system is not None and "siemens" in (system.systemVendor or "").lower()
