"""What the ISMRMRD header says of the measurement: its id, the noise measurement it depends on, its channels."""

import re

from ismrmrd import xsd

# Siemens converters make ids of four parts: device, subject, session, measurement.
_STRUCTURED_ID = re.compile(r"([^_]*)_([^_]*)_([^_]*)_([^_]*)")


def measurement_id(header: xsd.ismrmrdHeader) -> str | None:
    """Read `measurementID`.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Returns
    -------
    str or None
        None where the header has none.
    """
    information = header.measurementInformation
    return information.measurementID or None if information is not None else None


def noise_dependency(header: xsd.ismrmrdHeader) -> str | None:
    """Read which noise measurement the scan names: the first `measurementDependency` of type Noise.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Returns
    -------
    str or None
        The id of that measurement; None where the scan names none.
    """
    information = header.measurementInformation
    for dependency in information.measurementDependency if information is not None else ():
        if (dependency.dependencyType or "").strip().lower() == "noise" and dependency.measurementID:
            return dependency.measurementID
    return None


def coil_labels(header: xsd.ismrmrdHeader) -> tuple[str, ...]:
    """Read `coilName` of the header's coil labels.

    Parameters
    ----------
    header : ismrmrdHeader
        Of the scan.

    Returns
    -------
    tuple of str
        In the order of the channels; empty where the header has no labels.
    """
    system = header.acquisitionSystemInformation
    return tuple(label.coilName or "" for label in system.coilLabel) if system is not None else ()


def storage_tags(header: xsd.ismrmrdHeader | None, measurement: str) -> dict[str, str]:
    """Find subject, device and session under which Gadgetron's storage server keeps what belongs to a measurement.

    They are patientID, deviceID and studyID, and what is missing of these comes from the scan's own id,
    `DEVICE_SUBJECT_SESSION_MEASUREMENT`. Where that gives no subject, all of them come from the id `measurement`.

    Parameters
    ----------
    header : ismrmrdHeader or None
        Of the scan; None where only the id is known.
    measurement : str
        The id of the measurement.

    Returns
    -------
    dict
        Under `subject`, `device` and `session`, those that are known. Empty where there is no subject: the server keeps
        nothing without one.

    References
    ----------
    IsmrmrdContextVariables of Gadgetron 4.7.
    """
    found: dict[str, str | None] = {}
    if header is not None:
        subject, study = header.subjectInformation, header.studyInformation
        system = header.acquisitionSystemInformation
        found = {
            "subject": subject.patientID if subject is not None else None,
            "device": system.deviceID if system is not None else None,
            "session": study.studyID if study is not None else None,
        }
        from_id = _of_id(measurement_id(header) or "")
        found = {name: value or from_id.get(name) for name, value in found.items()}
    if not found.get("subject"):
        found = dict(_of_id(measurement))
    return {name: value for name, value in found.items() if value} if found.get("subject") else {}


def _of_id(measurement: str) -> dict[str, str]:
    parts = _STRUCTURED_ID.fullmatch(measurement)
    return {"device": parts[1], "subject": parts[2], "session": parts[3]} if parts else {}
