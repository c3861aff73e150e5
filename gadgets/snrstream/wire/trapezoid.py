"""What the header of an EPI scan says of its readouts."""

import math

from ismrmrd import xsd

from ..recon.epi import Trapezoid

LONGEST_US = 1e6


def is_epi(header: xsd.ismrmrdHeader) -> bool:
    """Whether the header calls the trajectory of the first encoding EPI.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.
    """
    return bool(header.encoding) and header.encoding[0].trajectory == xsd.trajectoryType.EPI


def number_of_navigators(header: xsd.ismrmrdHeader) -> int:
    """Read how many phase-correction lines each train of echoes has; 0 where the header does not tell."""
    value = _parameters(header).get("numberOfNavigators", 0.0)
    return int(value) if 0 < value < 1024 else 0


def readout_trapezoid(header: xsd.ismrmrdHeader, n_samples: int, dwell_us: float) -> tuple[Trapezoid | None, str]:
    """Find the gradient lobe that samples are taken under, as siemens_to_ismrmrd describes it.

    Those are the parameters rampUpTime, flatTopTime, rampDownTime and dwellTime, in us, of the trajectoryDescription.
    Its acqDelayTime is of no account: the samples are in the middle of the lobe, as Gadgetron takes them.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.
    n_samples : int
        That a readout has.
    dwell_us : float
        Of the acquisition, where the header has none, or one by which the readout does not fit.

    Returns
    -------
    trapezoid : Trapezoid or None
        None where the ramps are not sampled.
    fault : str
        What of the description cannot be used, so that the readout is taken as flat; mostly empty.
    """
    parameters = _parameters(header)
    up_us, flat_us, down_us = (parameters.get(name, 0.0) for name in ("rampUpTime", "flatTopTime", "rampDownTime"))
    most_us = (up_us + flat_us + down_us) * (1 + 1e-6) / n_samples
    told_us = parameters.get("dwellTime", 0.0)
    if told_us > 0 and not 0 < dwell_us <= most_us < told_us:
        dwell_us = told_us
    if up_us == flat_us == down_us == 0:
        known = header.encoding[0].trajectoryDescription is not None
        return None, "" if known else "the header describes no readout gradient"
    parts = up_us, flat_us, down_us, dwell_us
    if not all(math.isfinite(part) and 0 <= part <= LONGEST_US for part in parts) or dwell_us == 0:
        return None, f"the header's ramps, flat top and dwell time are {parts} us; expected times that a readout has"
    trapezoid = Trapezoid(up_us, flat_us, down_us, dwell_us)
    if up_us == down_us == 0 or not trapezoid.samples_ramps(n_samples):
        return None, ""
    if dwell_us > most_us:
        read_us = n_samples * dwell_us
        return None, f"{n_samples} samples take {read_us:g} us, the header's readout gradient {trapezoid.total_us:g} us"
    return trapezoid, ""


def _parameters(header: xsd.ismrmrdHeader) -> dict[str, float]:
    description = header.encoding[0].trajectoryDescription if header.encoding else None
    if description is None:
        return {}
    whole = {parameter.name: float(parameter.value or 0) for parameter in description.userParameterLong}
    return whole | {parameter.name: float(parameter.value or 0) for parameter in description.userParameterDouble}
