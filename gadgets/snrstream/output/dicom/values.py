"""What stored values mean: rescale, window, and the real world values that name their unit."""

import ismrmrd
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from ...image_kind import ImageKind
from ..image_values import display_window, kind_of, unit_of
from .attributes import decimal
from .pixels import UINT16_MAX, StoredPixels


def add_values(dataset: Dataset, image: ismrmrd.Image, pixels: StoredPixels) -> None:
    """Rescale, window and real world values.

    Raises
    ------
    ScanError
        As `display_window`.
    """
    # Rescale is no part of the classic MR image, only allowed beside it (dciodvfy warns); viewers honour
    # it, and it is the one way to have all series read in SNR units.
    unit, center_width = unit_of(image), display_window(image)
    dataset.RescaleIntercept = decimal(pixels.intercept)
    dataset.RescaleSlope = decimal(pixels.slope)
    dataset.RescaleType = "SNR" if unit == "SNR" else "US"
    dataset.WindowCenter, dataset.WindowWidth = (decimal(value) for value in center_width)
    # The plain LINEAR function takes half a unit off the centre and one off the width: of a window on a
    # g-map from 1 to 3 that leaves half.
    dataset.VOILUTFunction = "LINEAR_EXACT"
    if unit != "a.u.":
        dataset.RealWorldValueMappingSequence = Sequence([_mapping(image, pixels, unit)])


def _mapping(image: ismrmrd.Image, pixels: StoredPixels, unit: str) -> Dataset:
    """The standard's own way to say that values are SNR units, g or rad (PS3.3 C.7.6.16.2.11)."""
    if kind_of(image) is ImageKind.G_MAP:
        label, explanation = "G", "g-factor: SD of the noise, 1 without acceleration"
    elif unit == "rad":
        label, explanation = "PHASE", "phase"
    else:
        label, explanation = "SNR", "signal / SD of noise (real part) without acceleration"
        if kind_of(image) is ImageKind.SNR_MAP:
            explanation = "signal / SD of noise (real part)"
    units = Dataset()  # of the Unified Code for Units of Measure; a ratio has the unit 1
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = (
        ("rad", "UCUM", "radian") if unit == "rad" else ("1", "UCUM", "no units")
    )
    mapping = Dataset()
    mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped = 0, UINT16_MAX
    for keyword in ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped"):
        mapping[keyword].VR = "US"
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = pixels.intercept, pixels.slope
    mapping.LUTLabel, mapping.LUTExplanation = label, explanation
    mapping.MeasurementUnitsCodeSequence = Sequence([units])
    return mapping
