"""What a scan header says, in DICOM attributes: patient, study, equipment, frame of reference, sequence.

Every section of an MRD header may be missing. Type 2 attributes are then present and empty, type 1
attributes get the value that DICOM has for "unknown", type 3 attributes are left out.
"""

import math
import re
from typing import Any

from ismrmrd.xsd import ismrmrdHeader
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from ...errors import ScanError
from ...version import __version__

_SCANNING_SEQUENCE = {
    "flash": "GR",
    "gre": "GR",
    "gradientecho": "GR",
    "trufi": "GR",
    "ssfp": "GR",
    "epi": "EP",
    "tse": "SE",
    "turbospinecho": "SE",
    "spinecho": "SE",
}

# Body parts of DICOM PS3.16 annex L without a left and a right.
_UNPAIRED = re.compile(
    "HEAD|BRAIN|SKULL|FACE|NOSE|JAW|TONGUE|LARYNX|THYROID|NECK|HEADNECK|NECKCHEST|CHEST|MEDIASTINUM|STERNUM"
    "|HEART|AORTA|SPINE|CSPINE|TSPINE|LSPINE|SSPINE|CTSPINE|TLSPINE|LSSPINE|COCCYX|ABDOMEN|CHESTABDOMEN"
    "|ABDOMENPELVIS|CHESTABDPELVIS|LIVER|GALLBLADDER|PANCREAS|SPLEEN|STOMACH|COLON|RECTUM|PELVIS|BLADDER"
    "|UTERUS|PROSTATE|PENIS|WHOLEBODY"
)


def lookup(header: ismrmrdHeader | None, path: str) -> Any:
    """The value at a dotted path, None where any part of it is missing or the text is blank."""
    value: Any = header
    for part in path.split("."):
        value = getattr(value, part, None)
        if isinstance(value, list) and part == "encoding":
            value = value[0] if value else None
    return None if isinstance(value, str) and not value.strip() else value


def text(value: Any, n_max: int) -> str:
    """At most `n_max` bytes of UTF-8 without control characters and backslashes (which separate values).

    DICOM counts characters, but checkers and databases count bytes; the smaller length suits both.
    """
    cleaned = re.sub(r"[\x00-\x1f\x7f-\x9f\\]+", " ", "" if value is None else str(value)).strip()
    return cleaned.encode("utf-8", "replace")[:n_max].decode("utf-8", "ignore").rstrip()


def decimal(value: float) -> str:
    """A finite number as a decimal string of at most 16 characters. Raises ScanError for any other."""
    try:
        return format_number_as_ds(float(value))
    except (OverflowError, ValueError):
        raise ScanError(f"{str(value)[:40]} cannot be a number in DICOM; expected a finite one") from None


def add_patient_and_study(dataset: Dataset, header: ismrmrdHeader | None) -> None:
    """Patient, study, and the frame of reference's orientation of the patient."""
    subject, study = "subjectInformation.", "studyInformation."
    dataset.PatientName = _person(lookup(header, subject + "patientName"))
    dataset.PatientID = text(lookup(header, subject + "patientID"), 64)
    dataset.PatientBirthDate = _date(lookup(header, subject + "patientBirthdate"))
    sex = lookup(header, subject + "patientGender")
    dataset.PatientSex = sex if sex in ("M", "F", "O") else ""
    _add_number(dataset, "PatientWeight", lookup(header, subject + "patientWeight_kg"))
    _add_number(dataset, "PatientSize", lookup(header, subject + "patientHeight_m"))
    dataset.StudyDate = _date(lookup(header, study + "studyDate"))
    dataset.StudyTime = _time(lookup(header, study + "studyTime"))
    dataset.StudyID = text(lookup(header, study + "studyID"), 16)
    dataset.AccessionNumber = text(lookup(header, study + "accessionNumber"), 16)
    dataset.ReferringPhysicianName = _person(lookup(header, study + "referringPhysicianName"))
    _add_text(dataset, "StudyDescription", lookup(header, study + "studyDescription"), 64)
    body_part = text(lookup(header, study + "bodyPartExamined"), 16).upper()
    if re.fullmatch(r"[A-Z0-9 _]+", body_part):
        dataset.BodyPartExamined = body_part
    # Required, though it may be empty, unless the body part is one that is not paired: then forbidden.
    if not _UNPAIRED.fullmatch(body_part):
        dataset.Laterality = ""
    dataset.PositionReferenceIndicator = ""
    position = lookup(header, "measurementInformation.patientPosition")
    dataset.PatientPosition = position.value if position is not None else ""


