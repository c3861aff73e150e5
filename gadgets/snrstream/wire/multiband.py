"""Whether several slices were excited at once: their images lie on each other, and nothing here takes them apart."""

import re
from collections.abc import Iterator

from ismrmrd import xsd

from ..errors import ScanError

# As Siemens' protocol (sSliceAcceleration.lMultiBandFactor), dcm2niix (MultibandAccelerationFactor), and
# converters of others call it; spelled in small letters, without anything between them.
_NAME = re.compile(r".*(?:multiband|multislice|mb|sms)(?:acceleration|accel)?fact(?:or)?|multiband")


def require_single_band(header: xsd.ismrmrdHeader) -> None:
    """Refuse a scan whose slices were excited several at a time.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Raises
    ------
    ScanError
        Where `multiband` of the first encoding, or a user parameter whose name says so, tells of a factor above 1, or
        of one that cannot be read. What sequences keep under names of their own, such as sWipMemBlock, is not
        recognised.
    """
    for name, factor in _factors(header):
        if factor is None or factor > 1:
            found = "an unreadable factor" if factor is None else f"{factor:g}"
            raise ScanError(
                f"header has {name} {found}: slices were excited together, and their images lie on each other; "
                "expected one slice at a time, for this reconstruction does not separate them"
            )


def _factors(header: xsd.ismrmrdHeader) -> Iterator[tuple[str, float | None]]:
    parallel = header.encoding[0].parallelImaging if header.encoding else None
    if parallel is not None and parallel.multiband is not None:
        yield "multiband_factor", parallel.multiband.multiband_factor
    parameters = header.userParameters
    if parameters is not None:
        named: list[tuple[str, float | str]] = [(one.name, one.value) for one in parameters.userParameterLong]
        named += [(one.name, one.value) for one in parameters.userParameterDouble]
        named += [(one.name, one.value) for one in parameters.userParameterString]
        for name, value in named:
            if _NAME.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())):
                yield f"the user parameter {name[:40]!r}", _number(value)


def _number(value: float | str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
