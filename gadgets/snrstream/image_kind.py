"""What an image is: the one list of kinds, with their series and words, and the parts of its complex pixels."""

from enum import Enum

import ismrmrd

NEXT_ENCODING = 30  # between the series of one encoding of the header and those of the next: no two meet


class ImageKind(Enum):
    """A kind of image that leaves the chain.

    series: number of its series, `image_series_index`: those of Gadgetron's Generic_Cartesian_Grappa_SNR, with 2 for
    denoised images and 3 for their residuals. data_role: `GADGETRON_DataRole`, as Gadgetron's own series bear it.
    description: for people. image_type: its word in DICOM's ImageType, empty where there is none. quantitative: whether
    its values are a measurement of their own.
    """

    ORIGINAL = 1, "Image", "original", "", False
    DENOISED = 2, "Image", "denoised", "DENOISED", False
    STAND_IN = 2, "Image", "not denoised", "", False  # the original once more, in the place of a denoised image
    RESIDUAL = 3, "Residual", "residual", "RESIDUAL", False  # original minus denoised
    G_MAP = 20, "Gfactor", "g-factor", "GFACTOR", True
    SNR_MAP = 300, "SNR_MAP", "SNR map", "SNR_MAP", True

    def __init__(self, series: int, data_role: str, description: str, image_type: str, quantitative: bool) -> None:
        self.series = series
        self.data_role = data_role
        self.description = description
        self.image_type = image_type
        self.quantitative = quantitative


class ImagePart(Enum):
    """What of its complex pixels an image holds.

    series_offset: its series comes so far after that of the kind. image_type: of ISMRMRD. dicom: its word in ImageType.
    """

    MAGNITUDE = 0, ismrmrd.IMTYPE_MAGNITUDE, "M"
    REAL = 400, ismrmrd.IMTYPE_REAL, "R"
    IMAGINARY = 500, ismrmrd.IMTYPE_IMAG, "I"
    PHASE = 600, ismrmrd.IMTYPE_PHASE, "P"

    def __init__(self, series_offset: int, image_type: int, dicom: str) -> None:
        self.series_offset = series_offset
        self.image_type = image_type
        self.dicom = dicom

    @property
    def word(self) -> str:
        """For properties and people."""
        return self.name.lower()

    @staticmethod
    def of(image_type: int) -> "ImagePart":
        """That of an ISMRMRD image; the magnitude for what is none of these, such as complex images."""
        return next((part for part in ImagePart if part.image_type == image_type), ImagePart.MAGNITUDE)
