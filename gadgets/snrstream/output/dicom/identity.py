"""UIDs that tie the images of one scan together, and tell them from all others."""

import re
import uuid
from dataclasses import dataclass

from ismrmrd.xsd import ismrmrdHeader
from pydicom.uid import RE_VALID_UID

from .attributes import lookup

# Fixed for ever: it makes the UIDs that we derive from a scan our own.
_NAMESPACE = uuid.UUID("5b0d4c52-6f2e-4f0e-9a3c-1d5f3c1e8a77")


@dataclass(frozen=True)
class ScanIdentity:
    """The UIDs that all images of one scan share, and the key that those of its series derive from."""

    study_uid: str
    frame_of_reference_uid: str
    scan_key: str

    @staticmethod
    def of(header: ismrmrdHeader | None) -> "ScanIdentity":
        """Identity of a scan: the same header gives the same UIDs, so a scan sent again is no second scan.

        UIDs in the header are used as they are where they are valid. Otherwise a study is known by its
        date and time together; with less than that, two patients might share a study, which is worse
        than two studies for one patient: the study is then this measurement alone. A scan is known by its
        measurementID, or by the date and time of its series. A header that identifies nothing gets
        random UIDs: make one identity for all images of a scan.
        """
        study, measurement = "studyInformation.", "measurementInformation."
        who = [
            lookup(header, "subjectInformation.patientID"),
            lookup(header, "acquisitionSystemInformation.deviceID"),
            lookup(header, "acquisitionSystemInformation.deviceSerialNumber"),
            *(lookup(header, study + field) for field in ("studyID", "studyDate", "studyTime")),
        ]
        stated_study = lookup(header, study + "studyInstanceUID")
        measurement_id = lookup(header, measurement + "measurementID")
        series_when = [lookup(header, measurement + field) for field in ("seriesDate", "seriesTime")]
        if measurement_id or all(series_when):
            scan_key = _key("scan", stated_study, *who, measurement_id, *series_when)
        else:
            scan_key = uuid.uuid4().hex
        if stated_study:
            study_key = _key("study", stated_study)
        elif lookup(header, study + "studyDate") and lookup(header, study + "studyTime"):
            study_key = _key("study", *who)
        else:
            study_key = _key("study", scan_key)
        stated_frame = lookup(header, measurement + "frameOfReferenceUID")
        return ScanIdentity(
            study_uid=_stated_or_derived(stated_study, study_key),
            # Without a stated frame nothing promises that the patient did not move between scans.
            frame_of_reference_uid=_stated_or_derived(stated_frame, _key("frame", stated_frame, scan_key)),
            scan_key=scan_key,
        )

    def derive(self, *parts: object) -> str:
        """A UID of this scan: the same parts give the same UID."""
        return _derived_uid(_key(self.scan_key, *parts))


def _key(*parts: object) -> str:
    # repr() keeps ("a", "bc") apart from ("ab", "c"), and None from "".
    return repr([None if part is None else str(part) for part in parts])


def _derived_uid(key: str) -> str:
    # The root 2.25 takes the 128 bits of a UUID (ITU-T X.667). pydicom's generate_uid(entropy_srcs=...)
    # would append 59 digits of a hash instead, which is no UUID.
    return f"2.25.{uuid.uuid5(_NAMESPACE, key).int}"


def _stated_or_derived(stated: str | None, key: str) -> str:
    uid = (stated or "").strip()
    # Anonymised headers hold all sorts of text here.
    return uid if len(uid) <= 64 and re.fullmatch(RE_VALID_UID, uid) else _derived_uid(key)