def add_series_and_equipment(dataset: Dataset, header: ismrmrdHeader | None) -> None:
    """Date and protocol of the series; the scanner and the software."""
    measurement, system = "measurementInformation.", "acquisitionSystemInformation."
    dataset.Modality = "MR"
    series_date = _date(lookup(header, measurement + "seriesDate"))
    series_time = _time(lookup(header, measurement + "seriesTime"))
    if series_date:
        dataset.SeriesDate = series_date
    if series_time:
        dataset.SeriesTime = series_time
    _add_text(dataset, "ProtocolName", lookup(header, measurement + "protocolName"), 64)
    dataset.Manufacturer = text(lookup(header, system + "systemVendor"), 64)
    _add_text(dataset, "ManufacturerModelName", lookup(header, system + "systemModel"), 64)
    _add_text(dataset, "InstitutionName", lookup(header, system + "institutionName"), 64)
    _add_text(dataset, "StationName", lookup(header, system + "stationName"), 16)
    _add_text(dataset, "DeviceSerialNumber", lookup(header, system + "deviceSerialNumber"), 64)
    dataset.SoftwareVersions = text(f"snrstream {__version__}", 64)


def add_sequence(dataset: Dataset, header: ismrmrdHeader | None, contrast: int) -> None:
    """How the scan was made; `contrast` picks the echo time and its like (ms, degrees)."""
    sequence = "sequenceParameters."
    sequence_type = text(lookup(header, sequence + "sequence_type"), 64).lower()
    otherwise = "EP" if lookup(header, "encoding.trajectory.value") == "epi" else "RM"
    kinds = [_SCANNING_SEQUENCE.get(re.sub(r"[^a-z]", "", sequence_type), otherwise)]
    inversion_ms = _for_contrast(lookup(header, sequence + "TI"), contrast)
    if inversion_ms:
        kinds.append("IR")
        dataset.InversionTime = decimal(inversion_ms)
    dataset.ScanningSequence = kinds
    dataset.SequenceVariant = "NONE"
    dataset.ScanOptions = ""
    n_e2 = lookup(header, "encoding.encodedSpace.matrixSize.z")
    dataset.MRAcquisitionType = "" if n_e2 is None else "3D" if n_e2 > 1 else "2D"
    _add_text(dataset, "SequenceName", lookup(header, "measurementInformation.sequenceName"), 16)
    for keyword, field in (("RepetitionTime", "TR"), ("EchoTime", "TE")):
        value = _for_contrast(lookup(header, sequence + field), contrast)
        setattr(dataset, keyword, "" if value is None else decimal(value))
    _add_number(dataset, "FlipAngle", _for_contrast(lookup(header, sequence + "flipAngle_deg"), contrast))
    echo_train_length = lookup(header, "encoding.echoTrainLength")
    dataset.EchoTrainLength = "" if echo_train_length is None else str(echo_train_length)
    dataset.EchoNumbers = str(contrast + 1)
    dataset.InPlanePhaseEncodingDirection = "COL"
    _add_number(dataset, "MagneticFieldStrength", lookup(header, "acquisitionSystemInformation.systemFieldStrength_T"))
    frequency_hz = lookup(header, "experimentalConditions.H1resonanceFrequency_Hz")
    _add_number(dataset, "ImagingFrequency", frequency_hz / 1e6 if frequency_hz else None)


def _for_contrast(values: list[float] | None, contrast: int) -> float | None:
    """The contrast's own value; a single value holds for all contrasts."""
    if not values:
        return None
    value = values[0] if len(values) == 1 else values[contrast] if contrast < len(values) else None
    return value if value is not None and math.isfinite(value) else None


def _add_text(dataset: Dataset, keyword: str, value: Any, n_max: int) -> None:
    if cleaned := text(value, n_max):
        setattr(dataset, keyword, cleaned)


def _add_number(dataset: Dataset, keyword: str, value: float | None) -> None:
    if value is not None and math.isfinite(value):
        setattr(dataset, keyword, decimal(value))


def _person(value: Any) -> str:
    # "=" separates alphabetic, ideographic and phonetic spellings, "^" the (at most five) parts of a name.
    return "^".join(text(value, 64).replace("=", " ").split("^")[:5])


def _date(value: Any) -> str:
    return "" if value is None else f"{value.year:04d}{value.month:02d}{value.day:02d}"


def _time(value: Any) -> str:
    return "" if value is None else f"{value.hour:02d}{value.minute:02d}{value.second:02d}"
